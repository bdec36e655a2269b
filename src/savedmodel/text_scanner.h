// Tokens of protobuf's text format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon::saved {

enum class TokenKind { kEnd, kIdentifier, kNumber, kString, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;  // of a string with its quotes
};

// "the end", "\"graph_def\"", …: for messages.
std::string describe(const Token& token);

// Gives one token after the other. Every error is kInvalidModel with line and column.
class TextScanner {
 public:
  explicit TextScanner(std::string_view text) : text_(text) { next(); }

  const Token& token() const noexcept { return token_; }
  void next();
  [[noreturn]] void fail_here(const std::string& message) const;

  // Each takes the current token (or tokens) as a value.
  std::string take_strings();  // adjacent strings are one
  double take_real();          // also "inf", "-nan", "1.5f"
  bool take_bool();
  std::int64_t take_signed(std::int64_t lowest, std::int64_t highest);
  std::uint64_t take_unsigned(std::uint64_t highest);

 private:
  void skip_space() noexcept;
  std::size_t string_length(std::string_view rest) const;
  bool take_minus();
  std::uint64_t number_bits();

  std::string_view text_;
  std::size_t position_ = 0;  // behind the current token
  std::size_t start_ = 0;     // of the current token
  Token token_;
};

}  // namespace tenon::saved
