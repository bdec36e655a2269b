// Convolutions of TensorFlow's attributes: types and reference kernels. Sums are taken in float64 (32-bit integers wrap).
#include "ops/conv.h"

#include <algorithm>
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
using ConvTypes = Join<Floats, TypeList<std::int32_t>>;

template <class T>
using Sum = std::conditional_t<std::is_integral_v<T>, std::uint32_t, double>;

template <class T>
Sum<T> widen(T value) {
  return static_cast<Sum<T>>(static_cast<ComputeType<T>>(value));
}
template <class T>
T narrow(Sum<T> sum) {
  return static_cast<T>(static_cast<ComputeType<T>>(sum));
}

// [N, spatial…, C] as the operand's data format orders it.
template <class S>
S in_format(bool first, const S& last) {
  if (!first) return last;
  S result = last;
  for (int i = 1; i < last.rank() - 1; ++i) result[i + 1] = last[i];
  result[1] = last[last.rank() - 1];
  return result;
}
PartialShape channels_moved_last(bool first, const PartialShape& shape) {
  if (!first) return shape;
  PartialShape result = shape;
  for (int i = 2; i < shape.rank(); ++i) result[i - 1] = shape[i];
  result[shape.rank() - 1] = shape[1];
  return result;
}

// Operands of a convolution in NHWC or NDHWC, and how channels go together.
struct Channels {
  std::int64_t in = 0, out = 0, groups = 1;

  std::int64_t group_in() const { return in / groups; }
  std::int64_t group_out() const { return out / groups; }
};

Channels conv_channels(const EvalContext& ctx, std::int64_t in, const Shape& filter) {
  const int spatial = filter.rank() - 2;
  const std::int64_t filter_in = filter[spatial], out = filter[spatial + 1];
  if (filter.num_elements() == 0) ctx.fail_node("the filter {} has no elements", filter.to_string());
  if (in % filter_in != 0) ctx.fail_node("the filter has {} input channels, the input has {}", filter_in, in);
  const Channels channels{in, out, std::max<std::int64_t>(1, in / filter_in)};
  if (out % channels.groups != 0) ctx.fail_node("{} output channels do not divide into {} groups", out, channels.groups);
  return channels;
}

template <class T>
std::vector<Sum<T>> widened(const Tensor& tensor) {
  const auto values = tensor.flat<T>();
  std::vector<Sum<T>> result(values.size());
  std::ranges::transform(values, result.begin(), widen<T>);
  return result;
}

// sums[o] += x[c] * filter[c, o] for the channels of every group; the filter's rows are out_channels long.
template <class T>
void add_tap(const T* x, const Sum<T>* filter, const Channels& channels, Sum<T>* sums) {
  const std::int64_t group_in = channels.group_in(), group_out = channels.group_out();
  for (std::int64_t g = 0; g < channels.groups; ++g) {
    for (std::int64_t c = 0; c < group_in; ++c) {
      const Sum<T> value = widen(x[g * group_in + c]);
      const Sum<T>* row = filter + c * channels.out + g * group_out;
      Sum<T>* to = sums + g * group_out;
      for (std::int64_t o = 0; o < group_out; ++o) to[o] += value * row[o];
    }
  }
}

template <class T>
void add_depthwise_tap(const T* x, const Sum<T>* filter, std::int64_t in, std::int64_t multiplier, Sum<T>* sums) {
  if (multiplier == 1) {
    for (std::int64_t c = 0; c < in; ++c) sums[c] += widen(x[c]) * filter[c];
    return;
  }
  for (std::int64_t c = 0; c < in; ++c) {
    const Sum<T> value = widen(x[c]);
    for (std::int64_t m = 0; m < multiplier; ++m) sums[c * multiplier + m] += value * filter[c * multiplier + m];
  }
}

constexpr std::int64_t kGrain = 16;  // window positions that one share has at least

