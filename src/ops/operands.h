// Reading operands that are sizes, axes or permutations: while inferring (perhaps unknown) and while evaluating (checked).
#pragma once

#include <optional>
#include <vector>

#include "ir/eval_context.h"
#include "ir/infer_context.h"

namespace tenon::ops {

// The elements of integer operand i when all are known, from a constant or from sizes; nothing otherwise.
std::optional<std::vector<std::int64_t>> known_integers(const ir::InferContext& ctx, int i);
// The one element of integer operand i when it is known; throws when the operand has more.
std::optional<std::int64_t> known_integer(const ir::InferContext& ctx, int i);
// The elements of a constant integer operand of any rank; nothing when it is not constant.
std::optional<std::vector<std::int64_t>> constant_elements(const ir::InferContext& ctx, int i);
// The number of elements of a rank-1 operand (1 for a scalar) when it is known.
std::optional<int> known_length(const ir::InferContext& ctx, int i);
// A shape that an operand lists, as far as it is known: an unknown shape, one of known rank, or sizes and symbols.
PartialShape listed_shape(ir::InferContext& ctx, int i);
// The product of dimensions: a number, the one symbol among ones, or a fresh symbol.
Dim multiply(ir::InferContext& ctx, Dim a, Dim b);
Dim add(ir::InferContext& ctx, Dim a, Dim b);

// The sizes that integer operand i lists; throws unless it has rank 1 (or is a scalar when `scalar_too`) and none is
// negative.
Shape shape_operand(const ir::EvalContext& ctx, int i, bool scalar_too = false);
// Throws unless the operand has that rank.
void expect_rank(const ir::EvalContext& ctx, int i, int rank);
// The elements of an int32 or int64 tensor; throws kInvalidModel for other dtypes.
std::vector<std::int64_t> integer_elements(const Tensor& tensor);
// Throws unless a and b are equal or broadcast; returns the shape both broadcast to.
Shape broadcast_shape(const ir::EvalContext& ctx, const Shape& a, const Shape& b);

}  // namespace tenon::ops
