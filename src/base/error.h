// Raising errors and checking invariants. The Error type itself is public: tenon/error.h.
#pragma once

#include <fmt/format.h>

#include "tenon/error.h"

namespace tenon {

template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

// A programmer's mistake, never a user's: throws kInternal with the place.
#define TENON_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::tenon::check_failed(__FILE__, __LINE__, #condition))

}  // namespace tenon
