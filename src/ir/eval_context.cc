#include "ir/eval_context.h"

namespace tenon::ir {

const Tensor& EvalContext::input(int i) const {
  if (i < 0 || i >= num_inputs()) fail_node("has {} inputs, needs at least {}", num_inputs(), i + 1);
  return inputs_[static_cast<std::size_t>(i)];
}

Tensor EvalContext::take_input(int i) {
  input(i);
  return std::move(inputs_[static_cast<std::size_t>(i)]);
}

Tensor& EvalContext::allocate(int i, DataType dtype, Shape shape) {
  return outputs_[static_cast<std::size_t>(i)] = Tensor(dtype, std::move(shape));
}

Services& EvalContext::services() const {
  TENON_CHECK(services_ != nullptr);
  return *services_;
}

std::vector<std::int64_t> EvalContext::integers(int i) const {
  const Tensor& tensor = input(i);
  if (tensor.dtype() == DataType::kInt32) {
    const auto values = tensor.flat<std::int32_t>();
    return {values.begin(), values.end()};
  }
  if (tensor.dtype() == DataType::kInt64) {
    const auto values = tensor.flat<std::int64_t>();
    return {values.begin(), values.end()};
  }
  if (tensor.dtype() == DataType::kInt16) {
    const auto values = tensor.flat<std::int16_t>();
    return {values.begin(), values.end()};
  }
  fail_node("input {} must be int32 or int64, it is {}", i, tensor.describe());
}

std::int64_t EvalContext::integer(int i) const {
  const std::vector<std::int64_t> values = integers(i);
  if (values.size() != 1) fail_node("input {} must have one element, it is {}", i, input(i).describe());
  return values[0];
}

int EvalContext::normalize_axis(std::int64_t axis, int rank) const {
  if (axis < -rank || axis >= rank) fail_node("axis {} is outside [-{}, {})", axis, rank, rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace tenon::ir
