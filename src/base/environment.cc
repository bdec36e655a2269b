#include "base/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace tenon {

std::string environment_text(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool environment_flag(const char* name, bool otherwise) {
  std::string value = environment_text(name);
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  return otherwise;
}

}  // namespace tenon
