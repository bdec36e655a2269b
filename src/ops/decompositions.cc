// Orthogonal decompositions: QR, singular values, eigenvalues. All are computed in double precision.
#include "ops/linalg.h"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <Eigen/SVD>

#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// What a result is that was not asked for.
void set_zero(Tensor& scalar) { write_matrix<double>(scalar, 0, Wide<double>::Zero(1, 1)); }

Dim smaller(InferContext& ctx, Dim a, Dim b) {
  if (a == b) return a;
  return a.known() && b.known() ? Dim(std::min(a.size(), b.size())) : ctx.fresh();
}

// Outputs q [..., m, p] and r [..., p, n]; p is m with full_matrices, else the smaller size.
void infer_qr(InferContext& ctx) {
  ctx.expect_inputs(1);
  const Dim m = matrix_dim(ctx, 0, 2), n = matrix_dim(ctx, 0, 1);
  const Dim p = ctx.attrs().get_or<bool>("full_matrices", false) ? m : smaller(ctx, m, n);
  const DataType dtype = dtype_or_attr(ctx, 0);
  ctx.set_output(0, dtype, infer_batch(ctx, 0, {m, p}));
  ctx.set_output(1, dtype, infer_batch(ctx, 0, {p, n}));
}

void evaluate_qr(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, false);
  const std::int64_t m = batch.rows, n = batch.cols, p = ctx.attrs().get_or<bool>("full_matrices", false) ? m : std::min(m, n);
  Tensor& q = ctx.allocate(0, in.dtype(), batch_shape(in, {m, p}));
  Tensor& r = ctx.allocate(1, in.dtype(), batch_shape(in, {p, n}));
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) {
      if (m == 0 || n == 0) {
        write_matrix(q, b, Wide<W>(Wide<W>::Identity(m, p)));
        continue;
      }
      const Eigen::HouseholderQR<Wide<W>> qr(read_matrix<W>(in, b, m, n));
      write_matrix(q, b, Wide<W>(qr.householderQ() * Wide<W>::Identity(m, p)));
      write_matrix(r, b, Wide<W>(qr.matrixQR().topRows(p).template triangularView<Eigen::Upper>()));
    }
  });
}

// Outputs singular values, u and v; u and v are scalars, zero, without compute_uv (as in TensorFlow).
void infer_svd(InferContext& ctx) {
  ctx.expect_inputs(1);
  const Dim m = matrix_dim(ctx, 0, 2), n = matrix_dim(ctx, 0, 1), p = smaller(ctx, m, n);
  const bool full = ctx.attrs().get_or<bool>("full_matrices", false);
  const DataType dtype = dtype_or_attr(ctx, 0);
  ctx.set_output(0, dtype, infer_batch(ctx, 0, {p}));
  if (ctx.attrs().get_or<bool>("compute_uv", true)) {
    ctx.set_output(1, dtype, infer_batch(ctx, 0, {m, full ? m : p}));
    ctx.set_output(2, dtype, infer_batch(ctx, 0, {n, full ? n : p}));
  } else {
    ctx.set_output(1, dtype, Shape{});
    ctx.set_output(2, dtype, Shape{});
  }
}

void evaluate_svd(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, false);
  const std::int64_t m = batch.rows, n = batch.cols, p = std::min(m, n);
  const bool with_vectors = ctx.attrs().get_or<bool>("compute_uv", true), full = ctx.attrs().get_or<bool>("full_matrices", false);
  const std::int64_t pu = full ? m : p, pv = full ? n : p;
  Tensor& s = ctx.allocate(0, in.dtype(), batch_shape(in, {p}));
  Tensor& u = ctx.allocate(1, in.dtype(), with_vectors ? batch_shape(in, {m, pu}) : Shape{});
  Tensor& v = ctx.allocate(2, in.dtype(), with_vectors ? batch_shape(in, {n, pv}) : Shape{});
  if (!with_vectors) set_zero(u), set_zero(v);
  const unsigned options = !with_vectors ? 0 : full ? Eigen::ComputeFullU | Eigen::ComputeFullV : Eigen::ComputeThinU | Eigen::ComputeThinV;
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) {
      if (p == 0) {
        if (with_vectors) write_matrix(u, b, Wide<W>(Wide<W>::Identity(m, pu))), write_matrix(v, b, Wide<W>(Wide<W>::Identity(n, pv)));
        continue;
      }
      const Eigen::JacobiSVD<Wide<W>> svd(read_matrix<W>(in, b, m, n), options);
      write_matrix(s, b, Wide<double>(svd.singularValues()));
      if (!with_vectors) continue;
      write_matrix(u, b, Wide<W>(svd.matrixU()));
      write_matrix(v, b, Wide<W>(svd.matrixV()));
    }
  });
}

// Outputs eigenvalues, ascending, and eigenvectors as columns (a scalar, zero, without compute_v).
void infer_self_adjoint_eig(InferContext& ctx) {
  ctx.expect_inputs(1);
  expect_square(ctx, 0);
  const Dim n = matrix_dim(ctx, 0, 1);
  const DataType dtype = dtype_or_attr(ctx, 0);
  ctx.set_output(0, dtype, infer_batch(ctx, 0, {n}));
  ctx.set_output(1, dtype, ctx.attrs().get_or<bool>("compute_v", true) ? infer_batch(ctx, 0, {n, n}) : PartialShape(Shape{}));
}

