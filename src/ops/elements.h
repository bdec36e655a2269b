// Moving and updating ranges of elements, for ops that hold state.
#pragma once

#include <cstdint>
#include <string_view>

#include "tenon/tensor.h"

namespace tenon::ops {

// Copies `count` elements of any dtype; both tensors have the same dtype and do not overlap. The ranges are not checked.
void copy_elements(Tensor& to, std::int64_t at, const Tensor& from, std::int64_t start, std::int64_t count);
// Numbers zero, strings empty, objects null.
Tensor zeros(DataType dtype, Shape shape);

enum class Update { kAssign, kAdd, kSub, kMul, kDiv, kMin, kMax };

// to[at + i] = to[at + i] <update> from[start + i * step] for i < count; step is 1, or 0 for a scalar operand. Integers wrap.
// Throws kInvalidArgument for an integer division by zero, kUnsupported for dtypes that the update does not know.
void update_elements(Update update, Tensor& to, std::int64_t at, const Tensor& from, std::int64_t start, std::int64_t step,
                     std::int64_t count, std::string_view who);

}  // namespace tenon::ops
