// Reductions of rows by segment number: sorted, unsorted, and over rows picked by index.
#include <cmath>
#include <limits>

#include "ops/joining.h"
#include "ops/elementwise.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

struct MaxOf {
  template <class C>
  static C start() {
    return std::is_integral_v<C> ? std::numeric_limits<C>::lowest() : -std::numeric_limits<C>::infinity();
  }
  template <class C>
  static C join(C a, C b) {
    return b > a || b != b ? b : a;
  }
};

struct MinOf {
  template <class C>
  static C start() {
    return std::is_integral_v<C> ? std::numeric_limits<C>::max() : std::numeric_limits<C>::infinity();
  }
  template <class C>
  static C join(C a, C b) {
    return b < a || b != b ? b : a;
  }
};

// What becomes of a sum of `count` rows.
enum class Finish { kPlain, kMean, kSqrtN };

template <class C>
C finished(C sum, std::int64_t count, Finish finish) {
  if (finish == Finish::kPlain || count == 0) return sum;
  if constexpr (std::is_integral_v<C>) {
    return static_cast<C>(static_cast<double>(sum) / (finish == Finish::kMean ? static_cast<double>(count) : std::sqrt(count)));
  } else {
    const double divisor = finish == Finish::kMean ? static_cast<double>(count) : std::sqrt(static_cast<double>(count));
    if constexpr (kIsComplex<C>) return sum / C(static_cast<typename C::value_type>(divisor));
    else return static_cast<C>(sum / static_cast<C>(divisor));
  }
}

// Which rows of the data go to which segment: row(i) of `data` belongs to segments[i].
struct Assignment {
  std::vector<std::int64_t> segments;  // negative: dropped
  std::vector<std::int64_t> rows;      // empty: row i
  std::int64_t count = 0;              // of segments
  std::int64_t width = 1;              // elements of a row
};

template <class T, class Fold>
void fold_segments(const T* in, T* out, const Assignment& a, Finish finish, ComputeType<T> start, ComputeType<T> empty) {
  using C = ComputeType<T>;
  std::vector<C> sums(static_cast<std::size_t>(a.count * a.width), start);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(a.count), 0);
  for (std::size_t i = 0; i < a.segments.size(); ++i) {
    if (a.segments[i] < 0) continue;
    const T* row = in + (a.rows.empty() ? static_cast<std::int64_t>(i) : a.rows[i]) * a.width;
    C* sum = sums.data() + a.segments[i] * a.width;
    for (std::int64_t j = 0; j < a.width; ++j) sum[j] = Fold::template join<C>(sum[j], static_cast<C>(row[j]));
    ++counts[static_cast<std::size_t>(a.segments[i])];
  }
  for (std::int64_t s = 0; s < a.count; ++s) {
    const std::int64_t count = counts[static_cast<std::size_t>(s)];
    for (std::int64_t j = 0; j < a.width; ++j) {
      const C sum = sums[static_cast<std::size_t>(s * a.width + j)];
      out[s * a.width + j] = static_cast<T>(count == 0 ? empty : finished<C>(sum, count, finish));
    }
  }
}

std::vector<std::int64_t> small_integers(const EvalContext& ctx, int i) {
  if (ctx.input(i).dtype() != DataType::kInt16) return ctx.integers(i);
  const auto values = ctx.input(i).flat<std::int16_t>();
  return {values.begin(), values.end()};
}

// Segment numbers that do not decrease, from 0 upwards.
void check_sorted(const EvalContext& ctx, const std::vector<std::int64_t>& ids, std::int64_t limit) {
  std::int64_t last = 0;
  for (std::int64_t id : ids) {
    if (id < last || id >= limit) ctx.fail_node("segment ids must ascend in [0, {}), found {} after {}", limit, id, last);
    last = id;
  }
}

Shape segments_shape(const Tensor& data, std::int64_t count, int ids_rank) {
  std::vector<std::int64_t> dims{count};
  dims.insert(dims.end(), data.shape().begin() + ids_rank, data.shape().end());
  return Shape(std::move(dims));
}

std::int64_t row_width(const Tensor& data, int from) {
  std::int64_t width = 1;
  for (int d = from; d < data.rank(); ++d) width *= data.dim(d);
  return width;
}

