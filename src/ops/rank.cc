// Ops that order elements: positions of extremes, the k largest, the n-th smallest, membership in the top k.
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/elementwise.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_arg_extreme(InferContext& ctx) {
  ctx.expect_inputs(2);
  const auto dtype = ctx.attrs().get_or<DataType>("output_type", DataType::kInt64);
  const PartialShape& in = ctx.input_shape(0);
  PartialShape shape;
  if (in.known_rank()) {
    if (in.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
    const auto axis = ctx.constant_integers(1);
    if (axis && axis->size() == 1) {
      shape = in;
      shape.dims().erase(shape.dims().begin() + normalize_axis(ctx, (*axis)[0], in.rank()));
    } else {
      shape = ctx.fresh_shape(in.rank() - 1);
    }
  }
  ctx.set_output(0, dtype, shape);
}

// Position of the first element above (below) all others along an axis; a NaN is never above.
template <bool kLargest, class T, class I>
void arg_extreme(const T* in, I* out, std::int64_t outer, std::int64_t size, std::int64_t inner) {
  using C = ComputeType<T>;
  C start;
  if constexpr (std::is_same_v<T, bool>) {
    start = !kLargest;
  } else if constexpr (kIsHalf<T>) {
    start = static_cast<C>(T(kLargest ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity()));
  } else {
    start = kLargest ? std::numeric_limits<C>::lowest() : std::numeric_limits<C>::max();
  }
  std::vector<C> best(static_cast<std::size_t>(inner));
  for (std::int64_t o = 0; o < outer; ++o) {
    std::fill(best.begin(), best.end(), start);
    I* at = out + o * inner;
    std::fill_n(at, inner, I(0));
    for (std::int64_t i = 0; i < size; ++i) {
      const T* row = in + (o * size + i) * inner;
      for (std::int64_t j = 0; j < inner; ++j) {
        const C v = row[j];
        C b = best[static_cast<std::size_t>(j)];
        if (kLargest ? v > b : v < b) {
          best[static_cast<std::size_t>(j)] = v;
          at[j] = static_cast<I>(i);
        }
      }
    }
  }
}

using PositionTypes = TypeList<std::int16_t, std::uint16_t, std::int32_t, std::int64_t>;

template <bool kLargest>
void evaluate_arg_extreme(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  if (in.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
  std::vector<std::int64_t> dimension;
  if (ctx.input(1).dtype() == DataType::kInt16) {
    dimension = {ctx.input(1).flat<std::int16_t>().begin(), ctx.input(1).flat<std::int16_t>().end()};
  } else {
    dimension = ctx.integers(1);
  }
  if (dimension.size() != 1) ctx.fail_node("the dimension must be a scalar, it is {}", ctx.input(1).describe());
  const int axis = ctx.normalize_axis(dimension[0], in.rank());
  Shape shape;
  std::int64_t outer = 1, inner = 1;
  for (int d = 0; d < in.rank(); ++d) {
    if (d < axis) outer *= in.dim(d);
    if (d > axis) inner *= in.dim(d);
    if (d != axis) shape.push_back(in.dim(d));
  }
  Tensor& out = ctx.allocate(0, ctx.attrs().get_or<DataType>("output_type", DataType::kInt64), shape);
  if (out.num_elements() == 0) return;
  if (in.dim(axis) == 0) ctx.fail_node("axis {} of {} is empty", axis, in.describe());
  visit_dtype(Join<RealNumbers, TypeList<bool>>{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    visit_dtype(PositionTypes{}, out.dtype(), ctx.node().describe(), [&](auto to) {
      using I = typename decltype(to)::type;
      arg_extreme<kLargest>(in.flat<T>().data(), out.flat<I>().data(), outer, in.dim(axis), inner);
    });
  });
}

// k: operand 1 (TopKV2), or the attribute (TopK).
std::optional<Dim> inferred_k(InferContext& ctx) {
  if (ctx.num_inputs() < 2) return Dim(std::max<std::int64_t>(0, ctx.attrs().get<std::int64_t>("k")));
  const auto k = ctx.dims(1);
  if (!k || k->size() != 1) return std::nullopt;
  return (*k)[0];
}

void infer_top_k(InferContext& ctx) {
  ctx.expect_inputs(1, 2);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) {
    if (shape.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
    const auto k = inferred_k(ctx);
    const Dim last = shape.dims().back();
    if (k && k->known() && last.known() && last.size() < k->size()) {
      ctx.fail_node("cannot take {} of the {} elements of a row", k->size(), last.size());
    }
    shape.dims().back() = k ? *k : ctx.fresh();
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
  ctx.set_output(1, ctx.attrs().get_or<DataType>("index_type", DataType::kInt32), shape);
}

template <class T>
bool above(T a, T b) {
  return static_cast<ComputeType<T>>(a) > static_cast<ComputeType<T>>(b);
}

// Puts the k first by `before` to the front of 0 … size-1, in the order in which TensorFlow leaves them when asked for no
// particular one: that of a binary heap whose top, the worst of k + 1, leaves whenever a better one comes.
template <class Before>
void select_by_heap(std::vector<std::int64_t>& order, std::int64_t k, Before&& before) {
  const auto heap_end = order.begin() + k + 1;
  std::make_heap(order.begin(), heap_end, before);
  std::pop_heap(order.begin(), heap_end, before);
  for (auto next = heap_end; next != order.end(); ++next) {
    if (!before(*next, order.front())) continue;
    *(heap_end - 1) = *next;
    std::pop_heap(order.begin(), heap_end, before);
  }
}

// The k largest of each row: when sorted, largest first and equal elements in the order they lie in.
template <class T, class I>
void top_k(ThreadTeam* team, const T* in, T* values, I* positions, std::int64_t rows, std::int64_t columns, std::int64_t k,
           bool sorted) {
  for_shares(team, rows, std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(columns, 1)),
             [&](std::int64_t begin, std::int64_t end) {
               std::vector<std::int64_t> order(static_cast<std::size_t>(columns));
               for (std::int64_t r = begin; r < end; ++r) {
                 const T* row = in + r * columns;
                 std::iota(order.begin(), order.end(), 0);
                 const auto before = [row](std::int64_t a, std::int64_t b) {
                   if (above(row[a], row[b])) return true;
                   return !above(row[b], row[a]) && a < b;
                 };
                 if (sorted || k == 1 || k == columns) {
                   std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
                 } else {
                   select_by_heap(order, k, before);
                 }
                 for (std::int64_t i = 0; i < k; ++i) {
                   values[r * k + i] = row[order[static_cast<std::size_t>(i)]];
                   positions[r * k + i] = static_cast<I>(order[static_cast<std::size_t>(i)]);
                 }
               }
             });
}

void evaluate_top_k(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  std::int64_t k = 0;
  if (ctx.num_inputs() < 2) {
    k = ctx.attrs().get<std::int64_t>("k");
  } else if (ctx.input(1).dtype() == DataType::kInt16 && ctx.input(1).num_elements() == 1) {
    k = ctx.input(1).flat<std::int16_t>()[0];
  } else {
    k = ctx.integer(1);
  }
  if (in.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
  const std::int64_t columns = in.dim(in.rank() - 1);
  if (k < 0 || k > columns) ctx.fail_node("cannot take {} of the {} elements of a row", k, columns);
  Shape shape = in.shape();
  shape[in.rank() - 1] = k;
  const std::int64_t rows = k == 0 ? 0 : shape.num_elements() / k;
  Tensor& values = ctx.allocate(0, in.dtype(), shape);
  Tensor& positions = ctx.allocate(1, ctx.attrs().get_or<DataType>("index_type", DataType::kInt32), shape);
  const bool sorted = ctx.attrs().get_or<bool>("sorted", true);
  visit_dtype(RealNumbers{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    visit_dtype(PositionTypes{}, positions.dtype(), ctx.node().describe(), [&](auto to) {
      using I = typename decltype(to)::type;
      top_k(ctx.team(), in.flat<T>().data(), values.flat<T>().data(), positions.flat<I>().data(), rows, columns, k, sorted);
    });
  });
}

void infer_nth_element(InferContext& ctx) {
  ctx.expect_inputs(2);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) {
    if (shape.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
    shape.dims().pop_back();
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

// The n-th smallest (largest with reverse) of each row, counted from 0.
void evaluate_nth_element(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const std::int64_t n = ctx.integer(1);
  if (in.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
  const std::int64_t columns = in.dim(in.rank() - 1);
  if (n < 0 || n >= columns) ctx.fail_node("n is {}, a row has {} elements", n, columns);
  const std::int64_t at = ctx.attrs().get_or<bool>("reverse", false) ? columns - n - 1 : n;
  Shape shape(std::vector<std::int64_t>(in.shape().begin(), in.shape().end() - 1));
  Tensor& out = ctx.allocate(0, in.dtype(), shape);
  visit_dtype(RealNumbers{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t r = 0; r < out.num_elements(); ++r) {
      const T* begin = in.flat<T>().data() + r * columns;
      std::vector<T> row(begin, begin + columns);
      std::nth_element(row.begin(), row.begin() + at, row.end(), [](T a, T b) { return above(b, a); });
      out.flat<T>()[static_cast<std::size_t>(r)] = row[static_cast<std::size_t>(at)];
    }
  });
}

void infer_in_top_k(InferContext& ctx) {
  ctx.expect_inputs(2, 3);
  ctx.expect_rank(0, 2);
  ctx.expect_rank(1, 1);
  const PartialShape& rows = ctx.input_shape(0);
  PartialShape shape = ctx.input_shape(1);
  if (rows.known_rank()) shape = merge_shapes(ctx, shape, PartialShape{rows[0]});
  ctx.set_output(0, DataType::kBool, shape);
}

// Whether fewer than k classes are likelier than the target; no when the target or a prediction makes no sense.
bool in_top_k(const float* row, std::int64_t classes, std::int64_t target, std::int64_t k) {
  if (target < 0 || target >= classes || !std::isfinite(row[target])) return false;
  std::int64_t likelier = 0;
  for (std::int64_t c = 0; c < classes; ++c) {
    if (!std::isfinite(row[c])) return false;
    if (row[c] > row[target] && ++likelier > k) break;
  }
  return likelier < k;
}

void evaluate_in_top_k(EvalContext& ctx) {
  const Tensor& predictions = ctx.input(0);
  const std::vector<std::int64_t> targets = ctx.integers(1);
  const std::int64_t k = ctx.num_inputs() > 2 ? ctx.integer(2) : ctx.attrs().get<std::int64_t>("k");
  if (predictions.rank() != 2 || ctx.input(1).rank() != 1 || predictions.dim(0) != ctx.input(1).dim(0)) {
    ctx.fail_node("predictions {} do not fit targets {}", predictions.describe(), ctx.input(1).describe());
  }
  const float* rows = predictions.flat<float>().data();
  Tensor& out = ctx.allocate(0, DataType::kBool, Shape{predictions.dim(0)});
  for (std::size_t i = 0; i < targets.size(); ++i) {
    out.flat<bool>()[i] = in_top_k(rows + static_cast<std::int64_t>(i) * predictions.dim(1), predictions.dim(1), targets[i], k);
  }
}

constexpr ir::OpDef kOps[] = {
    {"arg_max", infer_arg_extreme, evaluate_arg_extreme<true>},
    {"arg_min", infer_arg_extreme, evaluate_arg_extreme<false>},
    {"top_k", infer_top_k, evaluate_top_k},
    {"nth_element", infer_nth_element, evaluate_nth_element},
    {"in_top_k", infer_in_top_k, evaluate_in_top_k},
};

constexpr ImportRule kRules[] = {
    {"ArgMax", "arg_max"},
    {"ArgMin", "arg_min"},
    {"TopK", "top_k"},
    {"TopKV2", "top_k"},
    {"NthElement", "nth_element"},
    {"InTopK", "in_top_k"},
    {"InTopKV2", "in_top_k"},
};

}  // namespace

const OpFamily& rank_family() {
  static const OpFamily family{"rank", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
