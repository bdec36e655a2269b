// Sums, products and extremes of int32 and int64.
#pragma once

#include "backends/cpu/lowering/lowering.h"

namespace tenon::cpu {

// True for sum, prod, max and min of integers.
bool is_integer_reduction(const ir::Node& node);
Lowered lower_integer_reduction(const ir::Node& node);

}  // namespace tenon::cpu