// Extremes over no rows: the last finite number.
template <class T>
ComputeType<T> last_finite(bool largest) {
  using C = ComputeType<T>;
  C last = std::numeric_limits<C>::max();
  if constexpr (std::is_same_v<T, Half>) last = 65504.0f;
  if constexpr (std::is_same_v<T, BFloat16>) last = 0x1.fep127f;
  return largest ? last : std::is_integral_v<C> ? std::numeric_limits<C>::lowest() : -last;
}

// `unsorted`: segments without rows hold what folding starts from, else zero (one for products).
template <class Types, class Fold>
void run_segments(EvalContext& ctx, const Tensor& data, const Assignment& a, int ids_rank, Finish finish, bool unsorted) {
  Tensor& out = ctx.allocate(0, data.dtype(), segments_shape(data, a.count, ids_rank));
  visit_dtype(Types{}, data.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    C start = Fold::template start<C>(), empty(0);
    if constexpr (std::is_same_v<Fold, Product>) empty = C(1);
    if constexpr (std::is_same_v<Fold, MaxOf> || std::is_same_v<Fold, MinOf>) {
      if (unsorted) start = empty = last_finite<T>(std::is_same_v<Fold, MinOf>);
    }
    fold_segments<T, Fold>(data.flat<T>().data(), out.flat<T>().data(), a, finish, start, empty);
  });
}