// Fills `output` [N, spatial…, out] by calling add(x at the tap's position, tap, sums) for every tap of every window.
template <class T, class AddTap>
void slide(EvalContext& ctx, const WindowGeometry& window, const Tensor& input, std::int64_t in, std::int64_t out,
           Tensor& output, AddTap&& add) {
  const T* x = input.flat<T>().data();
  T* y = output.flat<T>().data();
  for_shares(ctx.team(), input.dim(0) * window.positions_out(), kGrain, [&](std::int64_t first, std::int64_t last) {
    std::vector<Sum<T>> sums(static_cast<std::size_t>(out));
    for (std::int64_t at = first; at < last; ++at) {
      std::ranges::fill(sums, Sum<T>{});
      const T* image = x + at / window.positions_out() * window.positions_in() * in;
      window.for_taps(at % window.positions_out(),
                      [&](std::int64_t tap, std::int64_t position) { add(image + position * in, tap, sums.data()); });
      for (std::int64_t o = 0; o < out; ++o) y[at * out + o] = narrow<T>(sums[static_cast<std::size_t>(o)]);
    }
  });
}

Shape result_shape(const WindowGeometry& window, int spatial, std::int64_t batch, std::int64_t channels) {
  Shape shape{batch};
  for (int i = 3 - spatial; i < 3; ++i) shape.push_back(window.out[static_cast<std::size_t>(i)]);
  shape.push_back(channels);
  return shape;
}

// conv2d, depthwise_conv2d, conv3d: input, filter [spatial…, in / groups, out], for depthwise [spatial…, in, multiplier].
template <int kSpatial, bool kDepthwise>
void infer_conv(InferContext& ctx) {
  ctx.expect_inputs(2);
  const ConvAttrs window = conv_attrs(ctx.attrs(), kSpatial);
  const bool first = channels_first(ctx.attrs(), kSpatial);
  for (int i = 0; i < 2; ++i) ctx.expect_rank(i, kSpatial + 2);
  const PartialShape input =
      ctx.input_shape(0).known_rank() ? channels_moved_last(first, ctx.input_shape(0)) : ctx.fresh_shape(kSpatial + 2);
  const PartialShape filter = ctx.input_shape(1).known_rank() ? ctx.input_shape(1) : ctx.fresh_shape(kSpatial + 2);
  const Dim in = input[kSpatial + 1], filter_in = filter[kSpatial];
  if (in.known() && filter_in.known() &&
      (filter_in.size() == 0 || in.size() % filter_in.size() != 0 || (kDepthwise && in != filter_in))) {
    ctx.fail_node("the filter has {} input channels, the input has {}", filter_in.size(), in.size());
  }
  PartialShape result = input;
  for (int i = 0; i < kSpatial; ++i) result[i + 1] = window_count(ctx, window, i, input[i + 1], filter[i]);
  result[kSpatial + 1] =
      kDepthwise ? multiply(ctx, filter_in.known() ? filter_in : in, filter[kSpatial + 1]) : filter[kSpatial + 1];
  ctx.set_output(0, ctx.input_dtype(0), in_format(first, result));
}

