// Batches of matrices as Eigen sees them.
#pragma once

#include <Eigen/Core>

#include "ops/elementwise.h"

namespace tenon::ops {

// Decompositions run in double precision whatever the operands' dtype: few instantiations, accurate results.
using Complex = std::complex<double>;
template <class W>
using Wide = Eigen::Matrix<W, Eigen::Dynamic, Eigen::Dynamic>;
using WideTypes = TypeList<double, Complex>;

// double or Complex for a dtype; others stay and are refused by visit_dtype.
inline DataType wide_type(DataType dtype) {
  if (dtype == DataType::kFloat32 || dtype == DataType::kFloat16) return DataType::kFloat64;
  return dtype == DataType::kComplex64 ? DataType::kComplex128 : dtype;
}

// The last two dimensions of a tensor are its matrices.
struct Batch {
  std::int64_t count = 1, rows = 0, cols = 0;
};

// Throws for operands of rank below 2.
inline Batch batch_of(const ir::EvalContext& ctx, int i, bool square) {
  const Tensor& t = ctx.input(i);
  if (t.rank() < 2) ctx.fail_node("operand {} must have rank 2 at least, it is {}", i, t.describe());
  Batch batch;
  batch.rows = t.dim(t.rank() - 2);
  batch.cols = t.dim(t.rank() - 1);
  for (int d = 0; d + 2 < t.rank(); ++d) batch.count *= t.dim(d);
  if (square && batch.rows != batch.cols) ctx.fail_node("matrices must be square, the operand is {}", t.describe());
  return batch;
}

// The shape of a batch of other matrices (or vectors, or scalars).
inline Shape batch_shape(const Tensor& t, std::initializer_list<std::int64_t> tail) {
  std::vector<std::int64_t> dims(t.shape().begin(), t.shape().end() - 2);
  dims.insert(dims.end(), tail.begin(), tail.end());
  return Shape(std::move(dims));
}

// Matrix b (rows x cols) of a tensor.
template <class W>
Wide<W> read_matrix(const Tensor& t, std::int64_t b, std::int64_t rows, std::int64_t cols);
// Stores a matrix or a column vector as matrix b of a tensor.
template <class W>
void write_matrix(Tensor& t, std::int64_t b, const Wide<W>& matrix);

extern template Wide<double> read_matrix<double>(const Tensor&, std::int64_t, std::int64_t, std::int64_t);
extern template Wide<Complex> read_matrix<Complex>(const Tensor&, std::int64_t, std::int64_t, std::int64_t);
extern template void write_matrix<double>(Tensor&, std::int64_t, const Wide<double>&);
extern template void write_matrix<Complex>(Tensor&, std::int64_t, const Wide<Complex>&);

// The batch dimensions of operand i followed by `tail`; unknown when the operand's rank is.
inline PartialShape infer_batch(ir::InferContext& ctx, int i, const std::vector<Dim>& tail) {
  const PartialShape& in = ctx.input_shape(i);
  if (!in.known_rank()) return {};
  if (in.rank() < 2) ctx.fail_node("operand {} must have rank 2 at least, its shape is {}", i, in.to_string());
  std::vector<Dim> dims(in.dims().begin(), in.dims().end() - 2);
  dims.insert(dims.end(), tail.begin(), tail.end());
  return PartialShape(std::move(dims));
}

// Size of dimension `from_end` (1: last) of operand i; fresh when unknown.
inline Dim matrix_dim(ir::InferContext& ctx, int i, int from_end) {
  const PartialShape& in = ctx.input_shape(i);
  if (!in.known_rank() || in.rank() < from_end) return ctx.fresh();
  return in[in.rank() - from_end];
}

inline void expect_square(ir::InferContext& ctx, int i) {
  const Dim rows = matrix_dim(ctx, i, 2), cols = matrix_dim(ctx, i, 1);
  if (rows.known() && cols.known() && rows != cols) ctx.fail_node("matrices must be square, the shape is {}", ctx.input_shape(i).to_string());
}

}  // namespace tenon::ops
