// Sparse tensors in coordinate form: indices [n, rank], values [n], shape [rank].
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/reshape.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

Tensor int64_tensor(Shape shape, const std::vector<std::int64_t>& values) {
  Tensor tensor(DataType::kInt64, std::move(shape));
  std::ranges::copy(values, tensor.flat<std::int64_t>().begin());
  return tensor;
}

// Row-major offset of coordinates in `shape`; throws when they lie outside.
std::int64_t offset_of(const EvalContext& ctx, std::span<const std::int64_t> coordinates, const Shape& shape) {
  std::int64_t offset = 0;
  for (int d = 0; d < shape.rank(); ++d) {
    const std::int64_t at = coordinates[static_cast<std::size_t>(d)];
    if (at < 0 || at >= shape[d]) ctx.fail_node("coordinate {} of axis {} is outside {}", at, d, shape.to_string());
    offset = offset * shape[d] + at;
  }
  return offset;
}

// sparse_to_dense: indices (a scalar, a vector or [n, rank]), shape, values (a scalar or [n]), the value elsewhere. With
// attribute validate_indices the indices must be sorted and distinct.
void infer_sparse_to_dense(InferContext& ctx) {
  ctx.expect_inputs(4);
  ctx.set_output(0, ctx.input_dtype(2), listed_shape(ctx, 1));
}

void evaluate_sparse_to_dense(EvalContext& ctx) {
  const Tensor indices = ctx.input(0), values = ctx.input(2), fallback = ctx.input(3);
  const Shape shape = shape_operand(ctx, 1);
  if (indices.rank() > 2) ctx.fail_node("the indices are {}", indices.describe());
  const std::int64_t count = indices.rank() > 0 ? indices.dim(0) : 1;
  const std::int64_t depth = indices.rank() == 2 ? indices.dim(1) : 1;
  if (depth != shape.rank())
    ctx.fail_node("indices {} have {} coordinates for shape {}", indices.describe(), depth, shape.to_string());
  if (values.rank() > 1 || (values.rank() == 1 && values.dim(0) != count))
    ctx.fail_node("values are {} for {} indices", values.describe(), count);
  if (fallback.rank() != 0 || fallback.dtype() != values.dtype())
    ctx.fail_node("the default value is {}", fallback.describe());
  const std::vector<std::int64_t> coordinates = ctx.integers(0);
  const bool validate = ctx.attrs().get_or<bool>("validate_indices", true);
  Tensor& output = ctx.allocate(0, values.dtype(), shape);
  set_all(output, fallback);
  std::int64_t before = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = offset_of(
        ctx, std::span(coordinates).subspan(static_cast<std::size_t>(i * depth), static_cast<std::size_t>(depth)), shape);
    if (validate && at <= before) ctx.fail_node("index {} is repeated or out of order", i);
    before = at;
    copy_range(output, at, values, values.rank() == 0 ? 0 : i, 1);
  }
}

// sparse_tensor_dense_add: indices, values, shape, and the dense tensor it is added to.
void infer_sparse_tensor_dense_add(InferContext& ctx) {
  ctx.expect_inputs(4);
  ctx.set_output(0, ctx.input_dtype(3), ctx.input_shape(3));
}

void check_sparse(const EvalContext& ctx, int first) {
  const Tensor& indices = ctx.input(first);
  const Tensor& values = ctx.input(first + 1);
  const Tensor& shape = ctx.input(first + 2);
  if (indices.rank() != 2 || values.rank() != 1 || shape.rank() != 1 || indices.dim(0) != values.dim(0) ||
      indices.dim(1) != shape.dim(0)) {
    ctx.fail_node("indices {}, values {} and shape {} are no sparse tensor", indices.describe(), values.describe(),
                  shape.describe());
  }
}

void evaluate_sparse_tensor_dense_add(EvalContext& ctx) {
  check_sparse(ctx, 0);
  const Tensor values = ctx.input(1);
  const Shape shape = shape_operand(ctx, 2);
  const std::vector<std::int64_t> coordinates = ctx.integers(0);
  if (shape != ctx.input(3).shape() || values.dtype() != ctx.input(3).dtype()) {
    ctx.fail_node("a sparse tensor {}{} cannot be added to {}", dtype_name(values.dtype()), shape.to_string(),
                  ctx.input(3).describe());
  }
  Tensor output = ctx.input(3).clone();
  const auto depth = static_cast<std::size_t>(shape.rank());
  visit_dtype(Numbers{}, output.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const auto from = values.flat<T>();
    for (std::size_t i = 0; i < from.size(); ++i) {
      T& to =
          output
              .flat<T>()[static_cast<std::size_t>(offset_of(ctx, std::span(coordinates).subspan(i * depth, depth), shape))];
      to = static_cast<T>(static_cast<C>(to) + static_cast<C>(from[i]));
    }
  });
  ctx.set_output(0, std::move(output));
}

// sparse_reshape: indices, shape, new shape (with perhaps one -1); outputs the indices and the shape.
void infer_sparse_reshape(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.expect_rank(0, 2);
  const Dim count = ctx.input_shape(0).known_rank() ? ctx.input_shape(0)[0] : ctx.fresh();
  const auto rank = known_length(ctx, 2);
  const Dim depth = rank ? Dim(*rank) : ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, depth});
  ctx.set_output(1, DataType::kInt64, PartialShape{depth});
}