template <int kSpatial, bool kDepthwise>
void evaluate_conv(EvalContext& ctx) {
  const bool first = channels_first(ctx.attrs(), kSpatial);
  for (int i = 0; i < 2; ++i) expect_rank(ctx, i, kSpatial + 2);
  const Tensor input = first ? to_channels_last(ctx.input(0)) : ctx.input(0);
  const Tensor filter = ctx.input(1);
  if (input.dtype() != filter.dtype()) ctx.fail_node("input is {}, filter {}", input.describe(), filter.describe());
  const WindowGeometry window(conv_attrs(ctx.attrs(), kSpatial), input.shape(), filter.shape().dims());
  const std::int64_t in = input.dim(kSpatial + 1), last = filter.dim(kSpatial + 1);
  if (filter.num_elements() == 0) ctx.fail_node("the filter {} has no elements", filter.describe());
  if (kDepthwise && filter.dim(kSpatial) != in)
    ctx.fail_node("the filter has {} input channels, the input has {}", filter.dim(kSpatial), in);
  const Channels channels = kDepthwise ? Channels{in, in * last, in} : conv_channels(ctx, in, filter.shape());
  Tensor output(input.dtype(), result_shape(window, kSpatial, input.dim(0), channels.out));
  visit_dtype(ConvTypes{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const std::vector<Sum<T>> weights = widened<T>(filter);
    slide<T>(ctx, window, input, in, channels.out, output, [&](const T* x, std::int64_t tap, Sum<T>* sums) {
      if constexpr (kDepthwise) {
        add_depthwise_tap(x, weights.data() + tap * channels.out, in, last, sums);
      } else {
        add_tap(x, weights.data() + tap * channels.group_in() * channels.out, channels, sums);
      }
    });
  });
  ctx.set_output(0, first ? to_channels_first(output) : std::move(output));
}

// conv2d_backprop_input, conv3d_backprop_input: sizes of the result (all, or only the spatial ones), filter, gradient of the
// convolution's result. Also what transposed convolutions are.
template <int kSpatial>
void infer_backprop_input(InferContext& ctx) {
  ctx.expect_inputs(3);
  conv_attrs(ctx.attrs(), kSpatial);
  const bool first = channels_first(ctx.attrs(), kSpatial);
  for (int i = 1; i < 3; ++i) ctx.expect_rank(i, kSpatial + 2);
  const auto listed = ctx.dims(0);
  PartialShape result = ctx.fresh_shape(kSpatial + 2);
  if (listed && listed->size() == kSpatial + 2) {
    result = PartialShape(*listed);
  } else if (listed && listed->size() == kSpatial) {
    for (int i = 0; i < kSpatial; ++i) result[i + (first ? 2 : 1)] = (*listed)[static_cast<std::size_t>(i)];
    if (ctx.input_shape(1).known_rank()) result[first ? 1 : kSpatial + 1] = ctx.input_shape(1)[kSpatial];
  } else if (listed) {
    ctx.fail_node("input_sizes has {} numbers, {} are needed", listed->size(), kSpatial + 2);
  }
  if (ctx.input_shape(2).known_rank() && !result[0].known()) result[0] = ctx.input_shape(2)[0];
  ctx.set_output(0, ctx.input_dtype(2), std::move(result));
}

// The shape of the convolution's input in channels-last order.
Shape backprop_shape(const EvalContext& ctx, bool first, const Tensor& filter, const Tensor& gradient) {
  const int spatial = filter.rank() - 2;
  const Shape listed = shape_operand(ctx, 0);
  if (listed.rank() == spatial) {
    Shape shape{gradient.dim(0)};
    for (std::int64_t size : listed) shape.push_back(size);
    shape.push_back(filter.dim(spatial));
    return shape;
  }
  if (listed.rank() != spatial + 2) ctx.fail_node("input_sizes has {} numbers, {} are needed", listed.rank(), spatial + 2);
  if (!first) return listed;
  Shape shape{listed[0]};
  for (int i = 0; i < spatial; ++i) shape.push_back(listed[i + 2]);
  shape.push_back(listed[1]);
  return shape;
}

// Taps of the window positions that touch input position `at`: f(tap, output position).
template <class F>
void for_touching(const WindowGeometry& window, std::int64_t at, F&& f) {
  const std::int64_t x = at % window.in[2], y = at / window.in[2] % window.in[1], z = at / (window.in[2] * window.in[1]);
  const auto source = [&](int axis, std::int64_t position, std::int64_t k) -> std::int64_t {
    const auto d = static_cast<std::size_t>(axis);
    const std::int64_t shifted = position + window.pad[d] - k * window.dilation[d];
    if (shifted < 0 || shifted % window.stride[d] != 0 || shifted / window.stride[d] >= window.out[d]) return -1;
    return shifted / window.stride[d];
  };
  for (std::int64_t kz = 0; kz < window.filter[0]; ++kz) {
    const std::int64_t oz = source(0, z, kz);
    for (std::int64_t ky = 0; ky < window.filter[1] && oz >= 0; ++ky) {
      const std::int64_t oy = source(1, y, ky);
      for (std::int64_t kx = 0; kx < window.filter[2] && oy >= 0; ++kx) {
        const std::int64_t ox = source(2, x, kx);
        if (ox >= 0) f((kz * window.filter[1] + ky) * window.filter[2] + kx, (oz * window.out[1] + oy) * window.out[2] + ox);
      }
    }
  }
}

