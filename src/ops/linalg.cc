// Linear algebra by triangular factors: Cholesky, LU, inverses, determinants, solving.
#include "ops/linalg.h"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <Eigen/QR>
#include <limits>

#include "ops/registry.h"

namespace tenon::ops {

template <class W>
Wide<W> read_matrix(const Tensor& t, std::int64_t b, std::int64_t rows, std::int64_t cols) {
  Wide<W> matrix(rows, cols);
  visit_dtype(TypeList<float, double, Half, std::complex<float>, Complex>{}, t.dtype(), "matrix", [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (kIsComplex<W> || !kIsComplex<T>) {
      const T* from = t.flat<T>().data() + b * rows * cols;
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c) matrix(r, c) = W(*from++);
      }
    }
  });
  return matrix;
}

template <class W>
void write_matrix(Tensor& t, std::int64_t b, const Wide<W>& matrix) {
  visit_dtype(TypeList<float, double, Half, std::complex<float>, Complex>{}, t.dtype(), "matrix", [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (kIsComplex<T> || !kIsComplex<W>) {
      T* to = t.flat<T>().data() + b * matrix.size();
      for (Eigen::Index r = 0; r < matrix.rows(); ++r) {
        for (Eigen::Index c = 0; c < matrix.cols(); ++c) *to++ = static_cast<T>(matrix(r, c));
      }
    }
  });
}

template Wide<double> read_matrix<double>(const Tensor&, std::int64_t, std::int64_t, std::int64_t);
template Wide<Complex> read_matrix<Complex>(const Tensor&, std::int64_t, std::int64_t, std::int64_t);
template void write_matrix<double>(Tensor&, std::int64_t, const Wide<double>&);
template void write_matrix<Complex>(Tensor&, std::int64_t, const Wide<Complex>&);

namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_square(InferContext& ctx) {
  ctx.expect_inputs(1);
  expect_square(ctx, 0);
  if (ctx.input_shape(0).known_rank() && ctx.input_shape(0).rank() < 2) ctx.fail_node("the operand must have rank 2 at least");
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

// out = f(matrix) for every matrix of a square batch.
template <class F>
void map_square(EvalContext& ctx, F f) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  Tensor& out = ctx.allocate(0, in.dtype(), in.shape());
  if (in.num_elements() == 0) return;
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) write_matrix<W>(out, b, f(read_matrix<W>(in, b, batch.rows, batch.cols)));
  });
}

template <class W>
using Lu = Eigen::PartialPivLU<Wide<W>>;

// Kept out of line: one instantiation serves every op.
template <class W>
[[gnu::noinline]] Lu<W> factorize(const Wide<W>& matrix) {
  return Lu<W>(matrix);
}

template <class W>
[[gnu::noinline]] Lu<W> factorize_regular(const EvalContext& ctx, const Wide<W>& matrix) {
  Lu<W> lu = factorize(matrix);
  if (!(lu.matrixLU().diagonal().cwiseAbs().minCoeff() > 0)) ctx.fail_node("the matrix is not invertible");
  return lu;
}

template <class W>
[[gnu::noinline]] Wide<W> solved(const Lu<W>& lu, const Wide<W>& right) {
  return lu.solve(right);
}

template <class W>
[[gnu::noinline]] Wide<W> adjoint_if(const Wide<W>& matrix, bool wanted) {
  return wanted ? Wide<W>(matrix.adjoint()) : matrix;
}

// NaN for matrices that are not positive definite.
void evaluate_cholesky(EvalContext& ctx) {
  map_square(ctx, [](const auto& in) {
    using M = std::decay_t<decltype(in)>;
    const Eigen::LLT<M, Eigen::Lower> factor(in);
    if (factor.info() != Eigen::Success) return M(M::Constant(in.rows(), in.cols(), std::numeric_limits<double>::quiet_NaN()));
    return M(factor.matrixL());
  });
}

void evaluate_inverse(EvalContext& ctx) {
  const bool adjoint = ctx.attrs().get_or<bool>("adjoint", false);
  map_square(ctx, [&](const auto& in) {
    using M = std::decay_t<decltype(in)>;
    return solved(factorize_regular(ctx, adjoint_if(in, adjoint)), M(M::Identity(in.rows(), in.cols())));
  });
}

void infer_determinant(InferContext& ctx) {
  ctx.expect_inputs(1);
  expect_square(ctx, 0);
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.set_output(i, dtype_or_attr(ctx, 0), infer_batch(ctx, 0, {}));
}

void infer_log_determinant(InferContext& ctx) {
  ctx.set_num_outputs(2);
  infer_determinant(ctx);
}

