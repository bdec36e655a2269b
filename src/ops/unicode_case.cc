#include "ops/unicode_case.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "ops/unicode_text.h"

namespace tenon::ops {
namespace {

// Every step-th code point from first to last moves by delta.
struct CaseRun {
  std::uint32_t first, last, step;
  std::int32_t delta;
};
struct CaseSpecial {
  std::uint32_t code;
  const char* text;  // UTF-8
};

#include "ops/unicode_case.inc"

constexpr char32_t kCapitalSigma = 0x3a3;
constexpr char32_t kFinalSigma = 0x3c2;

void append_mapped(std::string& out, char32_t code, std::span<const CaseRun> runs, std::span<const CaseSpecial> specials) {
  const auto run = std::lower_bound(runs.begin(), runs.end(), code, [](const CaseRun& r, char32_t c) { return r.last < c; });
  if (run != runs.end() && code >= run->first && (code - run->first) % run->step == 0) {
    return append_utf8(out, static_cast<char32_t>(static_cast<std::int64_t>(code) + run->delta));
  }
  const auto special =
      std::lower_bound(specials.begin(), specials.end(), code, [](const CaseSpecial& s, char32_t c) { return s.code < c; });
  if (special != specials.end() && special->code == code) {
    out += special->text;
  } else {
    append_utf8(out, code);
  }
}

bool in_runs(char32_t code, std::span<const CaseRun> runs) {
  const auto run = std::lower_bound(runs.begin(), runs.end(), code, [](const CaseRun& r, char32_t c) { return r.last < c; });
  return run != runs.end() && code >= run->first && (code - run->first) % run->step == 0;
}

bool is_cased(char32_t code) { return in_runs(code, kLowerRuns) || in_runs(code, kUpperRuns); }

// A capital sigma becomes the final form at the end of a word.
bool ends_word(const std::vector<char32_t>& codes, std::size_t i) {
  return i > 0 && is_cased(codes[i - 1]) && (i + 1 == codes.size() || !is_cased(codes[i + 1]));
}

std::vector<char32_t> decode(std::string_view text) {
  std::vector<char32_t> codes;
  while (!text.empty()) {
    const DecodedCharacter next = decode_utf8(text);
    codes.push_back(next.valid ? next.code : kReplacementCharacter);
    text.remove_prefix(next.size);
  }
  return codes;
}

}  // namespace

std::string utf8_lower(std::string_view text) {
  std::string out;
  const std::vector<char32_t> codes = decode(text);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == kCapitalSigma && ends_word(codes, i)) {
      append_utf8(out, kFinalSigma);
    } else {
      append_mapped(out, codes[i], kLowerRuns, kLowerSpecials);
    }
  }
  return out;
}

std::string utf8_upper(std::string_view text) {
  std::string out;
  for (const char32_t code : decode(text)) append_mapped(out, code, kUpperRuns, kUpperSpecials);
  return out;
}

}  // namespace tenon::ops