template <class T>
void backprop_input(EvalContext& ctx, const WindowGeometry& window, const Channels& channels, const Tensor& filter,
                    const Tensor& gradient, Tensor& result) {
  // [taps, in / groups, out] to [taps, out, in / groups], so that the inner loop runs over neighbours.
  const int perm[] = {0, 2, 1};
  const Tensor flat = filter.reshaped(Shape{window.taps(), channels.group_in(), channels.out});
  const std::vector<Sum<T>> weights = widened<T>(permuted(flat, perm));
  const T* dy = gradient.flat<T>().data();
  T* dx = result.flat<T>().data();
  const std::int64_t group_in = channels.group_in();
  for_shares(ctx.team(), result.dim(0) * window.positions_in(), kGrain, [&](std::int64_t first, std::int64_t last) {
    std::vector<Sum<T>> sums(static_cast<std::size_t>(channels.in));
    for (std::int64_t at = first; at < last; ++at) {
      std::ranges::fill(sums, Sum<T>{});
      const T* image = dy + at / window.positions_in() * window.positions_out() * channels.out;
      for_touching(window, at % window.positions_in(), [&](std::int64_t tap, std::int64_t position) {
        for (std::int64_t o = 0; o < channels.out; ++o) {
          const Sum<T> value = widen(image[position * channels.out + o]);
          const Sum<T>* row = weights.data() + (tap * channels.out + o) * group_in;
          Sum<T>* to = sums.data() + o / channels.group_out() * group_in;
          for (std::int64_t c = 0; c < group_in; ++c) to[c] += value * row[c];
        }
      });
      for (std::int64_t c = 0; c < channels.in; ++c) dx[at * channels.in + c] = narrow<T>(sums[static_cast<std::size_t>(c)]);
    }
  });
}

template <int kSpatial>
void evaluate_backprop_input(EvalContext& ctx) {
  const bool first = channels_first(ctx.attrs(), kSpatial);
  for (int i = 1; i < 3; ++i) expect_rank(ctx, i, kSpatial + 2);
  const Tensor filter = ctx.input(1);
  const Tensor gradient = first ? to_channels_last(ctx.input(2)) : ctx.input(2);
  if (gradient.dtype() != filter.dtype()) ctx.fail_node("gradient is {}, filter {}", gradient.describe(), filter.describe());
  const Shape shape = backprop_shape(ctx, first, filter, gradient);
  const WindowGeometry window(conv_attrs(ctx.attrs(), kSpatial), shape, filter.shape().dims());
  const Channels channels = conv_channels(ctx, shape[kSpatial + 1], filter.shape());
  const Shape expected = result_shape(window, kSpatial, shape[0], channels.out);
  if (gradient.shape() != expected) {
    ctx.fail_node("the gradient has shape {}, a convolution of {} gives {}", gradient.shape().to_string(), shape.to_string(),
                  expected.to_string());
  }
  Tensor result(gradient.dtype(), shape);
  visit_dtype(ConvTypes{}, gradient.dtype(), ctx.node().describe(), [&](auto tag) {
    backprop_input<typename decltype(tag)::type>(ctx, window, channels, filter, gradient, result);
  });
  ctx.set_output(0, first ? to_channels_first(result) : std::move(result));
}

