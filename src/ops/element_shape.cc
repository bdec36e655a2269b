#include "ops/element_shape.h"

namespace tenon::ops {

PartialShape element_shape_operand(const ir::EvalContext& ctx, int i) {
  const std::vector<std::int64_t> sizes = ctx.integers(i);
  if (ctx.input(i).rank() == 0) {
    if (sizes[0] != -1) ctx.fail_node("a scalar element shape must be -1 (unknown), it is {}", sizes[0]);
    return {};
  }
  std::vector<Dim> dims;
  for (const std::int64_t size : sizes) {
    if (size < -1) ctx.fail_node("element shape has a size of {}", size);
    dims.push_back(size < 0 ? Dim::symbol(0) : Dim(size));
  }
  return PartialShape(std::move(dims));
}

PartialShape element_shape_operand(ir::InferContext& ctx, int i) {
  const PartialShape& own = ctx.input_shape(i);
  if (own.known_rank() && own.rank() == 0) return {};
  if (const auto sizes = ctx.constant_integers(i)) {
    std::vector<Dim> dims;
    for (const std::int64_t size : *sizes) dims.push_back(size < 0 ? ctx.fresh() : Dim(size));
    return PartialShape(std::move(dims));
  }
  if (auto dims = ctx.dims(i)) return PartialShape(*std::move(dims));
  if (own.known_rank() && own[0].known() && own[0].size() < 64) return ctx.fresh_shape(static_cast<int>(own[0].size()));
  return {};
}

std::optional<PartialShape> merge_element_shapes(const PartialShape& a, const PartialShape& b) {
  if (!a.known_rank()) return b;
  if (!b.known_rank()) return a;
  if (a.rank() != b.rank()) return std::nullopt;
  PartialShape merged = a;
  for (int i = 0; i < a.rank(); ++i) {
    if (a[i].known() && b[i].known() && a[i] != b[i]) return std::nullopt;
    if (b[i].known()) merged[i] = b[i];
  }
  return merged;
}

PartialShape with_rows(Dim rows, const PartialShape& shape) {
  if (!shape.known_rank()) return {};
  std::vector<Dim> dims = {rows};
  dims.insert(dims.end(), shape.dims().begin(), shape.dims().end());
  return PartialShape(std::move(dims));
}

Shape with_rows(std::int64_t rows, const Shape& shape) {
  std::vector<std::int64_t> dims = {rows};
  dims.insert(dims.end(), shape.begin(), shape.end());
  return Shape(std::move(dims));
}

PartialShape without_rows(const PartialShape& shape) {
  if (!shape.known_rank() || shape.rank() == 0) return {};
  return PartialShape(std::vector<Dim>(shape.dims().begin() + 1, shape.dims().end()));
}

Shape without_rows(const Shape& shape) { return Shape(std::vector<std::int64_t>(shape.begin() + 1, shape.end())); }

}  // namespace tenon::ops
