#include "tfplugin/environment.h"

#include <strings.h>

#include <cstdlib>
#include <initializer_list>

namespace tenon::tf {

bool build_foreign_engines() {
  const char* value = std::getenv("TENON_BUILD_FOREIGN_ENGINES");
  if (value == nullptr) return false;
  for (const char* yes : {"1", "true", "yes", "on"}) {
    if (strcasecmp(value, yes) == 0) return true;
  }
  return false;
}

}  // namespace tenon::tf