// dilation2d: input [N,H,W,C], filter [kh,kw,C]; the largest sum of input and filter under the window. Attribute rates.
ConvAttrs dilation_attrs(const ir::Attrs& attrs) {
  const PerDimension strides = per_dimension(attrs, "strides", 2), rates = per_dimension(attrs, "rates", 2);
  if (strides.batch != 1 || strides.channel != 1 || rates.batch != 1 || rates.channel != 1) {
    fail(ErrorCode::kInvalidModel, "strides and rates of the batch and the channels must be 1");
  }
  ConvAttrs window;
  window.strides = strides.spatial;
  window.dilations = rates.spatial;
  read_padding(attrs, 2, window);
  return window;
}

void infer_dilation2d(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(0, 4);
  ctx.expect_rank(1, 3);
  const ConvAttrs window = dilation_attrs(ctx.attrs());
  PartialShape result = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(4);
  const PartialShape filter = ctx.input_shape(1).known_rank() ? ctx.input_shape(1) : ctx.fresh_shape(3);
  for (int i = 0; i < 2; ++i) result[i + 1] = window_count(ctx, window, i, result[i + 1], filter[i]);
  ctx.set_output(0, ctx.input_dtype(0), std::move(result));
}

void evaluate_dilation2d(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  expect_rank(ctx, 1, 3);
  const Tensor input = ctx.input(0), filter = ctx.input(1);
  const std::int64_t depth = input.dim(3);
  if (filter.dim(2) != depth || filter.dtype() != input.dtype())
    ctx.fail_node("filter {} does not fit {}", filter.describe(), input.describe());
  const WindowGeometry window(dilation_attrs(ctx.attrs()), input.shape(), filter.shape().dims());
  Tensor& output = ctx.allocate(0, input.dtype(), result_shape(window, 2, input.dim(0), depth));
  visit_dtype(RealNumbers{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto x = input.flat<T>(), w = filter.template flat<T>();
    const T lowest = [] {
      if constexpr (std::is_same_v<T, Half>)
        return T(-65504.0f);
      else if constexpr (std::is_same_v<T, BFloat16>)
        return T(-3.3895314e38f);
      else
        return std::numeric_limits<T>::lowest();
    }();
    auto y = output.flat<T>();
    std::ranges::fill(y, lowest);
    for (std::int64_t at = 0; at < input.dim(0) * window.positions_out(); ++at) {
      const std::int64_t image = at / window.positions_out() * window.positions_in();
      window.for_taps(at % window.positions_out(), [&](std::int64_t tap, std::int64_t position) {
        for (std::int64_t c = 0; c < depth; ++c) {
          T& best = y[static_cast<std::size_t>(at * depth + c)];
          const auto sum = static_cast<T>(x[static_cast<std::size_t>((image + position) * depth + c)] +
                                          w[static_cast<std::size_t>(tap * depth + c)]);
          if (best < sum) best = sum;
        }
      });
    }
  });
}

constexpr ir::OpDef kOps[] = {
    {"conv2d", infer_conv<2, false>, evaluate_conv<2, false>},
    {"depthwise_conv2d", infer_conv<2, true>, evaluate_conv<2, true>},
    {"conv3d", infer_conv<3, false>, evaluate_conv<3, false>},
    {"conv2d_backprop_input", infer_backprop_input<2>, evaluate_backprop_input<2>},
    {"conv3d_backprop_input", infer_backprop_input<3>, evaluate_backprop_input<3>},
    {"dilation2d", infer_dilation2d, evaluate_dilation2d},
};

constexpr ImportRule kRules[] = {
    {"Conv2D", "conv2d"},
    {"DepthwiseConv2dNative", "depthwise_conv2d"},
    {"Conv3D", "conv3d"},
    {"Conv2DBackpropInput", "conv2d_backprop_input"},
    {"Conv3DBackpropInputV2", "conv3d_backprop_input"},
    {"Dilation2D", "dilation2d"},
};

}  // namespace

const OpFamily& conv_family() {
  static const OpFamily family{"conv", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