// Sign (a point of the unit circle, or 0) and logarithm of the absolute value.
template <class W>
[[gnu::noinline]] std::pair<W, double> log_determinant(const Wide<W>& matrix) {
  if (matrix.rows() == 0) return {W(1), 0.0};
  const Lu<W> lu = factorize(matrix);
  W sign(static_cast<double>(lu.permutationP().determinant()));
  double log = 0;
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    const W pivot = lu.matrixLU()(i, i);
    const double length = std::abs(pivot);
    sign *= length == 0 ? W(0) : pivot / length;
    log += std::log(length);
  }
  return {sign, log};
}

void evaluate_determinant(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  Tensor& out = ctx.allocate(0, in.dtype(), batch_shape(in, {}));
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) {
      const Wide<W> matrix = read_matrix<W>(in, b, batch.rows, batch.cols);
      write_matrix<W>(out, b, Wide<W>::Constant(1, 1, batch.rows == 0 ? W(1) : factorize(matrix).determinant()));
    }
  });
}

// Outputs: sign and logarithm of the absolute value.
void evaluate_log_determinant(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  Tensor& signs = ctx.allocate(0, in.dtype(), batch_shape(in, {}));
  Tensor& logs = ctx.allocate(1, in.dtype(), batch_shape(in, {}));
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) {
      const auto [sign, log] = log_determinant(read_matrix<W>(in, b, batch.rows, batch.cols));
      write_matrix<W>(signs, b, Wide<W>::Constant(1, 1, sign));
      write_matrix<W>(logs, b, Wide<W>::Constant(1, 1, W(log)));
    }
  });
}

// Operands matrix [..., m, n], right-hand sides [..., m, k]; the result is [..., n, k].
void infer_solve(InferContext& ctx) {
  ctx.expect_inputs(2, 3);
  const bool least_squares = ctx.node().is("matrix_solve_ls");
  if (!least_squares) expect_square(ctx, 0);
  PartialShape shape;
  if (ctx.input_shape(0).known_rank() && ctx.input_shape(1).known_rank()) {
    const PartialShape a = infer_batch(ctx, 0, {}), b = infer_batch(ctx, 1, {});
    const Dim rows = matrix_dim(ctx, 0, 2), others = matrix_dim(ctx, 1, 2);
    if (rows.known() && others.known() && rows != others) {
      ctx.fail_node("a matrix of {} rows meets right-hand sides of {}", rows.size(), others.size());
    }
    shape = broadcast_shapes(ctx, a, b);
    shape.dims().push_back(matrix_dim(ctx, 0, 1));
    shape.dims().push_back(matrix_dim(ctx, 1, 1));
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

// f(matrix, right-hand sides, result) for every pair; batches broadcast.
template <class F>
void map_solve(EvalContext& ctx, bool square, F f) {
  const Tensor a = ctx.input(0), b = ctx.input(1);
  const Batch left = batch_of(ctx, 0, square), right = batch_of(ctx, 1, false);
  if (left.rows != right.rows || a.dtype() != b.dtype()) ctx.fail_node("the matrix {} does not fit right-hand sides {}", a.describe(), b.describe());
  const Shape batch_a = batch_shape(a, {}), batch_b = batch_shape(b, {});
  const auto plan = plan_broadcast<2>(ctx, {&batch_a, &batch_b});
  if (!ctx.node().is("matrix_triangular_solve") && batch_a != batch_b) {
    ctx.fail_node("batches of {} and {} differ", a.describe(), b.describe());
  }
  Shape shape = plan.shape;
  shape.push_back(left.cols);
  shape.push_back(right.cols);
  Tensor& out = ctx.allocate(0, a.dtype(), shape);
  if (out.num_elements() == 0) return;
  visit_dtype(WideTypes{}, wide_type(a.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for_rows<2>(plan, nullptr, 1, [&](std::int64_t at, const std::array<std::int64_t, 2>& offsets, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        const Wide<W> x = left.rows == 0 ? Wide<W>(Wide<W>::Zero(left.cols, right.cols))
                                         : Wide<W>(f(read_matrix<W>(a, offsets[0] + i * plan.strides[0].back(), left.rows, left.cols),
                                                     read_matrix<W>(b, offsets[1] + i * plan.strides[1].back(), right.rows, right.cols)));
        write_matrix<W>(out, at + i, x);
      }
    });
  });
}

void evaluate_solve(EvalContext& ctx) {
  const bool adjoint = ctx.attrs().get_or<bool>("adjoint", false);
  map_solve(ctx, true, [&](const auto& a, const auto& b) { return solved(factorize_regular(ctx, adjoint_if(a, adjoint)), b); });
}

void evaluate_triangular_solve(EvalContext& ctx) {
  const bool lower = ctx.attrs().get_or<bool>("lower", true), adjoint = ctx.attrs().get_or<bool>("adjoint", false);
  map_solve(ctx, true, [&](const auto& a, const auto& b) {
    using M = std::decay_t<decltype(a)>;
    const M matrix = adjoint_if(a, adjoint);
    if (lower != adjoint) return M(matrix.template triangularView<Eigen::Lower>().solve(b));
    return M(matrix.template triangularView<Eigen::Upper>().solve(b));
  });
}

// Least squares, with an L2 regularizer when `fast` (normal equations) is set.
void evaluate_solve_ls(EvalContext& ctx) {
  const bool fast = ctx.attrs().get_or<bool>("fast", true);
  const Tensor& l2 = ctx.input(2);
  if (l2.dtype() != DataType::kFloat64 || l2.num_elements() != 1) ctx.fail_node("the regularizer must be a double scalar, it is {}", l2.describe());
  const double regularizer = l2.flat<double>()[0];
  if (regularizer < 0) ctx.fail_node("the regularizer is {}", regularizer);
  map_solve(ctx, false, [&](const auto& a, const auto& b) {
    using M = std::decay_t<decltype(a)>;
    using W = typename M::Scalar;
    if (!fast) return M(Eigen::CompleteOrthogonalDecomposition<M>(a).solve(b));
    const bool tall = a.rows() >= a.cols();
    const M adjoint = a.adjoint();
    M gram = tall ? M(adjoint * a) : M(a * adjoint);
    gram.diagonal().array() += W(regularizer);
    const Eigen::LLT<M> factor(gram);
    if (factor.info() != Eigen::Success) ctx.fail_node("the matrix has not full rank, or is badly conditioned");
    return tall ? M(factor.solve(M(adjoint * b))) : M(adjoint * M(factor.solve(b)));
  });
}

// Outputs: both factors in one matrix, and where each row came from.
void infer_lu(InferContext& ctx) {
  ctx.expect_inputs(1);
  expect_square(ctx, 0);
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
  ctx.set_output(1, ctx.attrs().get_or<DataType>("output_idx_type", DataType::kInt32), infer_batch(ctx, 0, {matrix_dim(ctx, 0, 1)}));
}

void evaluate_lu(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  const DataType index = ctx.attrs().get_or<DataType>("output_idx_type", DataType::kInt32);
  Tensor& out = ctx.allocate(0, in.dtype(), in.shape());
  Tensor& rows = ctx.allocate(1, index, batch_shape(in, {batch.rows}));
  if (in.num_elements() == 0) return;
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) {
      const Lu<W> lu = factorize_regular(ctx, read_matrix<W>(in, b, batch.rows, batch.cols));
      write_matrix<W>(out, b, lu.matrixLU());
      const Eigen::PermutationMatrix<-1, -1, int> from = lu.permutationP().transpose();
      visit_dtype(IndexIntegers{}, index, ctx.node().describe(), [&](auto to) {
        using I = typename decltype(to)::type;
        I* row = rows.flat<I>().data() + b * batch.rows;
        std::copy_n(from.indices().data(), batch.rows, row);
      });
    }
  });
}