// Operands data, ids. The last id says how many segments there are.
void infer_segment(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(1, 1);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) {
    if (shape.rank() == 0) ctx.fail_node("the data must have rank 1 at least");
    const auto ids = ctx.constant_integers(1);
    shape[0] = ids ? Dim(ids->empty() ? 0 : std::max<std::int64_t>(0, ids->back() + 1)) : ctx.fresh();
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

template <class Types, class Fold, Finish finish>
void evaluate_segment(EvalContext& ctx) {
  const Tensor data = ctx.input(0);
  Assignment a;
  a.segments = ctx.integers(1);
  if (data.rank() == 0 || ctx.input(1).rank() != 1 || ctx.input(1).dim(0) != data.dim(0)) {
    ctx.fail_node("{} does not fit segment ids {}", data.describe(), ctx.input(1).describe());
  }
  check_sorted(ctx, a.segments, std::numeric_limits<std::int64_t>::max());
  a.count = a.segments.empty() ? 0 : a.segments.back() + 1;
  a.width = row_width(data, 1);
  run_segments<Types, Fold>(ctx, data, a, 1, finish, false);
}

// Operands data, ids (any leading shape of data), number of segments. Rows with negative ids are dropped.
void infer_unsorted(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape &data = ctx.input_shape(0), &ids = ctx.input_shape(1);
  PartialShape shape;
  if (data.known_rank() && ids.known_rank()) {
    if (ids.rank() > data.rank()) ctx.fail_node("segment ids {} do not fit data {}", ids.to_string(), data.to_string());
    const auto count = ctx.dims(2);
    std::vector<Dim> dims{count && count->size() == 1 ? (*count)[0] : ctx.fresh()};
    dims.insert(dims.end(), data.dims().begin() + ids.rank(), data.dims().end());
    shape = PartialShape(std::move(dims));
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

template <class Types, class Fold>
void evaluate_unsorted(EvalContext& ctx) {
  const Tensor data = ctx.input(0);
  const Tensor& ids = ctx.input(1);
  Assignment a;
  a.segments = small_integers(ctx, 1);
  a.count = ctx.integer(2);
  if (a.count < 0) ctx.fail_node("the number of segments is {}", a.count);
  if (ids.rank() > data.rank() || !std::equal(ids.shape().begin(), ids.shape().end(), data.shape().begin())) {
    ctx.fail_node("the shape of segment ids {} must begin that of {}", ids.describe(), data.describe());
  }
  a.width = row_width(data, ids.rank());
  for (std::int64_t id : a.segments) {
    if (id >= a.count) ctx.fail_node("segment id {} is outside [0, {})", id, a.count);
  }
  run_segments<Types, Fold>(ctx, data, a, ids.rank(), Finish::kPlain, true);
}

// Operands data, indices, ids and perhaps the number of segments.
void infer_sparse(InferContext& ctx) {
  ctx.expect_inputs(3, 4);
  ctx.expect_rank(1, 1);
  ctx.expect_rank(2, 1);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) {
    if (shape.rank() == 0) ctx.fail_node("the data must have rank 1 at least");
    shape[0] = ctx.fresh();
    if (ctx.num_inputs() == 4) {
      const auto count = ctx.dims(3);
      if (count && count->size() == 1) shape[0] = (*count)[0];
    } else if (const auto ids = ctx.constant_integers(2)) {
      shape[0] = Dim(ids->empty() ? 0 : std::max<std::int64_t>(0, ids->back() + 1));
    }
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

template <Finish finish>
void evaluate_sparse(EvalContext& ctx) {
  const Tensor data = ctx.input(0);
  Assignment a;
  a.rows = ctx.integers(1);
  a.segments = ctx.integers(2);
  if (data.rank() == 0 || a.rows.size() != a.segments.size() || ctx.input(1).rank() != 1 || ctx.input(2).rank() != 1) {
    ctx.fail_node("indices {} and segment ids {} must be vectors of one length, the data of rank 1 at least", ctx.input(1).describe(),
                  ctx.input(2).describe());
  }
  const bool counted = ctx.num_inputs() == 4;
  const std::int64_t limit = counted ? ctx.integer(3) : std::numeric_limits<std::int64_t>::max();
  if (limit < 0) ctx.fail_node("the number of segments is {}", limit);
  check_sorted(ctx, a.segments, limit);
  for (std::int64_t row : a.rows) {
    if (row < 0 || row >= data.dim(0)) ctx.fail_node("index {} is outside [0, {})", row, data.dim(0));
  }
  a.count = counted ? limit : a.segments.empty() ? 0 : a.segments.back() + 1;
  a.width = row_width(data, 1);
  run_segments<RealNumbers, Sum>(ctx, data, a, 1, finish, false);
}

constexpr ir::OpDef kOps[] = {
    {"segment_sum", infer_segment, evaluate_segment<Numbers, Sum, Finish::kPlain>},
    {"segment_mean", infer_segment, evaluate_segment<Numbers, Sum, Finish::kMean>},
    {"segment_prod", infer_segment, evaluate_segment<Numbers, Product, Finish::kPlain>},
    {"segment_max", infer_segment, evaluate_segment<RealNumbers, MaxOf, Finish::kPlain>},
    {"segment_min", infer_segment, evaluate_segment<RealNumbers, MinOf, Finish::kPlain>},
    {"unsorted_segment_sum", infer_unsorted, evaluate_unsorted<Numbers, Sum>},
    {"unsorted_segment_prod", infer_unsorted, evaluate_unsorted<Numbers, Product>},
    {"unsorted_segment_max", infer_unsorted, evaluate_unsorted<RealNumbers, MaxOf>},
    {"unsorted_segment_min", infer_unsorted, evaluate_unsorted<RealNumbers, MinOf>},
    {"sparse_segment_sum", infer_sparse, evaluate_sparse<Finish::kPlain>},
    {"sparse_segment_mean", infer_sparse, evaluate_sparse<Finish::kMean>},
    {"sparse_segment_sqrt_n", infer_sparse, evaluate_sparse<Finish::kSqrtN>},
};

constexpr ImportRule kRules[] = {
    {"SegmentSum", "segment_sum"},
    {"SegmentMean", "segment_mean"},
    {"SegmentProd", "segment_prod"},
    {"SegmentMax", "segment_max"},
    {"SegmentMin", "segment_min"},
    {"UnsortedSegmentSum", "unsorted_segment_sum"},
    {"UnsortedSegmentProd", "unsorted_segment_prod"},
    {"UnsortedSegmentMax", "unsorted_segment_max"},
    {"UnsortedSegmentMin", "unsorted_segment_min"},
    {"SegmentSumV2", "unsorted_segment_sum"},
    {"SegmentProdV2", "unsorted_segment_prod"},
    {"SegmentMaxV2", "unsorted_segment_max"},
    {"SegmentMinV2", "unsorted_segment_min"},
    {"SparseSegmentSum", "sparse_segment_sum"},
    {"SparseSegmentMean", "sparse_segment_mean"},
    {"SparseSegmentSqrtN", "sparse_segment_sqrt_n"},
    {"SparseSegmentSumWithNumSegments", "sparse_segment_sum"},
    {"SparseSegmentMeanWithNumSegments", "sparse_segment_mean"},
    {"SparseSegmentSqrtNWithNumSegments", "sparse_segment_sqrt_n"},
};

}  // namespace

const OpFamily& segment_family() {
  static const OpFamily family{"segment", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
