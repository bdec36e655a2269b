// Values that stand in for real inputs.
#pragma once

#include <cstdint>

#include "tenon/tensor.h"

namespace tenon {

// Floats in [-1, 1), integers in [0, 100), any bool, short texts. The same seed gives the same values. Throws kInvalidArgument
// for dtypes that cannot be made up.
Tensor random_tensor(DataType dtype, Shape shape, std::uint64_t seed);

}  // namespace tenon
