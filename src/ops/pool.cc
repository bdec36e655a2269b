// Pooling: the largest or the mean element under a sliding window. Cells of the padding count nowhere.
#include "ops/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/eval_context.h"
#include "ops/elementwise.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// max_pool may take ksize and strides as operands 1 and 2; they are put where the attributes would be.
ir::Attrs with_operands(const ir::Attrs& attrs, std::vector<std::int64_t> sizes, std::vector<std::int64_t> strides) {
  ir::Attrs result = attrs;
  result.set("ksize", std::move(sizes));
  result.set("strides", std::move(strides));
  return result;
}

template <int kSpatial>
void infer_pool(InferContext& ctx) {
  if (ctx.num_inputs() != 1 && ctx.num_inputs() != 3) ctx.fail_node("has {} inputs, needs 1 or 3", ctx.num_inputs());
  ctx.expect_rank(0, kSpatial + 2);
  ir::Attrs attrs = ctx.attrs();
  if (ctx.num_inputs() == 3) {
    const auto sizes = known_integers(ctx, 1), strides = known_integers(ctx, 2);
    if (!sizes || !strides) return ctx.set_output(0, ctx.input_dtype(0), ctx.fresh_shape(kSpatial + 2));
    attrs = with_operands(attrs, *sizes, *strides);
  }
  const PoolAttrs pool = PoolAttrs::parse(attrs, kSpatial);
  if (!ctx.input_shape(0).known_rank()) return ctx.set_output(0, ctx.input_dtype(0), ctx.fresh_shape(kSpatial + 2));
  std::vector<Dim> dims = ctx.input_shape(0).dims();
  for (int i = 0; i < kSpatial; ++i) {
    Dim& dim = dims[static_cast<std::size_t>(i + (pool.channels_first ? 2 : 1))];
    dim = window_count(ctx, pool.window, i, dim, pool.sizes[static_cast<std::size_t>(i)]);
  }
  Dim& channels = dims[pool.channels_first ? 1 : kSpatial + 1];
  if (pool.depth > 1) channels = channels.known() ? Dim(channels.size() / pool.depth) : ctx.fresh();
  ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
}

template <class T>
T lowest() {
  if constexpr (kIsHalf<T>) {
    return static_cast<T>(-std::numeric_limits<float>::infinity());
  } else if constexpr (std::is_floating_point_v<T>) {
    return -std::numeric_limits<T>::infinity();
  } else {
    return std::numeric_limits<T>::min();
  }
}

// The largest so far; a NaN stays.
template <class T>
bool beats(T challenger, T best) {
  return best < challenger || (challenger != challenger && best == best);
}

template <class T>
struct MaxPool {
  using Sum = T;
  static Sum start() { return lowest<T>(); }
  static void add(Sum& sum, T value) {
    if (beats(value, sum)) sum = value;
  }
  static T finish(Sum sum, std::int64_t) { return sum; }
};

template <class T>
struct AvgPool {
  using Sum = double;
  static Sum start() { return 0; }
  static void add(Sum& sum, T value) { sum += static_cast<ComputeType<T>>(value); }
  static T finish(Sum sum, std::int64_t count) {
    return static_cast<T>(static_cast<ComputeType<T>>(sum / static_cast<double>(count)));
  }
};

constexpr std::int64_t kGrain = 64;

// Folds every window of `input` [N, spatial…, C] channel by channel.
template <class Fold, class T>
void pool_windows(ThreadTeam* team, const WindowGeometry& window, const Tensor& input, Tensor& output) {
  const std::int64_t channels = input.dim(input.rank() - 1);
  const T* x = input.flat<T>().data();
  T* y = output.flat<T>().data();
  for_shares(team, input.dim(0) * window.positions_out(), kGrain, [&](std::int64_t first, std::int64_t last) {
    std::vector<typename Fold::Sum> sums(static_cast<std::size_t>(channels));
    for (std::int64_t at = first; at < last; ++at) {
      std::ranges::fill(sums, Fold::start());
      std::int64_t count = 0;
      const T* image = x + at / window.positions_out() * window.positions_in() * channels;
      window.for_taps(at % window.positions_out(), [&](std::int64_t, std::int64_t position) {
        ++count;
        for (std::int64_t c = 0; c < channels; ++c)
          Fold::add(sums[static_cast<std::size_t>(c)], image[position * channels + c]);
      });
      for (std::int64_t c = 0; c < channels; ++c)
        y[at * channels + c] = Fold::finish(sums[static_cast<std::size_t>(c)], count);
    }
  });
}

Shape pooled_shape(const WindowGeometry& window, const Shape& input) {
  Shape shape = input;
  for (int i = 1; i < input.rank() - 1; ++i) shape[i] = window.out[static_cast<std::size_t>(3 - (input.rank() - 2) + i - 1)];
  return shape;
}

