#include "backends/cpu/lowering/integer_reduce.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/kernels/strides.h"
#include "backends/cpu/lowering/layout.h"

namespace tenon::cpu {
namespace {

DataType operand_dtype(const ir::Node& node) {
  if (node.inputs.empty()) return DataType::kInvalid;
  return node.inputs[0].node->outputs.at(static_cast<std::size_t>(node.inputs[0].index)).dtype;
}

// Sums and products wrap, as TensorFlow's do.
template <class T>
struct Sum {
  static constexpr T kStart = 0;
  static T join(T a, T b) { return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b)); }
};
template <class T>
struct Product {
  static constexpr T kStart = 1;
  static T join(T a, T b) { return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) * static_cast<std::make_unsigned_t<T>>(b)); }
};
template <class T>
struct Maximum {
  static constexpr T kStart = std::numeric_limits<T>::lowest();
  static T join(T a, T b) { return std::max(a, b); }
};
template <class T>
struct Minimum {
  static constexpr T kStart = std::numeric_limits<T>::max();
  static T join(T a, T b) { return std::min(a, b); }
};

// The axes that stay and those that are folded, each merged.
struct Folding {
  StridedLoop kept, folded;
  Slot from = -1, to = -1;
};

Folding folding_of(const PlanContext& ctx) {
  const Place& x = ctx.operand(0);
  std::vector<bool> folded(static_cast<std::size_t>(x.shape.rank()), false);
  for (const std::int64_t axis : ctx.integers(1)) folded[static_cast<std::size_t>(resolve_axis(ctx, axis, x.shape.rank()))] = true;
  const std::vector<std::int64_t> strides = dense_strides(x.shape.dims());
  std::vector<std::int64_t> dims[2];
  std::vector<std::vector<std::int64_t>> steps[2] = {{{}}, {{}}};
  for (std::size_t d = 0; d < folded.size(); ++d) {
    dims[folded[d]].push_back(x.shape[static_cast<int>(d)]);
    steps[folded[d]][0].push_back(strides[d]);
  }
  return {merge_dimensions(dims[0], steps[0]), merge_dimensions(dims[1], steps[1]), x.slot, ctx.result().slot};
}

template <class Fold, class T>
T fold(const T* first, const StridedLoop& loop, std::int64_t count) {
  T total = Fold::kStart;
  if (count == 0) return total;
  walk_runs(loop.dims, loop.strides[0], 0, count, [&](std::int64_t at, std::int64_t step, std::int64_t, std::int64_t run) {
    for (std::int64_t k = 0; k < run; ++k) total = Fold::join(total, first[at + k * step]);
  });
  return total;
}

template <class Fold, class T>
std::unique_ptr<Step> fold_step(Folding folding) {
  return make_step([f = std::move(folding)](const Frame& frame) {
    const T* in = frame.at<const T>(f.from);
    T* out = frame.at<T>(f.to);
    const std::int64_t count = f.folded.size();
    for_shares(split_work(f.kept.size(), static_cast<double>(count) * 0.5), *frame.team, [&](std::int64_t begin, std::int64_t end) {
      walk_runs(f.kept.dims, f.kept.strides[0], begin, end - begin, [&](std::int64_t offset, std::int64_t stride, std::int64_t done, std::int64_t length) {
        for (std::int64_t i = 0; i < length; ++i) out[begin + done + i] = fold<Fold>(in + offset + i * stride, f.folded, count);
      });
    });
  });
}

template <class T>
std::unique_ptr<Step> fold_step(const ir::Node& node, Folding folding) {
  if (node.is("sum")) return fold_step<Sum<T>, T>(std::move(folding));
  if (node.is("prod")) return fold_step<Product<T>, T>(std::move(folding));
  return node.is("max") ? fold_step<Maximum<T>, T>(std::move(folding)) : fold_step<Minimum<T>, T>(std::move(folding));
}

}  // namespace

bool is_integer_reduction(const ir::Node& node) {
  const DataType dtype = operand_dtype(node);
  return (dtype == DataType::kInt32 || dtype == DataType::kInt64) && (node.is("sum") || node.is("prod") || node.is("max") || node.is("min"));
}

Lowered lower_integer_reduction(const ir::Node& node) {
  Lowered lowered;
  lowered.kernel = fmt::format("integer reduce {}", node.op->name);
  lowered.unread = {1};
  lowered.prepare = [wide = operand_dtype(node) == DataType::kInt64](PlanContext& ctx) {
    return wide ? fold_step<std::int64_t>(ctx.node(), folding_of(ctx)) : fold_step<std::int32_t>(ctx.node(), folding_of(ctx));
  };
  return lowered;
}

}  // namespace tenon::cpu