constexpr ir::OpDef kOps[] = {
    {"cholesky", infer_square, evaluate_cholesky},
    {"matrix_inverse", infer_square, evaluate_inverse},
    {"matrix_determinant", infer_determinant, evaluate_determinant},
    {"log_matrix_determinant", infer_log_determinant, evaluate_log_determinant},
    {"matrix_solve", infer_solve, evaluate_solve},
    {"matrix_solve_ls", infer_solve, evaluate_solve_ls},
    {"matrix_triangular_solve", infer_solve, evaluate_triangular_solve},
    {"lu", infer_lu, evaluate_lu},
};

constexpr ImportRule kRules[] = {
    {"Cholesky", "cholesky"},
    {"BatchCholesky", "cholesky"},
    {"MatrixInverse", "matrix_inverse"},
    {"BatchMatrixInverse", "matrix_inverse"},
    {"MatrixDeterminant", "matrix_determinant"},
    {"BatchMatrixDeterminant", "matrix_determinant"},
    {"LogMatrixDeterminant", "log_matrix_determinant"},
    {"MatrixSolve", "matrix_solve"},
    {"BatchMatrixSolve", "matrix_solve"},
    {"MatrixSolveLs", "matrix_solve_ls"},
    {"BatchMatrixSolveLs", "matrix_solve_ls"},
    {"MatrixTriangularSolve", "matrix_triangular_solve"},
    {"BatchMatrixTriangularSolve", "matrix_triangular_solve"},
    {"Lu", "lu"},
};

}  // namespace

const OpFamily& linalg_family() {
  static const OpFamily family{"linalg", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
