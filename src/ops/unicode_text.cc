#include "ops/unicode_text.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace tenon::ops {
namespace {

std::uint32_t unit(std::string_view text, std::size_t at, std::size_t size, bool big_endian) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + (big_endian ? i : size - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}

DecodedCharacter decode_utf16(std::string_view text, bool big_endian) {
  if (text.size() < 2) return {0, text.size(), false};
  const std::uint32_t first = unit(text, 0, 2, big_endian);
  if (first < 0xd800 || first > 0xdfff) return {first, 2, true};
  if (first > 0xdbff || text.size() < 4) return {0, first > 0xdbff ? 2 : text.size(), false};
  const std::uint32_t second = unit(text, 2, 2, big_endian);
  if (second < 0xdc00 || second > 0xdfff) return {0, 2, false};
  return {0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 4, true};
}

DecodedCharacter decode_utf32(std::string_view text, bool big_endian) {
  if (text.size() < 4) return {0, text.size(), false};
  const std::uint32_t code = unit(text, 0, 4, big_endian);
  return {code, 4, is_character(code)};
}

void append_unit(std::string& out, std::uint32_t value, int size, bool big_endian) {
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * (big_endian ? size - 1 - i : i)) & 0xff);
}

void append_utf16(std::string& out, std::uint32_t code, bool big_endian) {
  if (code < 0x10000) return append_unit(out, code, 2, big_endian);
  append_unit(out, 0xd800 + ((code - 0x10000) >> 10), 2, big_endian);
  append_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff), 2, big_endian);
}

}  // namespace

std::optional<Encoding> find_encoding(std::string_view name) {
  std::string upper;
  for (const char c : name) {
    if (c != '-' && c != '_') upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  constexpr std::pair<std::string_view, Encoding> kNames[] = {
      {"UTF8", Encoding::kUtf8},       {"UTF16BE", Encoding::kUtf16Be}, {"UTF16LE", Encoding::kUtf16Le}, {"UTF32BE", Encoding::kUtf32Be},
      {"UTF32LE", Encoding::kUtf32Le}, {"LATIN1", Encoding::kLatin1},   {"ISO88591", Encoding::kLatin1}, {"USASCII", Encoding::kAscii},
      {"ASCII", Encoding::kAscii},
  };
  for (const auto& [known, encoding] : kNames) {
    if (upper == known) return encoding;
  }
  return std::nullopt;
}

DecodedCharacter decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  if (first < 0xc2 || first > 0xf4) return {};
  const std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  std::uint32_t code = first & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    // The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF.
    const std::uint32_t low = i > 1 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const std::uint32_t high = i > 1 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (i >= text.size() || byte(i) < low || byte(i) > high) return {0, i, false};
    code = code << 6 | (byte(i) & 0x3f);
  }
  return {code, size, true};
}

DecodedCharacter decode_character(Encoding encoding, std::string_view text) {
  switch (encoding) {
    case Encoding::kUtf16Be:
    case Encoding::kUtf16Le:
      return decode_utf16(text, encoding == Encoding::kUtf16Be);
    case Encoding::kUtf32Be:
    case Encoding::kUtf32Le:
      return decode_utf32(text, encoding == Encoding::kUtf32Be);
    case Encoding::kLatin1:
      return {static_cast<unsigned char>(text[0]), 1, true};
    case Encoding::kAscii:
      return {static_cast<unsigned char>(text[0]), 1, static_cast<unsigned char>(text[0]) < 0x80};
    case Encoding::kUtf8:
      break;
  }
  return decode_utf8(text);
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

void append_character(Encoding encoding, std::string& out, char32_t code) {
  switch (encoding) {
    case Encoding::kUtf16Be:
    case Encoding::kUtf16Le:
      return append_utf16(out, code, encoding == Encoding::kUtf16Be);
    case Encoding::kUtf32Be:
    case Encoding::kUtf32Le:
      return append_unit(out, code, 4, encoding == Encoding::kUtf32Be);
    case Encoding::kLatin1:
    case Encoding::kAscii:
      out += code < (encoding == Encoding::kAscii ? 0x80 : 0x100) ? static_cast<char>(code) : '?';
      return;
    case Encoding::kUtf8:
      break;
  }
  append_utf8(out, code);
}

}  // namespace tenon::ops
