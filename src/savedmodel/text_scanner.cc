#include "savedmodel/text_scanner.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>

#include "base/error.h"

namespace tenon::saved {
namespace {

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class Predicate>
std::size_t count_while(std::string_view text, Predicate&& predicate) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), predicate) - text.begin());
}

// "1", "0x1F", "1.5e-3f", ".5": everything that may belong to a number; its value is checked when it is taken.
std::size_t number_length(std::string_view text) {
  std::size_t length = 0;
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  while (length < text.size()) {
    const char c = text[length];
    const bool sign = (c == '+' || c == '-') && !hexadecimal && length > 0 && (text[length - 1] | 0x20) == 'e';
    if (!is_digit(c) && !is_letter(c) && c != '.' && !sign) break;
    ++length;
  }
  return length;
}

void append_utf8(std::uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kLead[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3f));
}

// Up to `most` digits of a base, moved past; -1 when there is none.
std::int64_t take_digits(std::string_view& text, int base, int most) {
  std::int64_t value = -1;
  for (int i = 0; i < most && !text.empty(); ++i) {
    const int digit = hex_value(text.front());
    if (digit < 0 || digit >= base) break;
    value = std::max<std::int64_t>(value, 0) * base + digit;
    text.remove_prefix(1);
  }
  return value;
}

char simple_escape(char c) noexcept {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case '\\':
    case '\'':
    case '"':
    case '?':
      return c;
    default:
      return 0;
  }
}

// What follows a backslash; false when it means nothing.
bool append_escape(std::string_view& rest, std::string& out) {
  if (rest.empty()) return false;
  const char c = rest.front();
  if (c >= '0' && c <= '7') {
    out += static_cast<char>(take_digits(rest, 8, 3));
    return true;
  }
  rest.remove_prefix(1);
  if (c == 'x' || c == 'X' || c == 'u' || c == 'U') {
    const std::int64_t value = take_digits(rest, 16, c == 'u' ? 4 : c == 'U' ? 8 : 2);
    if (value < 0 || value > 0x10ffff) return false;
    if (c == 'x' || c == 'X') {
      out += static_cast<char>(value);
    } else {
      append_utf8(static_cast<std::uint32_t>(value), out);
    }
    return true;
  }
  const char plain = simple_escape(c);
  if (plain == 0) return false;
  out += plain;
  return true;
}

}  // namespace

std::string describe(const Token& token) {
  return token.kind == TokenKind::kEnd ? "the end" : fmt::format("\"{}\"", token.text.substr(0, 40));
}

void TextScanner::fail_here(const std::string& message) const {
  const std::string_view before = text_.substr(0, start_);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  fail(ErrorCode::kInvalidModel, "text line {}, column {}: {}", line, start_ - line_start + 1, message);
}

void TextScanner::skip_space() noexcept {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == '#') {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
      ++position_;
    } else {
      return;
    }
  }
}

std::size_t TextScanner::string_length(std::string_view rest) const {
  for (std::size_t i = 1; i < rest.size() && rest[i] != '\n'; ++i) {
    if (rest[i] == rest[0]) return i + 1;
    if (rest[i] == '\\') ++i;
  }
  fail_here("a string does not end on its line");
}

void TextScanner::next() {
  skip_space();
  start_ = position_;
  const std::string_view rest = text_.substr(position_);
  std::size_t length = 1;
  if (rest.empty()) {
    token_ = {TokenKind::kEnd, {}};
    return;
  }
  if (is_letter(rest[0])) {
    token_.kind = TokenKind::kIdentifier;
    length = count_while(rest, [](char c) { return is_letter(c) || is_digit(c); });
  } else if (is_digit(rest[0]) || (rest[0] == '.' && rest.size() > 1 && is_digit(rest[1]))) {
    token_.kind = TokenKind::kNumber;
    length = number_length(rest);
  } else if (rest[0] == '"' || rest[0] == '\'') {
    token_.kind = TokenKind::kString;
    length = string_length(rest);
  } else {
    token_.kind = TokenKind::kSymbol;
  }
  token_.text = rest.substr(0, length);
  position_ += length;
}

std::string TextScanner::take_strings() {
  if (token_.kind != TokenKind::kString) fail_here("wanted a string, found " + describe(token_));
  std::string value;
  for (; token_.kind == TokenKind::kString; next()) {
    std::string_view rest = token_.text.substr(1, token_.text.size() - 2);
    while (!rest.empty()) {
      const std::string_view plain = rest.substr(0, rest.find('\\'));
      value += plain;
      rest.remove_prefix(plain.size());
      if (rest.empty()) break;
      rest.remove_prefix(1);
      if (!append_escape(rest, value)) fail_here("a string holds an escape that is not known");
    }
  }
  return value;
}

bool TextScanner::take_minus() {
  if (token_.kind != TokenKind::kSymbol || token_.text != "-") return false;
  next();
  return true;
}

double TextScanner::take_real() {
  const double sign = take_minus() ? -1 : 1;
  std::string lower(token_.text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  double value = 0;
  if (token_.kind == TokenKind::kIdentifier && (lower == "inf" || lower == "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else if (token_.kind == TokenKind::kIdentifier && lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (token_.kind == TokenKind::kNumber && lower.size() > 1 && lower[0] == '0' &&
             (lower[1] == 'x' || is_digit(lower[1]))) {
    value = static_cast<double>(number_bits());
  } else {
    if (lower.ends_with('f')) lower.pop_back();
    const auto [end, error] = std::from_chars(lower.data(), lower.data() + lower.size(), value);
    if (error == std::errc::result_out_of_range) {
      value = std::strtod(lower.c_str(), nullptr);
    } else if (token_.kind != TokenKind::kNumber || error != std::errc{} || end != lower.data() + lower.size()) {
      fail_here("wanted a number, found " + describe(token_));
    }
  }
  next();
  return sign * value;
}

bool TextScanner::take_bool() {
  for (const std::string_view yes : {"true", "True", "t", "1"}) {
    if (token_.text == yes) return next(), true;
  }
  for (const std::string_view no : {"false", "False", "f", "0"}) {
    if (token_.text == no) return next(), false;
  }
  fail_here("wanted true or false, found " + describe(token_));
}

// The current token as a non-negative integer: decimal, 0x… or 0… (octal).
std::uint64_t TextScanner::number_bits() {
  std::string_view digits = token_.text;
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0' && digits.find_first_of(".eE") == std::string_view::npos) {
    base = 8;
    digits.remove_prefix(1);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (token_.kind != TokenKind::kNumber || error != std::errc{} || end != digits.data() + digits.size()) {
    fail_here("wanted an integer of at most 64 bits, found " + describe(token_));
  }
  return value;
}

std::int64_t TextScanner::take_signed(std::int64_t lowest, std::int64_t highest) {
  const bool negative = take_minus();
  const std::uint64_t bits = number_bits();
  const std::uint64_t limit =
      negative ? std::uint64_t{0} - static_cast<std::uint64_t>(lowest) : static_cast<std::uint64_t>(highest);
  if (bits > limit) fail_here("the integer is out of range");
  next();
  return static_cast<std::int64_t>(negative ? std::uint64_t{0} - bits : bits);
}

std::uint64_t TextScanner::take_unsigned(std::uint64_t highest) {
  const std::uint64_t bits = number_bits();
  if (bits > highest) fail_here("the integer is out of range");
  next();
  return bits;
}

}  // namespace tenon::saved
