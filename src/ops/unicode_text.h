// Characters in the encodings that TensorFlow's unicode ops are used with.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tenon::ops {

inline constexpr char32_t kReplacementCharacter = 0xfffd;

struct DecodedCharacter {
  char32_t code = 0;
  std::size_t size = 1;  // bytes taken
  bool valid = false;    // false: the bytes are ill-formed
};

enum class Encoding { kUtf8, kUtf16Be, kUtf16Le, kUtf32Be, kUtf32Le, kLatin1, kAscii };

// By its name in any case, such as "UTF-8", "utf-16-be", "US-ASCII", "ISO-8859-1".
std::optional<Encoding> find_encoding(std::string_view name);

// The first character of a text that is not empty. Of ill-formed UTF-8 the longest start of a character is taken at once.
DecodedCharacter decode_utf8(std::string_view text);
DecodedCharacter decode_character(Encoding encoding, std::string_view text);

// Whether it is a character at all: no surrogate, not beyond U+10FFFF.
constexpr bool is_character(std::int64_t code) { return code >= 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff); }
// `code` is a character.
void append_utf8(std::string& out, char32_t code);
void append_character(Encoding encoding, std::string& out, char32_t code);

}  // namespace tenon::ops
