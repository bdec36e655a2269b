// Distinct elements, differences of lists, and searches in sorted rows.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using ComparableTypes = Join<PlainTypes, TypeList<std::string>>;

template <class T>
std::size_t hash_element(const T& value) {
  if constexpr (kIsComplex<T>) {
    return std::hash<double>{}(value.real()) * 31 + std::hash<double>{}(value.imag());
  } else if constexpr (kIsHalf<T>) {
    return std::hash<float>{}(value);
  } else {
    return std::hash<T>{}(value);
  }
}

// A tensor seen as `count` slices along an axis, compared element by element (so a NaN equals nothing).
template <class T>
struct Slices {
  const T* data;
  std::int64_t outer, count, inner;

  const T& at(std::int64_t slice, std::int64_t o, std::int64_t i) const { return data[(o * count + slice) * inner + i]; }
  std::size_t hash(std::int64_t slice) const {
    std::size_t result = 0;
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) result = result * 1000003 + hash_element(at(slice, o, i));
    }
    return result;
  }
  bool equal(std::int64_t a, std::int64_t b) const {
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        if (!(at(a, o, i) == at(b, o, i))) return false;
      }
    }
    return true;
  }
};

// Distinct slices in the order of their first occurrence.
struct Distinct {
  std::vector<std::int64_t> firsts;  // index of the first slice of each kind
  std::vector<std::int64_t> kinds;   // of each slice
  std::vector<std::int64_t> counts;  // of each kind
};

template <class T>
Distinct distinct_slices(const Slices<T>& slices) {
  const auto hash = [&](std::int64_t slice) { return slices.hash(slice); };
  const auto equal = [&](std::int64_t a, std::int64_t b) { return slices.equal(a, b); };
  std::unordered_map<std::int64_t, std::int64_t, decltype(hash), decltype(equal)> kind_of(16, hash, equal);
  Distinct result;
  for (std::int64_t slice = 0; slice < slices.count; ++slice) {
    const auto [it, added] = kind_of.emplace(slice, static_cast<std::int64_t>(result.firsts.size()));
    if (added) {
      result.firsts.push_back(slice);
      result.counts.push_back(0);
    }
    result.kinds.push_back(it->second);
    ++result.counts[static_cast<std::size_t>(it->second)];
  }
  return result;
}

void store(EvalContext& ctx, int output, DataType dtype, Shape shape, const std::vector<std::int64_t>& values) {
  Tensor& tensor = ctx.allocate(output, dtype, std::move(shape));
  visit_dtype(IndexIntegers{}, dtype, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(values, tensor.flat<T>().begin(), [](std::int64_t value) { return static_cast<T>(value); });
  });
}

Shape vector_shape(const std::vector<std::int64_t>& values) { return Shape{static_cast<std::int64_t>(values.size())}; }

// unique: x, perhaps axes (none or one). Outputs the distinct slices, the kind of each slice, and (attribute with_counts)
// how many there are of each.
void infer_unique(InferContext& ctx) {
  ctx.expect_inputs(1, 2);
  const DataType index = ctx.attrs().get_or<DataType>("out_idx", DataType::kInt32);
  const PartialShape& x = ctx.input_shape(0);
  const auto axes = ctx.num_inputs() == 2 ? known_integers(ctx, 1) : std::vector<std::int64_t>{};
  PartialShape y = x.known_rank() ? x : PartialShape{};
  Dim slices = ctx.fresh();
  const Dim kinds = ctx.fresh();
  if (x.known_rank() && axes && x.rank() > 0) {
    const int axis = axes->empty() ? 0 : ir::normalize_axis(ctx, (*axes)[0], x.rank());
    slices = x[axis];
    y[axis] = kinds;
  } else if (x.known_rank()) {
    y = ctx.fresh_shape(x.rank());
  }
  ctx.set_output(0, ctx.input_dtype(0), std::move(y));
  ctx.set_output(1, index, PartialShape{slices});
  if (ctx.attrs().get_or<bool>("with_counts", false)) ctx.set_output(2, index, PartialShape{kinds});
}

