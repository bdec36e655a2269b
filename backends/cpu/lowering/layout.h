// Strides of places, for kernels that walk any layout.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/cpu/lowering/lowering.h"

namespace tenon::cpu {

// Elements between neighbours along each dimension, the pitch of the rows included.
std::vector<std::int64_t> place_strides(const Place& place);
// The same for a loop over `to`, to which the place broadcasts; 0 where it repeats.
std::vector<std::int64_t> broadcast_place(const Place& place, const Shape& to);
// An axis in [-rank, rank) as [0, rank). Throws kInvalidModel otherwise.
int resolve_axis(const PlanContext& ctx, std::int64_t axis, int rank);

}  // namespace tenon::cpu
