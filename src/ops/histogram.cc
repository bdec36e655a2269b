// Counting: bincounts, histograms of fixed width, buckets.
#include <cmath>

#include "ops/arithmetic.h"
#include "ops/elementwise.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// The size operand of a bincount as a dimension.
Dim bins(InferContext& ctx, int i) {
  const auto size = ctx.dims(i);
  return size && size->size() == 1 ? (*size)[0] : ctx.fresh();
}

void infer_bincount(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, dtype_or_attr(ctx, 2), PartialShape{bins(ctx, 1)});
}

// Operands input (vector or matrix), size, weights.
void infer_dense_bincount(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape& in = ctx.input_shape(0);
  PartialShape shape;
  if (in.known_rank()) {
    if (in.rank() > 2) ctx.fail_node("the input must have rank 2 at most, its shape is {}", in.to_string());
    shape = in.rank() == 2 ? PartialShape{in[0], bins(ctx, 1)} : PartialShape{bins(ctx, 1)};
  }
  ctx.set_output(0, dtype_or_attr(ctx, 2), shape);
}

// Which output row every value falls into, the number of bins, and the weights.
struct Counting {
  std::vector<std::int64_t> values;
  std::vector<std::int64_t> rows;  // empty: all in row 0
  std::int64_t size = 0;
  bool binary = false;  // whether a value occurs, not how often
};

void count_values(EvalContext& ctx, const Counting& c, const Tensor& weights, Tensor& out) {
  if (weights.num_elements() != 0 && weights.num_elements() != static_cast<std::int64_t>(c.values.size())) {
    ctx.fail_node("weights {} must be empty or one for each of the {} values", weights.describe(), c.values.size());
  }
  for (std::int64_t value : c.values) {
    if (value < 0) ctx.fail_node("values must not be negative, found {}", value);
  }
  visit_dtype(Numbers{}, weights.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    std::vector<C> counts(static_cast<std::size_t>(out.num_elements()), C(0));
    for (std::size_t i = 0; i < c.values.size(); ++i) {
      if (c.values[i] >= c.size) continue;
      C& count = counts[static_cast<std::size_t>((c.rows.empty() ? 0 : c.rows[i]) * c.size + c.values[i])];
      const C weight = weights.num_elements() == 0 ? C(1) : static_cast<C>(weights.flat<T>()[i]);
      count = c.binary ? C(1) : arithmetic::Add::apply<C, C>(count, weight);
    }
    for (std::size_t i = 0; i < counts.size(); ++i) out.flat<T>()[i] = static_cast<T>(counts[i]);
  });
}

void evaluate_bincount(EvalContext& ctx) {
  const Tensor in = ctx.input(0), weights = ctx.input(2);
  Counting c;
  c.values = ctx.integers(0);
  c.size = ctx.integer(1);
  c.binary = ctx.attrs().get_or<bool>("binary_output", false);
  if (c.size < 0) ctx.fail_node("the number of bins is {}", c.size);
  const bool by_row = ctx.node().is("dense_bincount") && in.rank() == 2;
  if (ctx.node().is("dense_bincount") && in.rank() > 2) ctx.fail_node("the input must have rank 2 at most, it is {}", in.describe());
  Shape shape{c.size};
  if (by_row) {
    shape = Shape{in.dim(0), c.size};
    for (std::int64_t i = 0; i < in.num_elements(); ++i) c.rows.push_back(i / in.dim(1));
  }
  count_values(ctx, c, weights, ctx.allocate(0, weights.dtype(), shape));
}

// Operands indices [n, rank], values [n], dense shape, size, weights.
void infer_sparse_bincount(InferContext& ctx) {
  ctx.expect_inputs(5);
  PartialShape shape;
  const auto dense = ctx.dims(2);
  if (dense) shape = dense->size() == 2 ? PartialShape{(*dense)[0], bins(ctx, 3)} : PartialShape{bins(ctx, 3)};
  ctx.set_output(0, dtype_or_attr(ctx, 4), shape);
}

void evaluate_sparse_bincount(EvalContext& ctx) {
  const std::vector<std::int64_t> indices = ctx.integers(0), dense = ctx.integers(2);
  const Tensor weights = ctx.input(4);
  Counting c;
  c.values = ctx.integers(1);
  c.size = ctx.integer(3);
  c.binary = ctx.attrs().get_or<bool>("binary_output", false);
  if (c.size < 0) ctx.fail_node("the number of bins is {}", c.size);
  Shape shape{c.size};
  if (dense.size() > 1) {
    if (ctx.input(0).rank() != 2 || indices.size() != c.values.size() * dense.size()) {
      ctx.fail_node("indices {} do not fit {} values of rank {}", ctx.input(0).describe(), c.values.size(), dense.size());
    }
    shape = Shape{dense[0], c.size};
    for (std::size_t i = 0; i < c.values.size(); ++i) {
      const std::int64_t row = indices[i * dense.size()];
      if (row < 0 || row >= dense[0]) ctx.fail_node("index {} is outside [0, {})", row, dense[0]);
      c.rows.push_back(row);
    }
  }
  count_values(ctx, c, weights, ctx.allocate(0, weights.dtype(), shape));
}

