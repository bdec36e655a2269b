// Element-wise ops of one operand: inference and evaluation shared by their families.
#pragma once

#include "ops/elementwise.h"

namespace tenon::ops {

// The result has operand 0's shape and dtype; sizes pass through when the op leaves them as they are.
inline void infer_same_as_input(ir::InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

inline void infer_predicate(ir::InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kBool, ctx.input_shape(0));
}

// Applies f, a lambda on compute types, to every element; overwrites an operand that nobody else holds.
template <class T, class F>
void apply_unary(ir::EvalContext& ctx, F f) {
  const DataType dtype = ctx.input(0).dtype();
  const T* in = ctx.input(0).flat<T>().data();
  Tensor out = result_in_place(ctx, {0}, dtype, Shape(ctx.input(0).shape()));
  map_elements(ctx.team(), in, out.flat<T>().data(), out.num_elements(), f);
  ctx.set_output(0, std::move(out));
}

template <class Types, auto f>
void evaluate_unary(ir::EvalContext& ctx) {
  visit_dtype(Types{}, ctx.input(0).dtype(), ctx.node().describe(),
              [&](auto tag) { apply_unary<typename decltype(tag)::type>(ctx, f); });
}

template <class Types, auto f>
void evaluate_predicate(ir::EvalContext& ctx) {
  visit_dtype(Types{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Tensor in = ctx.input(0);
    Tensor& out = ctx.allocate(0, DataType::kBool, in.shape());
    map_elements(ctx.team(), in.flat<T>().data(), out.flat<bool>().data(), in.num_elements(), f);
  });
}

}  // namespace tenon::ops
