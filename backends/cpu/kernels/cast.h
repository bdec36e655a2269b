// Conversions between number types, as TensorFlow's Cast does them on a CPU: towards zero from float to integer, wrapping
// between integers, != 0 to bool, 16-bit floats rounded to nearest even.
#pragma once

#include <cstdint>

#include "base/thread_team.h"
#include "tenon/tensor.h"

namespace tenon::cpu {

using CastFunction = void (*)(const void* from, void* to, int64_t count);

// The conversion, on one thread; null unless both are float32, float64, float16, bfloat16, bool or integers of 8 to 64 bits.
// Equal types copy. `from` and `to` do not overlap, or are equal where the sizes are.
CastFunction cast_function(DataType from, DataType to) noexcept;

// Converts `count` elements with the team. Throws kUnsupported where cast_function gives null.
void cast(DataType from_type, const void* from, DataType to_type, void* to, int64_t count, ThreadTeam& team);

}  // namespace tenon::cpu
