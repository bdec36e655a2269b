// Element-wise work on string tensors.
#pragma once

#include <string>
#include <utility>

#include "ir/eval_context.h"
#include "ir/infer_context.h"

namespace tenon::ops {

inline std::span<const std::string> strings_operand(const ir::EvalContext& ctx, int i) {
  const Tensor& tensor = ctx.input(i);
  if (tensor.dtype() != DataType::kString) ctx.fail_node("input {} must be strings, it is {}", i, tensor.describe());
  return tensor.flat<std::string>();
}

inline const std::string& string_scalar(const ir::EvalContext& ctx, int i) {
  const auto strings = strings_operand(ctx, i);
  if (strings.size() != 1) ctx.fail_node("input {} must be one string, it is {}", i, ctx.input(i).describe());
  return strings[0];
}

// output 0 = f(element of operand 0), T the type of the result's elements
template <class T, class F>
void map_strings(ir::EvalContext& ctx, F&& f) {
  const auto in = strings_operand(ctx, 0);
  Tensor& out = ctx.allocate(0, DataTypeOf<T>::value, ctx.input(0).shape());
  T* to = out.flat<T>().data();
  for (std::size_t i = 0; i < in.size(); ++i) to[i] = f(in[i]);
}

// Output 0 has operand 0's shape and this dtype.
template <DataType kDtype>
void infer_like_operand(ir::InferContext& ctx) {
  ctx.set_output(0, kDtype, ctx.input_shape(0));
}

// The bytes that follow the first one of a UTF-8 character.
inline bool is_utf8_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace tenon::ops
