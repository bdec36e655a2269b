// Upper and lower case of UTF-8 text, by Unicode's locale-independent rules.
#pragma once

#include <string>
#include <string_view>

namespace tenon::ops {

// Ill-formed bytes become U+FFFD.
std::string utf8_lower(std::string_view text);
std::string utf8_upper(std::string_view text);

}  // namespace tenon::ops
