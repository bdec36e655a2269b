#include "ops/elementwise.h"

namespace tenon::ops {

bool broadcast_shape(std::span<const Shape* const> operands, Shape& result) {
  int rank = 0;
  for (const Shape* shape : operands) rank = std::max(rank, shape->rank());
  result = Shape(std::vector<std::int64_t>(static_cast<std::size_t>(rank), 1));
  for (const Shape* shape : operands) {
    const int lead = rank - shape->rank();
    for (int d = 0; d < shape->rank(); ++d) {
      const std::int64_t size = (*shape)[d];
      std::int64_t& out = result[d + lead];
      if (out == 1) {
        out = size;
      } else if (size != 1 && size != out) {
        return false;
      }
    }
  }
  return true;
}

void collapse(std::span<const Shape* const> operands, const Shape& result, std::vector<std::int64_t>& sizes,
              std::span<std::vector<std::int64_t>> strides) {
  const std::size_t count = operands.size();
  std::vector<std::int64_t> running(count, 1);
  // Built innermost first, reversed at the end.
  for (int d = result.rank() - 1; d >= 0; --d) {
    std::vector<std::int64_t> step(count);
    for (std::size_t k = 0; k < count; ++k) {
      const int at = d - (result.rank() - operands[k]->rank());
      const std::int64_t size = at < 0 ? 1 : (*operands[k])[at];
      step[k] = size == 1 ? 0 : running[k];
      running[k] *= size;
    }
    if (result[d] == 1) continue;
    bool merges = !sizes.empty();
    for (std::size_t k = 0; merges && k < count; ++k) merges = step[k] == strides[k].back() * sizes.back();
    if (merges) {
      sizes.back() *= result[d];
    } else {
      sizes.push_back(result[d]);
      for (std::size_t k = 0; k < count; ++k) strides[k].push_back(step[k]);
    }
  }
  if (sizes.empty()) {
    sizes.push_back(1);
    for (auto& stride : strides) stride.push_back(1);
  }
  std::reverse(sizes.begin(), sizes.end());
  for (auto& stride : strides) std::reverse(stride.begin(), stride.end());
}

Tensor result_in_place(ir::EvalContext& ctx, std::initializer_list<int> operands, DataType dtype, const Shape& shape) {
  for (int i : operands) {
    const Tensor& operand = ctx.input(i);
    if (operand.dtype() == dtype && operand.shape() == shape && operand.sole_owner()) return ctx.take_input(i);
  }
  return Tensor(dtype, shape);
}

DataType dtype_or_attr(const ir::InferContext& ctx, int i, const char* name) {
  const DataType dtype = ctx.input_dtype(i);
  return dtype != DataType::kInvalid ? dtype : ctx.attrs().get_or<DataType>(name, DataType::kInvalid);
}

}  // namespace tenon::ops