void evaluate_sparse_reshape(EvalContext& ctx) {
  const Tensor indices = ctx.input(0);
  const Shape shape = shape_operand(ctx, 1);
  expect_rank(ctx, 0, 2);
  expect_rank(ctx, 2, 1);
  if (indices.dim(1) != shape.rank()) ctx.fail_node("indices {} do not fit shape {}", indices.describe(), shape.to_string());
  std::int64_t elements = 1;
  for (std::int64_t size : shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) ctx.fail_node("shape {} is too large", shape.to_string());
  }
  const Shape target = reshaped_shape(ctx, shape, ctx.integers(2));
  const auto coordinates = ctx.integers(0);
  std::vector<std::int64_t> moved(static_cast<std::size_t>(indices.dim(0) * target.rank()));
  const auto depth = static_cast<std::size_t>(shape.rank()), new_depth = static_cast<std::size_t>(target.rank());
  for (std::size_t i = 0; i < static_cast<std::size_t>(indices.dim(0)); ++i) {
    std::int64_t rest = offset_of(ctx, std::span(coordinates).subspan(i * depth, depth), shape);
    for (std::size_t d = new_depth; d-- > 0;) {
      const std::int64_t size = std::max<std::int64_t>(1, target[static_cast<int>(d)]);
      moved[i * new_depth + d] = rest % size;
      rest /= size;
    }
  }
  ctx.set_output(0, int64_tensor(Shape{indices.dim(0), target.rank()}, moved));
  ctx.set_output(1, int64_tensor(Shape{target.rank()}, target.dims()));
}

// sparse_fill_empty_rows: indices, values, shape, default value; every row without an element gets one in column 0. Outputs
// indices, values, which rows were empty, and where each element went.
void infer_sparse_fill_empty_rows(InferContext& ctx) {
  ctx.expect_inputs(4);
  ctx.expect_rank(0, 2);
  const PartialShape indices = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(2);
  const auto shape = ctx.dims(2);
  const Dim count = ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, indices[1]});
  ctx.set_output(1, ctx.input_dtype(1), PartialShape{count});
  ctx.set_output(2, DataType::kBool, PartialShape{shape && !shape->empty() ? (*shape)[0] : ctx.fresh()});
  ctx.set_output(3, DataType::kInt64, PartialShape{indices[0]});
}

void evaluate_sparse_fill_empty_rows(EvalContext& ctx) {
  check_sparse(ctx, 0);
  const Shape shape = shape_operand(ctx, 2);
  if (shape.rank() == 0) ctx.fail_node("the sparse tensor is a scalar");
  expect_rank(ctx, 3, 0);
  const std::vector<std::int64_t> coordinates = ctx.integers(0);
  const auto depth = static_cast<std::size_t>(shape.rank());
  const std::int64_t rows = shape[0], count = ctx.input(0).dim(0);
  Tensor empty(DataType::kBool, Shape{rows});
  std::vector<std::int64_t> row_count(static_cast<std::size_t>(rows), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const std::int64_t row = coordinates[i * depth];
    if (row < 0 || row >= rows) ctx.fail_node("indices({}, 0) is {}, outside [0, {})", i, row, rows);
    ++row_count[static_cast<std::size_t>(row)];
  }
  std::int64_t total = 0;
  std::vector<std::int64_t> next(static_cast<std::size_t>(rows));  // where the row's next element goes
  for (std::size_t row = 0; row < next.size(); ++row) {
    empty.flat<bool>()[row] = row_count[row] == 0;
    next[row] = total;
    total += std::max<std::int64_t>(1, row_count[row]);
  }
  std::vector<std::int64_t> moved(static_cast<std::size_t>(total) * depth, 0), places(static_cast<std::size_t>(count));
  Tensor values(ctx.input(1).dtype(), Shape{total});
  for (std::size_t row = 0; row < next.size(); ++row) {
    if (row_count[row] != 0) continue;
    moved[static_cast<std::size_t>(next[row]) * depth] = static_cast<std::int64_t>(row);
    copy_range(values, next[row], ctx.input(3), 0, 1);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    places[i] = next[static_cast<std::size_t>(coordinates[i * depth])]++;
    std::copy_n(coordinates.begin() + static_cast<std::ptrdiff_t>(i * depth), depth,
                moved.begin() + places[i] * static_cast<std::ptrdiff_t>(depth));
    copy_range(values, places[i], ctx.input(1), static_cast<std::int64_t>(i), 1);
  }
  ctx.set_output(0, int64_tensor(Shape{total, shape.rank()}, moved));
  ctx.set_output(1, std::move(values));
  ctx.set_output(2, std::move(empty));
  ctx.set_output(3, int64_tensor(Shape{count}, places));
}

constexpr ir::OpDef kOps[] = {
    {"sparse_to_dense", infer_sparse_to_dense, evaluate_sparse_to_dense},
    {"sparse_tensor_dense_add", infer_sparse_tensor_dense_add, evaluate_sparse_tensor_dense_add},
    {"sparse_reshape", infer_sparse_reshape, evaluate_sparse_reshape},
    {"sparse_fill_empty_rows", infer_sparse_fill_empty_rows, evaluate_sparse_fill_empty_rows},
};

constexpr ImportRule kRules[] = {
    {"SparseToDense", "sparse_to_dense"},
    {"SparseTensorDenseAdd", "sparse_tensor_dense_add"},
    {"SparseReshape", "sparse_reshape"},
    {"SparseFillEmptyRows", "sparse_fill_empty_rows"},
};

}  // namespace

const OpFamily& sparse_family() {
  static const OpFamily family{"sparse", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