void evaluate_unique(EvalContext& ctx) {
  const Tensor x = ctx.input(0);
  const std::vector<std::int64_t> axes = ctx.num_inputs() == 2 ? ctx.integers(1) : std::vector<std::int64_t>{};
  if (axes.size() > 1) ctx.fail_node("{} axes are given, at most one is possible", axes.size());
  if (axes.empty() && x.rank() != 1) ctx.fail_node("without an axis the input must be a vector, it is {}", x.describe());
  const int axis = axes.empty() ? 0 : ctx.normalize_axis(axes[0], x.rank());
  const DataType index = ctx.attrs().get_or<DataType>("out_idx", DataType::kInt32);
  Distinct distinct;
  visit_dtype(ComparableTypes{}, x.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    distinct = distinct_slices(
        Slices<T>{x.flat<T>().data(), product(x.shape(), 0, axis), x.dim(axis), product(x.shape(), axis + 1, x.rank())});
  });
  ctx.set_output(0, take(x, axis, distinct.firsts));
  store(ctx, 1, index, vector_shape(distinct.kinds), distinct.kinds);
  if (ctx.attrs().get_or<bool>("with_counts", false)) store(ctx, 2, index, vector_shape(distinct.counts), distinct.counts);
}

// list_diff: x, y vectors; the elements of x that are not in y, and where they were.
void infer_list_diff(InferContext& ctx) {
  ctx.expect_inputs(2);
  const Dim kept = ctx.fresh();
  ctx.set_output(0, ctx.input_dtype(0), PartialShape{kept});
  ctx.set_output(1, ctx.attrs().get_or<DataType>("out_idx", DataType::kInt32), PartialShape{kept});
}

void evaluate_list_diff(EvalContext& ctx) {
  expect_rank(ctx, 0, 1);
  expect_rank(ctx, 1, 1);
  const Tensor x = ctx.input(0), y = ctx.input(1);
  std::vector<std::int64_t> kept;
  visit_dtype(ComparableTypes{}, x.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto hash = [](const T& value) { return hash_element(value); };
    const auto excluded = y.flat<T>();
    const std::unordered_set<T, decltype(hash)> set(excluded.begin(), excluded.end(), 16, hash);
    const auto values = x.flat<T>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!set.contains(values[i])) kept.push_back(static_cast<std::int64_t>(i));
    }
  });
  ctx.set_output(0, take(x, 0, kept));
  store(ctx, 1, ctx.attrs().get_or<DataType>("out_idx", DataType::kInt32), vector_shape(kept), kept);
}

// lower_bound, upper_bound: sorted rows [batch, n], values [batch, m]; for each value the first position in its row that is
// not less (or greater).
void infer_bound(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(0, 2);
  ctx.expect_rank(1, 2);
  ctx.set_output(0, ctx.attrs().get_or<DataType>("out_type", DataType::kInt32), ctx.input_shape(1));
}

template <bool kUpper>
void evaluate_bound(EvalContext& ctx) {
  expect_rank(ctx, 0, 2);
  expect_rank(ctx, 1, 2);
  const Tensor rows = ctx.input(0), values = ctx.input(1);
  if (rows.dim(0) != values.dim(0)) ctx.fail_node("{} and {} have different batches", rows.describe(), values.describe());
  std::vector<std::int64_t> positions;
  visit_dtype(RealNumbers{}, rows.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto sorted = rows.flat<T>(), wanted = values.flat<T>();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::int64_t row = static_cast<std::int64_t>(i) / values.dim(1);
      const auto first = sorted.begin() + row * rows.dim(1), last = first + rows.dim(1);
      const auto found = kUpper ? std::upper_bound(first, last, wanted[i]) : std::lower_bound(first, last, wanted[i]);
      positions.push_back(found - first);
    }
  });
  store(ctx, 0, ctx.attrs().get_or<DataType>("out_type", DataType::kInt32), values.shape(), positions);
}

void with_counts(ir::Attrs& attrs) { attrs.set("with_counts", true); }

constexpr ir::OpDef kOps[] = {
    {"unique", infer_unique, evaluate_unique},
    {"list_diff", infer_list_diff, evaluate_list_diff},
    {"lower_bound", infer_bound, evaluate_bound<false>},
    {"upper_bound", infer_bound, evaluate_bound<true>},
};

constexpr ImportRule kRules[] = {
    {"Unique", "unique"},
    {"UniqueV2", "unique"},
    {"UniqueWithCounts", "unique", with_counts},
    {"UniqueWithCountsV2", "unique", with_counts},
    {"ListDiff", "list_diff"},
    {"LowerBound", "lower_bound"},
    {"UpperBound", "upper_bound"},
};

}  // namespace

const OpFamily& unique_family() {
  static const OpFamily family{"unique", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