template <template <class> class Fold, class Types, int kSpatial>
void evaluate_pool(EvalContext& ctx) {
  expect_rank(ctx, 0, kSpatial + 2);
  const bool operands = ctx.num_inputs() == 3;
  const PoolAttrs pool =
      PoolAttrs::parse(operands ? with_operands(ctx.attrs(), ctx.integers(1), ctx.integers(2)) : ctx.attrs(), kSpatial);
  Tensor input = pool.channels_first ? to_channels_last(ctx.input(0)) : ctx.input(0);
  Shape depth_shape;
  if (pool.depth > 1) {  // groups of channels become positions of a row
    const Shape& shape = input.shape();
    if (shape[kSpatial + 1] % pool.depth != 0)
      ctx.fail_node("{} channels do not divide into {}", shape[kSpatial + 1], pool.depth);
    depth_shape = shape;
    depth_shape[kSpatial + 1] /= pool.depth;
    input = input.reshaped(Shape{product(shape, 0, kSpatial + 1), shape[kSpatial + 1] / pool.depth, pool.depth, 1});
  }
  ConvAttrs attrs = pool.window;
  std::vector<std::int64_t> sizes = pool.sizes;
  if (pool.depth > 1) {
    attrs.strides = attrs.dilations = {1, 1};
    attrs.strides[1] = pool.depth;
    attrs.padding = Padding::kValid;
    sizes = {1, pool.depth};
  }
  const WindowGeometry window(attrs, input.shape(), sizes);
  Tensor output(input.dtype(), pooled_shape(window, input.shape()));
  visit_dtype(Types{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    pool_windows<Fold<T>, T>(ctx.team(), window, input, output);
  });
  if (pool.depth > 1) output = output.reshaped(depth_shape);
  ctx.set_output(0, pool.channels_first ? to_channels_first(output) : std::move(output));
}

// max_pool_with_argmax: besides, where each maximum lies: (y * width + x) * channels + c, and the batch when
// include_batch_in_index.
void infer_max_pool_with_argmax(InferContext& ctx) {
  infer_pool<2>(ctx);
  ctx.set_output(1, ctx.attrs().get_or<DataType>("Targmax", DataType::kInt64), ctx.node().outputs[0].shape);
}

void evaluate_max_pool_with_argmax(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  const PoolAttrs pool = PoolAttrs::parse(ctx.attrs(), 2);
  if (pool.depth > 1) ctx.fail_node("pooling over channels is not possible here");
  const bool with_batch = ctx.attrs().get_or<bool>("include_batch_in_index", false);
  const Tensor input = ctx.input(0);
  const std::int64_t channels = input.dim(3);
  const WindowGeometry window(pool.window, input.shape(), pool.sizes);
  Tensor& output = ctx.allocate(0, input.dtype(), pooled_shape(window, input.shape()));
  std::vector<std::int64_t> argmax(static_cast<std::size_t>(output.num_elements()), 0);
  visit_dtype(RealNumbers{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto x = input.flat<T>();
    auto y = output.flat<T>();
    std::ranges::fill(y, lowest<T>());
    for (std::int64_t at = 0; at < input.dim(0) * window.positions_out(); ++at) {
      const std::int64_t batch = at / window.positions_out(), image = batch * window.positions_in();
      bool first = true;
      window.for_taps(at % window.positions_out(), [&](std::int64_t, std::int64_t position) {
        for (std::int64_t c = 0; c < channels; ++c) {
          const auto to = static_cast<std::size_t>(at * channels + c);
          const T value = x[static_cast<std::size_t>((image + position) * channels + c)];
          if (!first && !(y[to] < value)) continue;
          y[to] = value;
          argmax[to] = ((with_batch ? image : 0) + position) * channels + c;
        }
        first = false;
      });
    }
  });
  Tensor& indices = ctx.allocate(1, ctx.attrs().get_or<DataType>("Targmax", DataType::kInt64), output.shape());
  visit_dtype(IndexIntegers{}, indices.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(argmax, indices.flat<T>().begin(), [](std::int64_t value) { return static_cast<T>(value); });
  });
}

constexpr ir::OpDef kOps[] = {
    {"max_pool", infer_pool<2>, evaluate_pool<MaxPool, RealNumbers, 2>},
    {"avg_pool", infer_pool<2>, evaluate_pool<AvgPool, Floats, 2>},
    {"max_pool_3d", infer_pool<3>, evaluate_pool<MaxPool, Floats, 3>},
    {"avg_pool_3d", infer_pool<3>, evaluate_pool<AvgPool, Floats, 3>},
    {"max_pool_with_argmax", infer_max_pool_with_argmax, evaluate_max_pool_with_argmax},
};

constexpr ImportRule kRules[] = {
    {"MaxPool", "max_pool"},      {"MaxPoolV2", "max_pool"},    {"AvgPool", "avg_pool"},
    {"MaxPool3D", "max_pool_3d"}, {"AvgPool3D", "avg_pool_3d"}, {"MaxPoolWithArgmax", "max_pool_with_argmax"},
};

}  // namespace

PoolAttrs PoolAttrs::parse(const ir::Attrs& attrs, int spatial) {
  const PerDimension sizes = per_dimension(attrs, "ksize", spatial), strides = per_dimension(attrs, "strides", spatial);
  PoolAttrs pool;
  pool.sizes = sizes.spatial;
  pool.channels_first = ops::channels_first(attrs, spatial);
  pool.window.strides = strides.spatial;
  pool.window.dilations.assign(static_cast<std::size_t>(spatial), 1);
  read_padding(attrs, spatial, pool.window);
  if (sizes.batch != 1 || strides.batch != 1) fail(ErrorCode::kInvalidModel, "pooling over the batch is not possible");
  pool.depth = sizes.channel;
  if (pool.depth > 1) {
    const auto is_one = [](std::int64_t size) { return size == 1; };
    if (!std::ranges::all_of(pool.sizes, is_one) || !std::ranges::all_of(pool.window.strides, is_one) ||
        strides.channel != pool.depth) {
      fail(ErrorCode::kInvalidModel, "pooling over channels needs a window of 1 in space and a stride of {}", pool.depth);
    }
  } else if (strides.channel != 1) {
    fail(ErrorCode::kInvalidModel, "pooling has a stride of {} over the channels", strides.channel);
  }
  return pool;
}

const OpFamily& pool_family() {
  static const OpFamily family{"pool", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
