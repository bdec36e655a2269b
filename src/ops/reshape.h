// The shape that Reshape gives.
#pragma once

#include <vector>

#include "ir/eval_context.h"
#include "ir/infer_context.h"

namespace tenon::ops {

// What is known of the result of reshaping `input` to the sizes in `target`: symbols that stand for themselves cancel, so
// that [s0,7,7,64] to [-1,3136] gives [s0,3136].
PartialShape reshaped_shape(ir::InferContext& ctx, const PartialShape& input, ir::Value target);
// The same while running: a -1 is replaced; throws unless the sizes hold as many elements as the input.
Shape reshaped_shape(const ir::EvalContext& ctx, const Shape& input, std::vector<std::int64_t> sizes);

}  // namespace tenon::ops
