// Sparse matrices times dense ones, and sparse tensors put in order: indices [count, rank], values [count], dense shape [rank].
#include <algorithm>
#include <numeric>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/elements.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using Integers = std::vector<std::int64_t>;

// The sparse operand whose indices, values and shape stand at the three places.
struct Sparse {
  Integers indices;  // count * rank
  Integers shape;
  std::int64_t count = 0;
  std::size_t rank = 0;

  std::span<const std::int64_t> at(std::int64_t i) const { return std::span(indices).subspan(static_cast<std::size_t>(i) * rank, rank); }
};

Sparse sparse_operand(const EvalContext& ctx, int indices, int shape) {
  Sparse sparse;
  const Tensor& matrix = ctx.input(indices);
  sparse.shape = ctx.integers(shape);
  sparse.rank = sparse.shape.size();
  if (matrix.rank() != 2 || static_cast<std::size_t>(matrix.dim(1)) != sparse.rank) {
    ctx.fail_node("indices are {}, the dense shape has {} sizes", matrix.describe(), sparse.rank);
  }
  sparse.indices = ctx.integers(indices);
  sparse.count = matrix.dim(0);
  return sparse;
}

void check_bounds(const EvalContext& ctx, const Sparse& sparse) {
  for (std::int64_t i = 0; i < sparse.count; ++i) {
    for (std::size_t d = 0; d < sparse.rank; ++d) {
      if (sparse.at(i)[d] < 0 || sparse.at(i)[d] >= sparse.shape[d]) {
        ctx.fail_node("indices[{}] has {} in dimension {} of size {}", i, sparse.at(i)[d], d, sparse.shape[d]);
      }
    }
  }
}

void check_values(const EvalContext& ctx, const Tensor& values, std::int64_t count) {
  if (values.rank() != 1 || values.dim(0) != count) ctx.fail_node("{} indices, values {}", count, values.describe());
}

// --- sparse_reorder: indices, values, shape -> row-major order

void infer_reorder(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, DataType::kInt64, ctx.input_shape(0));
  ctx.set_output(1, ctx.input_dtype(1), ctx.input_shape(1));
}

void evaluate_reorder(EvalContext& ctx) {
  const Sparse sparse = sparse_operand(ctx, 0, 2);
  const Tensor& values = ctx.input(1);
  check_values(ctx, values, sparse.count);
  check_bounds(ctx, sparse);
  Integers order(static_cast<std::size_t>(sparse.count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    const auto x = sparse.at(a), y = sparse.at(b);
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
  });
  Tensor& indices = ctx.allocate(0, DataType::kInt64, ctx.input(0).shape());
  Tensor& sorted = ctx.allocate(1, values.dtype(), values.shape());
  auto out = indices.flat<std::int64_t>().begin();
  for (std::int64_t i = 0; i < sparse.count; ++i) {
    const std::int64_t from = order[static_cast<std::size_t>(i)];
    out = std::copy(sparse.at(from).begin(), sparse.at(from).end(), out);
    copy_elements(sorted, i, values, from, 1);
  }
}

// --- sparse_dense_matmul: indices, values, shape, dense; op(sparse) * op(dense)

void infer_sparse_matmul(InferContext& ctx) {
  ctx.expect_inputs(4);
  const auto shape = ctx.dims(2);
  const PartialShape& b = ctx.input_shape(3);
  const bool adjoint_a = ctx.attrs().get_or<bool>("adjoint_a", false), adjoint_b = ctx.attrs().get_or<bool>("adjoint_b", false);
  const Dim rows = shape && shape->size() == 2 ? (*shape)[adjoint_a ? 1 : 0] : ctx.fresh();
  const Dim columns = b.known_rank() && b.rank() == 2 ? b[adjoint_b ? 0 : 1] : ctx.fresh();
  ctx.set_output(0, ctx.input_dtype(1), PartialShape{rows, columns});
}

template <class T>
T conjugate(T value) {
  if constexpr (kIsComplex<T>) return std::conj(value);
  return value;
}

void evaluate_sparse_matmul(EvalContext& ctx) {
  const Sparse a = sparse_operand(ctx, 0, 2);
  const Tensor& values = ctx.input(1);
  const Tensor& b = ctx.input(3);
  const bool adjoint_a = ctx.attrs().get_or<bool>("adjoint_a", false), adjoint_b = ctx.attrs().get_or<bool>("adjoint_b", false);
  check_values(ctx, values, a.count);
  if (a.rank != 2 || b.rank() != 2 || b.dtype() != values.dtype()) ctx.fail_node("the sparse operand has rank {}, the dense one is {}", a.rank, b.describe());
  check_bounds(ctx, a);
  const std::int64_t rows = a.shape[adjoint_a ? 1 : 0], inner = a.shape[adjoint_a ? 0 : 1];
  const std::int64_t columns = b.dim(adjoint_b ? 0 : 1);
  if (b.dim(adjoint_b ? 1 : 0) != inner) ctx.fail_node("inner sizes {} and {} differ", inner, b.dim(adjoint_b ? 1 : 0));
  Tensor out = zeros(values.dtype(), {rows, columns});
  visit_dtype(Numbers{}, values.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    std::vector<C> sums(static_cast<std::size_t>(rows * columns));
    const T* dense = b.flat<T>().data();
    for (std::int64_t i = 0; i < a.count; ++i) {
      const std::int64_t row = a.at(i)[adjoint_a ? 1 : 0], k = a.at(i)[adjoint_a ? 0 : 1];
      const T raw = values.flat<T>()[static_cast<std::size_t>(i)];
      const C value = static_cast<C>(adjoint_a ? conjugate(raw) : raw);
      for (std::int64_t j = 0; j < columns; ++j) {
        const C other = static_cast<C>(adjoint_b ? conjugate(dense[j * inner + k]) : dense[k * columns + j]);
        sums[static_cast<std::size_t>(row * columns + j)] += static_cast<C>(value * other);
      }
    }
    std::transform(sums.begin(), sums.end(), out.flat<T>().begin(), [](C v) { return static_cast<T>(v); });
  });
  ctx.set_output(0, std::move(out));
}

constexpr ir::OpDef kOps[] = {
    {"sparse_reorder", infer_reorder, evaluate_reorder},
    {"sparse_dense_matmul", infer_sparse_matmul, evaluate_sparse_matmul},
};

constexpr ImportRule kRules[] = {
    {"SparseReorder", "sparse_reorder"},
    {"SparseTensorDenseMatMul", "sparse_dense_matmul"},
};

}  // namespace

const OpFamily& sparse_matmul_family() {
  static const OpFamily family{"sparse_matmul", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
