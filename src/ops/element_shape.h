// Shapes of the elements of tensor lists and arrays, partly known while running. Unknown sizes are Dim::symbol(0).
#pragma once

#include <optional>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "tensor/partial_shape.h"

namespace tenon::ops {

// An operand that states an element shape: an integer vector with -1 for unknown sizes, or a scalar for an unknown rank.
PartialShape element_shape_operand(const ir::EvalContext& ctx, int i);
// The same before running; unknown sizes are fresh symbols.
PartialShape element_shape_operand(ir::InferContext& ctx, int i);
// What both say together; nothing when they contradict each other.
std::optional<PartialShape> merge_element_shapes(const PartialShape& a, const PartialShape& b);
// `shape` with one more dimension in front.
PartialShape with_rows(Dim rows, const PartialShape& shape);
Shape with_rows(std::int64_t rows, const Shape& shape);
// `shape` without its first dimension; unknown when that is.
PartialShape without_rows(const PartialShape& shape);
Shape without_rows(const Shape& shape);

}  // namespace tenon::ops
