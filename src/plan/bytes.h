// Little-endian fields in a string: a writer, and a reader that trusts nothing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace tenon::plan {

class ByteWriter {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void count(std::size_t value) { number(static_cast<std::uint64_t>(value)); }
  void text(std::string_view value) {
    count(value.size());
    bytes_.append(value);
  }
  std::string take() { return std::move(bytes_); }
  const std::string& bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T number() {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  bool flag() { return number<std::uint8_t>() != 0; }
  // A number of things of which each takes at least `least` bytes: never more than what is left can hold.
  std::size_t count(std::size_t least = 1) {
    const auto value = number<std::uint64_t>();
    if (value > bytes_.size() / least) fail(ErrorCode::kIncompatiblePlan, "plan: a count of {} runs past the end", value);
    return static_cast<std::size_t>(value);
  }
  std::string_view text() { return take(count()); }
  std::string string() { return std::string(text()); }
  bool at_end() const noexcept { return bytes_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) fail(ErrorCode::kIncompatiblePlan, "plan: wanted {} more bytes, found {}", size, bytes_.size());
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  std::string_view bytes_;
};

}  // namespace tenon::plan