void evaluate_self_adjoint_eig(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  const std::int64_t n = batch.rows;
  const bool with_vectors = ctx.attrs().get_or<bool>("compute_v", true);
  Tensor& values = ctx.allocate(0, in.dtype(), batch_shape(in, {n}));
  Tensor& vectors = ctx.allocate(1, in.dtype(), with_vectors ? batch_shape(in, {n, n}) : Shape{});
  if (!with_vectors) set_zero(vectors);
  if (in.num_elements() == 0) return;
  visit_dtype(WideTypes{}, wide_type(in.dtype()), ctx.node().describe(), [&](auto tag) {
    using W = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch.count; ++b) {
      const Eigen::SelfAdjointEigenSolver<Wide<W>> eig(read_matrix<W>(in, b, n, n), with_vectors ? Eigen::ComputeEigenvectors : Eigen::EigenvaluesOnly);
      if (eig.info() != Eigen::Success) ctx.fail_node("the eigenvalues of the matrix were not found");
      write_matrix(values, b, Wide<double>(eig.eigenvalues()));
      if (with_vectors) write_matrix(vectors, b, Wide<W>(eig.eigenvectors()));
    }
  });
}

// The old form: one output [..., n + 1, n], eigenvalues in the first row.
void infer_stacked_eig(InferContext& ctx) {
  ctx.expect_inputs(1);
  expect_square(ctx, 0);
  const Dim n = matrix_dim(ctx, 0, 1);
  ctx.set_output(0, dtype_or_attr(ctx, 0), infer_batch(ctx, 0, {n.known() ? Dim(n.size() + 1) : ctx.fresh(), n}));
}

void evaluate_stacked_eig(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  const std::int64_t n = batch.rows;
  Tensor& out = ctx.allocate(0, in.dtype(), batch_shape(in, {n + 1, n}));
  if (in.num_elements() == 0) return;
  for (std::int64_t b = 0; b < batch.count; ++b) {
    const Eigen::SelfAdjointEigenSolver<Wide<double>> eig(read_matrix<double>(in, b, n, n));
    if (eig.info() != Eigen::Success) ctx.fail_node("the eigenvalues of the matrix were not found");
    Wide<double> stacked(n + 1, n);
    stacked.row(0) = eig.eigenvalues().transpose();
    stacked.bottomRows(n) = eig.eigenvectors();
    write_matrix(out, b, stacked);
  }
}

// Eigenvalues of any square matrix; the results are complex.
void infer_eig(InferContext& ctx) {
  ctx.expect_inputs(1);
  expect_square(ctx, 0);
  const Dim n = matrix_dim(ctx, 0, 1);
  const auto dtype = ctx.attrs().get<DataType>("Tout");
  ctx.set_output(0, dtype, infer_batch(ctx, 0, {n}));
  ctx.set_output(1, dtype, ctx.attrs().get_or<bool>("compute_v", true) ? infer_batch(ctx, 0, {n, n}) : PartialShape(Shape{}));
}

void evaluate_eig(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Batch batch = batch_of(ctx, 0, true);
  const std::int64_t n = batch.rows;
  const bool with_vectors = ctx.attrs().get_or<bool>("compute_v", true);
  const auto dtype = ctx.attrs().get<DataType>("Tout");
  Tensor& values = ctx.allocate(0, dtype, batch_shape(in, {n}));
  Tensor& vectors = ctx.allocate(1, dtype, with_vectors ? batch_shape(in, {n, n}) : Shape{});
  if (!with_vectors) set_zero(vectors);
  if (in.num_elements() == 0) return;
  for (std::int64_t b = 0; b < batch.count; ++b) {
    const Eigen::ComplexEigenSolver<Wide<Complex>> eig(read_matrix<Complex>(in, b, n, n), with_vectors);
    if (eig.info() != Eigen::Success) ctx.fail_node("the eigenvalues of the matrix were not found");
    write_matrix(values, b, Wide<Complex>(eig.eigenvalues()));
    if (with_vectors) write_matrix(vectors, b, Wide<Complex>(eig.eigenvectors()));
  }
}

constexpr ir::OpDef kOps[] = {
    {"qr", infer_qr, evaluate_qr},
    {"svd", infer_svd, evaluate_svd},
    {"self_adjoint_eig", infer_self_adjoint_eig, evaluate_self_adjoint_eig},
    {"self_adjoint_eig_stacked", infer_stacked_eig, evaluate_stacked_eig},
    {"eig", infer_eig, evaluate_eig},
};

constexpr ImportRule kRules[] = {
    {"Qr", "qr"},
    {"Svd", "svd"},
    {"BatchSvd", "svd"},
    {"SelfAdjointEigV2", "self_adjoint_eig"},
    {"BatchSelfAdjointEigV2", "self_adjoint_eig"},
    {"SelfAdjointEig", "self_adjoint_eig_stacked"},
    {"BatchSelfAdjointEig", "self_adjoint_eig_stacked"},
    {"Eig", "eig"},
};

}  // namespace

const OpFamily& decompositions_family() {
  static const OpFamily family{"decompositions", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
