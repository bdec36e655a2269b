#include "ops/operands.h"

#include <algorithm>

namespace tenon::ops {

std::optional<std::vector<std::int64_t>> known_integers(const ir::InferContext& ctx, int i) {
  if (auto integers = ctx.constant_integers(i)) return integers;
  const auto dims = ctx.dims(i);
  if (!dims) return std::nullopt;
  std::vector<std::int64_t> values;
  for (Dim dim : *dims) {
    if (!dim.known()) return std::nullopt;
    values.push_back(dim.size());
  }
  return values;
}

std::optional<std::int64_t> known_integer(const ir::InferContext& ctx, int i) {
  const auto values = known_integers(ctx, i);
  if (!values) return std::nullopt;
  if (values->size() != 1) ctx.fail_node("input {} must be a scalar, it has {} elements", i, values->size());
  return (*values)[0];
}

std::vector<std::int64_t> integer_elements(const Tensor& tensor) {
  if (tensor.dtype() == DataType::kInt32) {
    const auto values = tensor.flat<std::int32_t>();
    return {values.begin(), values.end()};
  }
  if (tensor.dtype() != DataType::kInt64) {
    fail(ErrorCode::kInvalidModel, "an int32 or int64 tensor is needed, {} was found", tensor.describe());
  }
  const auto values = tensor.flat<std::int64_t>();
  return {values.begin(), values.end()};
}

std::optional<std::vector<std::int64_t>> constant_elements(const ir::InferContext& ctx, int i) {
  const Tensor* tensor = ctx.constant(i);
  if (tensor == nullptr) return std::nullopt;
  return integer_elements(*tensor);
}

std::optional<int> known_length(const ir::InferContext& ctx, int i) {
  // The value first: a hostile file may state another shape for it.
  std::optional<std::int64_t> count;
  if (const Tensor* constant = ctx.constant(i)) {
    if (constant->rank() <= 1) count = constant->num_elements();
  } else if (const auto dims = ctx.dims(i)) {
    count = static_cast<std::int64_t>(dims->size());
  } else if (ctx.input_shape(i).known_rank() && ctx.input_shape(i).rank() <= 1) {
    count = ctx.input_shape(i).num_elements();
  }
  if (!count) return std::nullopt;
  if (*count > 254) ctx.fail_node("input {} has {} elements, a shape has at most 254", i, *count);
  return static_cast<int>(*count);
}

PartialShape listed_shape(ir::InferContext& ctx, int i) {
  if (auto dims = ctx.dims(i)) return PartialShape(*std::move(dims));
  if (const auto rank = known_length(ctx, i)) return ctx.fresh_shape(*rank);
  return {};
}

Dim multiply(ir::InferContext& ctx, Dim a, Dim b) {
  if (a == Dim(1)) return b;
  if (b == Dim(1)) return a;
  if (a == Dim(0) || b == Dim(0)) return 0;
  std::int64_t size = 0;
  if (!a.known() || !b.known() || __builtin_mul_overflow(a.size(), b.size(), &size)) return ctx.fresh();
  return size;
}

Dim add(ir::InferContext& ctx, Dim a, Dim b) {
  if (a == Dim(0)) return b;
  if (b == Dim(0)) return a;
  std::int64_t size = 0;
  if (!a.known() || !b.known() || __builtin_add_overflow(a.size(), b.size(), &size)) return ctx.fresh();
  return size;
}

Shape shape_operand(const ir::EvalContext& ctx, int i, bool scalar_too) {
  const Tensor& operand = ctx.input(i);
  if (operand.rank() != 1 && !(scalar_too && operand.rank() == 0)) {
    ctx.fail_node("input {} lists sizes and must be a vector, it is {}", i, operand.describe());
  }
  std::vector<std::int64_t> sizes = ctx.integers(i);
  for (std::int64_t size : sizes) {
    if (size < 0) ctx.fail_node("input {} lists the negative size {}", i, size);
  }
  return Shape(std::move(sizes));
}

void expect_rank(const ir::EvalContext& ctx, int i, int rank) {
  if (ctx.input(i).rank() != rank) ctx.fail_node("input {} must have rank {}, it is {}", i, rank, ctx.input(i).describe());
}

Shape broadcast_shape(const ir::EvalContext& ctx, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank());
    const int ib = i - (rank - b.rank());
    const std::int64_t da = ia < 0 ? 1 : a[ia];
    const std::int64_t db = ib < 0 ? 1 : b[ib];
    if (da != db && da != 1 && db != 1) ctx.fail_node("shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    sizes[static_cast<std::size_t>(i)] = da == 1 ? db : da;
  }
  return Shape(std::move(sizes));
}

}  // namespace tenon::ops