// Operands row splits, values, size, weights.
void infer_ragged_bincount(InferContext& ctx) {
  ctx.expect_inputs(4);
  const PartialShape& splits = ctx.input_shape(0);
  const auto rows = splits.known_rank() && splits.rank() == 1 ? splits[0] : Dim::symbol(0);
  const Dim count = rows.known() && rows.size() > 0 ? Dim(rows.size() - 1) : ctx.fresh();
  ctx.set_output(0, dtype_or_attr(ctx, 3), PartialShape{count, bins(ctx, 2)});
}

void evaluate_ragged_bincount(EvalContext& ctx) {
  const std::vector<std::int64_t> splits = ctx.integers(0);
  const Tensor weights = ctx.input(3);
  Counting c;
  c.values = ctx.integers(1);
  c.size = ctx.integer(2);
  c.binary = ctx.attrs().get_or<bool>("binary_output", false);
  if (c.size < 0) ctx.fail_node("the number of bins is {}", c.size);
  if (splits.empty() || splits[0] != 0 || splits.back() != static_cast<std::int64_t>(c.values.size()) ||
      !std::is_sorted(splits.begin(), splits.end())) {
    ctx.fail_node("row splits must ascend from 0 to {}", c.values.size());
  }
  for (std::size_t row = 0; row + 1 < splits.size(); ++row) c.rows.resize(static_cast<std::size_t>(splits[row + 1]), static_cast<std::int64_t>(row));
  Tensor& out = ctx.allocate(0, weights.dtype(), Shape{static_cast<std::int64_t>(splits.size()) - 1, c.size});
  count_values(ctx, c, weights, out);
}

void infer_histogram(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.attrs().get_or<DataType>("dtype", DataType::kInt32), PartialShape{bins(ctx, 2)});
}

// Operands values, range [2], number of bins. What lies outside the range falls into the first or last bin.
void evaluate_histogram(EvalContext& ctx) {
  const Tensor &values = ctx.input(0), &range = ctx.input(1);
  const std::int64_t count = ctx.integer(2);
  if (count <= 0) ctx.fail_node("the number of bins is {}", count);
  if (range.rank() != 1 || range.dim(0) != 2 || range.dtype() != values.dtype()) ctx.fail_node("the range is {}", range.describe());
  std::vector<std::int64_t> counts(static_cast<std::size_t>(count), 0);
  visit_dtype(RealNumbers{}, values.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const C low = range.flat<T>()[0], high = range.flat<T>()[1];
    if (!(low < high)) ctx.fail_node("the range must ascend");
    const double step = (static_cast<double>(high) - static_cast<double>(low)) / static_cast<double>(count);
    for (T stored : values.flat<T>()) {
      const C value = stored;
      if (value != value) ctx.fail_node("a value is NaN");
      const double at = value <= low ? 0.0 : (static_cast<double>(value) - static_cast<double>(low)) / step;
      ++counts[static_cast<std::size_t>(std::min(at, static_cast<double>(count - 1)))];
    }
  });
  Tensor& out = ctx.allocate(0, ctx.attrs().get_or<DataType>("dtype", DataType::kInt32), Shape{count});
  visit_dtype(IndexIntegers{}, out.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::transform(counts.begin(), counts.end(), out.flat<T>().begin(), [](std::int64_t n) { return static_cast<T>(n); });
  });
}

void infer_bucketize(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kInt32, ctx.input_shape(0));
}

// How many boundaries are not above each element.
void evaluate_bucketize(EvalContext& ctx) {
  const auto boundaries = ctx.attrs().get<std::vector<float>>("boundaries");
  if (!std::is_sorted(boundaries.begin(), boundaries.end())) ctx.fail_node("the boundaries must ascend");
  const Tensor in = ctx.input(0);
  Tensor& out = ctx.allocate(0, DataType::kInt32, in.shape());
  visit_dtype(Join<FullFloats, IndexIntegers>{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_elements(ctx.team(), in.flat<T>().data(), out.flat<std::int32_t>().data(), in.num_elements(), [&](T value) {
      const auto first_above = std::upper_bound(boundaries.begin(), boundaries.end(), value);
      return static_cast<std::int32_t>(first_above - boundaries.begin());
    });
  });
}

constexpr ir::OpDef kOps[] = {
    {"bincount", infer_bincount, evaluate_bincount},
    {"dense_bincount", infer_dense_bincount, evaluate_bincount},
    {"sparse_bincount", infer_sparse_bincount, evaluate_sparse_bincount},
    {"ragged_bincount", infer_ragged_bincount, evaluate_ragged_bincount},
    {"histogram_fixed_width", infer_histogram, evaluate_histogram},
    {"bucketize", infer_bucketize, evaluate_bucketize},
};

constexpr ImportRule kRules[] = {
    {"Bincount", "bincount"},
    {"DenseBincount", "dense_bincount"},
    {"SparseBincount", "sparse_bincount"},
    {"RaggedBincount", "ragged_bincount"},
    {"HistogramFixedWidth", "histogram_fixed_width"},
    {"Bucketize", "bucketize"},
};

}  // namespace

const OpFamily& histogram_family() {
  static const OpFamily family{"histogram", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
