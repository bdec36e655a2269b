// The version of the library that is linked.
#pragma once

namespace tenon {

const char* version() noexcept;  // "0.1.0"

}  // namespace tenon
