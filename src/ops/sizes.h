// Arithmetic on sizes during inference: what is known of the elements of small integer tensors that describe shapes.
#pragma once

#include "ir/infer_context.h"

namespace tenon::ops {

enum class SizeFunction { kAdd, kSub, kMul, kDiv, kMod, kMaximum, kMinimum };

// States output 0 as f applied to operands 0 and 1 when both are known as sizes and the result is a scalar or a vector. A size
// that is not known becomes a fresh symbol; nothing is stated when a result is negative.
void combine_sizes(ir::InferContext& ctx, SizeFunction f);
// f of two sizes; nothing when the result is negative or overflows.
std::optional<Dim> combine(ir::InferContext& ctx, SizeFunction f, Dim x, Dim y);

}  // namespace tenon::ops
