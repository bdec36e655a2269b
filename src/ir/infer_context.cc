#include "ir/infer_context.h"

#include <algorithm>

namespace tenon::ir {

const ValueType& InferContext::input(int i) const {
  if (i < 0 || i >= num_inputs()) fail_node("has {} inputs, needs at least {}", num_inputs(), i + 1);
  const Value value = node_.inputs[static_cast<std::size_t>(i)];
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

const Tensor* InferContext::constant(int i) const {
  input(i);
  return facts_.constant(node_.inputs[static_cast<std::size_t>(i)]);
}

std::optional<std::vector<std::int64_t>> InferContext::constant_integers(int i) const {
  const Tensor* tensor = constant(i);
  if (tensor == nullptr || tensor->rank() > 1) return std::nullopt;
  if (tensor->dtype() == DataType::kInt32) {
    const auto values = tensor->flat<std::int32_t>();
    return std::vector<std::int64_t>(values.begin(), values.end());
  }
  if (tensor->dtype() == DataType::kInt64) {
    const auto values = tensor->flat<std::int64_t>();
    return std::vector<std::int64_t>(values.begin(), values.end());
  }
  return std::nullopt;
}

std::optional<std::vector<Dim>> InferContext::dims(int i) const {
  input(i);
  return facts_.dims(node_.inputs[static_cast<std::size_t>(i)]);
}

void InferContext::set_num_outputs(int count) { node_.outputs.resize(static_cast<std::size_t>(count)); }

void InferContext::set_output(int i, DataType dtype, PartialShape shape) {
  if (i >= num_outputs()) set_num_outputs(i + 1);
  node_.outputs[static_cast<std::size_t>(i)] = {dtype, std::move(shape)};
}

void InferContext::expect_inputs(int least, int most) const {
  if (num_inputs() < least || num_inputs() > most) {
    if (least == most) fail_node("has {} inputs, needs {}", num_inputs(), least);
    fail_node("has {} inputs, needs {} to {}", num_inputs(), least, most);
  }
}

void InferContext::expect_rank(int i, int rank) const {
  const PartialShape& shape = input_shape(i);
  if (shape.known_rank() && shape.rank() != rank) {
    fail_node("input {} must have rank {}, its shape is {}", i, rank, shape.to_string());
  }
}

PartialShape broadcast_shapes(InferContext& ctx, const PartialShape& a, const PartialShape& b) {
  if (!a.known_rank() || !b.known_rank()) return {};
  const int rank = std::max(a.rank(), b.rank());
  std::vector<Dim> dims(static_cast<std::size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank());
    const int ib = i - (rank - b.rank());
    const Dim da = ia < 0 ? Dim(1) : a[ia];
    const Dim db = ib < 0 ? Dim(1) : b[ib];
    Dim& out = dims[static_cast<std::size_t>(i)];
    if (da == db) {
      out = da;
    } else if (da == Dim(1)) {
      out = db;
    } else if (db == Dim(1)) {
      out = da;
    } else if (da.known() && db.known()) {
      ctx.fail_node("shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    } else if (da.known()) {
      out = da;
    } else if (db.known()) {
      out = db;
    } else {
      out = ctx.fresh();
    }
  }
  return PartialShape(std::move(dims));
}

PartialShape merge_shapes(InferContext& ctx, const PartialShape& a, const PartialShape& b) {
  if (!a.known_rank()) return b;
  if (!b.known_rank()) return a;
  if (a.rank() != b.rank()) ctx.fail_node("shapes {} and {} must be equal", a.to_string(), b.to_string());
  PartialShape merged = a;
  for (int i = 0; i < a.rank(); ++i) {
    if (a[i].known() && b[i].known() && a[i] != b[i]) {
      ctx.fail_node("shapes {} and {} must be equal", a.to_string(), b.to_string());
    }
    if (b[i].known()) merged[i] = b[i];
  }
  return merged;
}

int normalize_axis(const InferContext& ctx, std::int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) ctx.fail_node("axis {} is outside [-{}, {})", axis, rank, rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace tenon::ir
