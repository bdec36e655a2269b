// Numbers in text, as TensorFlow's string ops accept them.
#pragma once

#include <cctype>
#include <charconv>
#include <limits>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace tenon::ops {

// "0x1f", "-0X.8p3".
template <class T>
bool parse_hexadecimal(std::string_view text, T& value) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.size() < 3 || text[0] != '0' || (text[1] | 0x20) != 'x' || text[2] == '-') return false;
  T parsed{};
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), parsed, std::chars_format::hex);
  if (end != text.data() + text.size() || error != std::errc()) return false;
  value = negative ? -parsed : parsed;
  return true;
}

// Reads the whole text as a number of type T: surrounding white space and a leading plus sign are allowed; floats also as
// "inf", "infinity" and "nan" in any case. False when it is no number or does not fit; `value` is then unchanged.
template <class T>
bool parse_number(std::string_view text, T& value) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  if (text.size() > 1 && text.front() == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  if (text.empty()) return false;
  T parsed{};
  if constexpr (std::is_floating_point_v<T>) {
    if (parse_hexadecimal(text, value)) return true;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (end != text.data() + text.size()) return false;
  if (error == std::errc::result_out_of_range && std::is_floating_point_v<T>) {
    // Too large is infinity and too small is zero, as strtod has it.
    const bool negative = text.front() == '-';
    const std::size_t exponent = text.find_first_of("eE");
    const bool tiny = exponent != std::string_view::npos && exponent + 1 < text.size() && text[exponent + 1] == '-';
    parsed = tiny ? T(0) : std::numeric_limits<T>::infinity();
    value = negative ? static_cast<T>(-parsed) : parsed;
    return true;
  }
  if (error != std::errc()) return false;
  value = parsed;
  return true;
}

}  // namespace tenon::ops
