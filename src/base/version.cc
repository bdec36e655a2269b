#include "tenon/version.h"

namespace tenon {

const char* version() noexcept { return TENON_VERSION; }

}  // namespace tenon
