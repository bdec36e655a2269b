#include "savedmodel/wire_rope.h"

#include <iterator>
#include <protozero/types.hpp>
#include <protozero/varint.hpp>
#include <utility>

namespace tenon::saved {
namespace {

// Smaller pieces cost more as pieces than as copies.
constexpr std::size_t kSmall = 512;
constexpr std::size_t kTailLimit = 64 << 10;

}  // namespace

// The string that small pieces are gathered in.
std::string& WireRope::tail() {
  const bool usable =
      !pieces_.empty() && pieces_.back().owned != kNone && strings_[pieces_.back().owned].size() < kTailLimit;
  if (!usable) {
    pieces_.push_back({{}, strings_.size()});
    strings_.emplace_back();
  }
  return strings_[pieces_.back().owned];
}

void WireRope::append(std::string_view bytes) {
  if (bytes.size() < kSmall) {
    tail().append(bytes);
  } else {
    pieces_.push_back({bytes, kNone});
  }
  size_ += bytes.size();
}

void WireRope::append_owned(std::string bytes) {
  if (bytes.size() < kSmall) return append(bytes);
  size_ += bytes.size();
  pieces_.push_back({{}, strings_.size()});
  strings_.push_back(std::move(bytes));
}

void WireRope::append(WireRope&& other) {
  for (const Piece& piece : other.pieces_) {
    if (piece.owned == kNone) {
      append(piece.view);
    } else {
      append_owned(std::move(other.strings_[piece.owned]));
    }
  }
  other = {};
}

void WireRope::header(std::uint32_t number, std::size_t size) {
  std::string bytes;
  const auto type = static_cast<std::uint32_t>(protozero::pbf_wire_type::length_delimited);
  protozero::write_varint(std::back_inserter(bytes), std::uint64_t{number} << 3 | type);
  protozero::write_varint(std::back_inserter(bytes), size);
  append(bytes);
}

void WireRope::field(std::uint32_t number, std::string_view content) {
  header(number, content.size());
  append(content);
}

void WireRope::field_owned(std::uint32_t number, std::string content) {
  header(number, content.size());
  append_owned(std::move(content));
}

void WireRope::field(std::uint32_t number, WireRope&& content) {
  header(number, content.size());
  append(std::move(content));
}

std::string WireRope::to_string() const {
  std::string bytes;
  bytes.reserve(size_);
  for_each_piece([&](std::string_view piece) { bytes += piece; });
  return bytes;
}

}  // namespace tenon::saved
