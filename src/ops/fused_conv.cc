// Convolutions with an epilogue: types and reference. A 2-D convolution is treated as a 3-D one of depth 1.
#include <algorithm>
#include <array>
#include <tuple>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/fused.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

enum class Kind { kConv, kDepthwise, kTranspose };

void check_dtypes(InferContext& ctx, int first) {
  for (int i = first; i < ctx.num_inputs(); ++i) {
    const DataType dtype = ctx.input_dtype(i);
    if (dtype != DataType::kFloat32 && dtype != DataType::kInvalid) {
      ctx.fail_node("input {} is {}, float32 is needed", i, dtype_name(dtype));
    }
  }
}

Dim spatial_output(InferContext& ctx, const ConvAttrs& attrs, int i, Dim input, Dim filter) {
  if (input.known() && filter.known()) return attrs.output_size(i, input.size(), filter.size());
  if (attrs.padding == Padding::kSame && attrs.strides[static_cast<std::size_t>(i)] == 1) return input;
  return ctx.fresh();
}

// Channels of the result: known filter sizes decide.
Dim output_channels(InferContext& ctx, const PartialShape& filter, int spatial, bool depthwise) {
  if (!filter.known_rank()) return ctx.fresh();
  if (!depthwise) return filter[spatial + 1];
  const Dim channels = filter[spatial], multiplier = filter[spatial + 1];
  if (!channels.known() || !multiplier.known()) return ctx.fresh();
  std::int64_t product = 0;
  if (__builtin_mul_overflow(channels.size(), multiplier.size(), &product)) ctx.fail_node("has too many channels");
  return product;
}

// The shape of a convolution's result, or of any image when `x` has no known rank.
PartialShape window_result(InferContext& ctx, const ConvAttrs& attrs, const PartialShape& x, const PartialShape& filter, int spatial,
                           bool depthwise) {
  if (!x.known_rank()) return ctx.fresh_shape(spatial + 2);
  if (filter.known_rank() && x[spatial + 1].known() && filter[spatial].known()) {
    const std::int64_t channels = x[spatial + 1].size(), wanted = filter[spatial].size();
    const bool fits = depthwise ? channels == wanted : wanted > 0 && channels % wanted == 0;
    if (!fits) ctx.fail_node("the filter has {} input channels, the input has {}", wanted, channels);
  }
  PartialShape result = x;
  for (int i = 0; i < spatial; ++i) {
    result[i + 1] = filter.known_rank() ? spatial_output(ctx, attrs, i, x[i + 1], filter[i]) : ctx.fresh();
  }
  result[spatial + 1] = output_channels(ctx, filter, spatial, depthwise);
  return result;
}

void infer_window(InferContext& ctx, int spatial, bool depthwise) {
  const ConvAttrs attrs = ConvAttrs::parse(ctx.attrs(), spatial);
  ctx.expect_inputs(2 + attrs.epilogue.num_operands());
  ctx.expect_rank(0, spatial + 2);
  ctx.expect_rank(1, spatial + 2);
  check_dtypes(ctx, 0);
  ctx.set_output(0, DataType::kFloat32, window_result(ctx, attrs, ctx.input_shape(0), ctx.input_shape(1), spatial, depthwise));
}

void infer_conv_depthwise(InferContext& ctx) {
  const ConvDepthwiseAttrs attrs = ConvDepthwiseAttrs::parse(ctx.attrs());
  ctx.expect_inputs(attrs.num_operands());
  for (int i = 0; i < 3; ++i) ctx.expect_rank(i, 4);
  check_dtypes(ctx, 0);
  PartialShape shape = window_result(ctx, attrs.conv, ctx.input_shape(0), ctx.input_shape(1), 2, false);
  shape = window_result(ctx, attrs.depthwise, shape, ctx.input_shape(2), 2, true);
  if (attrs.projection) {
    const int filter = attrs.projection_filter();
    ctx.expect_rank(filter, 4);
    shape = window_result(ctx, *attrs.projection, shape, ctx.input_shape(filter), 2, false);
  }
  ctx.set_output(0, DataType::kFloat32, shape);
}

void infer_conv2d(InferContext& ctx) { infer_window(ctx, 2, false); }
void infer_depthwise(InferContext& ctx) { infer_window(ctx, 2, true); }
void infer_conv3d(InferContext& ctx) { infer_window(ctx, 3, false); }

void infer_transpose(InferContext& ctx) {
  const ConvAttrs attrs = ConvAttrs::parse(ctx.attrs(), 2);
  ctx.expect_inputs(3 + attrs.epilogue.num_operands());
  ctx.expect_rank(1, 4);
  ctx.expect_rank(2, 4);
  check_dtypes(ctx, 1);
  const PartialShape& filter = ctx.input_shape(1);
  const PartialShape& x = ctx.input_shape(2);
  PartialShape result = ctx.fresh_shape(4);
  if (x.known_rank()) result[0] = x[0];
  if (filter.known_rank()) result[3] = filter[2];
  if (const auto sizes = ctx.dims(0)) {
    if (sizes->size() != 4 && sizes->size() != 2) ctx.fail_node("input_sizes has {} numbers", sizes->size());
    const std::size_t first = sizes->size() == 4 ? 1 : 0;
    result[1] = (*sizes)[first];
    result[2] = (*sizes)[first + 1];
  }
  ctx.set_output(0, DataType::kFloat32, result);
}

// All sizes of one convolution, spatial dims as depth, height, width.
struct Geometry {
  std::int64_t batch, in_channels, out_channels, group_in, group_out;
  std::array<std::int64_t, 3> in{1, 1, 1}, filter{1, 1, 1}, out{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0};
};

// in: the sizes the window slides over; out: one per window position.
Geometry geometry(EvalContext& ctx, const ConvAttrs& attrs, const Shape& in, const Tensor& filter, Kind kind) {
  const int spatial = in.rank() - 2;
  Geometry g;
  g.batch = in[0];
  g.in_channels = in[spatial + 1];
  const std::int64_t filter_in = filter.dim(spatial);
  if (filter_in < 1 || g.in_channels % filter_in != 0 || (kind == Kind::kDepthwise && filter_in != g.in_channels)) {
    ctx.fail_node("filter {} does not fit an input of {} channels", filter.describe(), g.in_channels);
  }
  const bool depthwise = kind == Kind::kDepthwise;
  g.out_channels = depthwise ? g.in_channels * filter.dim(spatial + 1) : filter.dim(spatial + 1);
  const std::int64_t groups = depthwise ? g.in_channels : g.in_channels / filter_in;
  if (groups < 1 || g.out_channels % groups != 0) ctx.fail_node("{} output channels in {} groups", g.out_channels, groups);
  g.group_in = g.in_channels / groups;
  g.group_out = g.out_channels / groups;
  for (int i = 0; i < spatial; ++i) {
    const auto d = static_cast<std::size_t>(3 - spatial + i);
    const auto s = static_cast<std::size_t>(i);
    g.in[d] = in[i + 1];
    g.filter[d] = filter.dim(i);
    g.stride[d] = attrs.strides[s];
    g.dilation[d] = attrs.dilations[s];
    g.pad[d] = attrs.pads_of(i, g.in[d], g.filter[d]).first;
    g.out[d] = attrs.output_size(i, g.in[d], g.filter[d]);
  }
  return g;
}

// Calls f(in_offset, out_offset, filter_offset) for every (window position, tap) inside the input; offsets are in elements of
// channel 0, the filter's in taps.
template <class F>
void for_each_tap(const Geometry& g, F&& f) {
  const auto& [n_in, n_k, n_out] = std::tie(g.in, g.filter, g.out);
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (std::int64_t z = 0; z < n_out[0]; ++z)
      for (std::int64_t y = 0; y < n_out[1]; ++y)
        for (std::int64_t x = 0; x < n_out[2]; ++x)
          for (std::int64_t kz = 0; kz < n_k[0]; ++kz)
            for (std::int64_t ky = 0; ky < n_k[1]; ++ky)
              for (std::int64_t kx = 0; kx < n_k[2]; ++kx) {
                const std::int64_t iz = z * g.stride[0] - g.pad[0] + kz * g.dilation[0];
                const std::int64_t iy = y * g.stride[1] - g.pad[1] + ky * g.dilation[1];
                const std::int64_t ix = x * g.stride[2] - g.pad[2] + kx * g.dilation[2];
                if (iz < 0 || iy < 0 || ix < 0 || iz >= n_in[0] || iy >= n_in[1] || ix >= n_in[2]) continue;
                f((((n * n_in[0] + iz) * n_in[1] + iy) * n_in[2] + ix) * g.in_channels,
                  (((n * n_out[0] + z) * n_out[1] + y) * n_out[2] + x) * g.out_channels, (kz * n_k[1] + ky) * n_k[2] + kx);
              }
}

std::int64_t filter_index(const Geometry& g, std::int64_t tap, std::int64_t in_in_group, std::int64_t out, bool depthwise) {
  if (depthwise) return tap * g.out_channels + out;  // [C][multiplier] is the order of the result's channels
  return (tap * g.group_in + in_in_group) * g.out_channels + out;
}

// `first` is the operand that the epilogue's own begin with.
void apply_epilogue(EvalContext& ctx, const Epilogue& epilogue, int first, Tensor& result) {
  const std::int64_t channels = result.dim(result.rank() - 1);
  std::span<const float> bias, residual;
  int next = first;
  if (epilogue.has_bias) bias = ctx.input(next++).flat<float>();
  if (epilogue.residual != Residual::kNone) residual = ctx.input(next).flat<float>();
  if (epilogue.has_bias && static_cast<std::int64_t>(bias.size()) != channels) {
    ctx.fail_node("the bias has {} elements for {} channels", bias.size(), channels);
  }
  auto y = result.flat<float>();
  if (epilogue.residual != Residual::kNone && residual.size() != y.size()) {
    ctx.fail_node("the residual is {}, the result {}", ctx.input(next).describe(), result.describe());
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    const float b = bias.empty() ? 0.0f : bias[i % static_cast<std::size_t>(channels)];
    y[i] = epilogue.apply(y[i], b, residual.empty() ? 0.0f : residual[i]);
  }
}

void check_operands(EvalContext& ctx, const Tensor& x, const Tensor& filter, int spatial) {
  if (x.rank() != spatial + 2 || filter.rank() != spatial + 2) {
    ctx.fail_node("input {} and filter {} must have rank {}", x.describe(), filter.describe(), spatial + 2);
  }
}

Tensor convolved(EvalContext& ctx, const ConvAttrs& attrs, const Tensor& input, const Tensor& filter, int spatial, Kind kind) {
  check_operands(ctx, input, filter, spatial);
  const Geometry g = geometry(ctx, attrs, input.shape(), filter, kind);
  Shape shape = input.shape();
  for (int i = 0; i < spatial; ++i) shape[i + 1] = g.out[static_cast<std::size_t>(3 - spatial + i)];
  shape[spatial + 1] = g.out_channels;
  Tensor result(DataType::kFloat32, shape);
  const auto x = input.flat<float>();
  const auto w = filter.flat<float>();
  std::vector<double> sums(static_cast<std::size_t>(result.num_elements()), 0.0);
  for_each_tap(g, [&](std::int64_t in, std::int64_t out, std::int64_t tap) {
    for (std::int64_t o = 0; o < g.out_channels; ++o) {
      const std::int64_t first = o / g.group_out * g.group_in;
      double sum = 0;
      for (std::int64_t c = 0; c < g.group_in; ++c) {
        sum += double{x[static_cast<std::size_t>(in + first + c)]} *
               w[static_cast<std::size_t>(filter_index(g, tap, c, o, kind == Kind::kDepthwise))];
      }
      sums[static_cast<std::size_t>(out + o)] += sum;
    }
  });
  std::copy(sums.begin(), sums.end(), result.flat<float>().begin());
  return result;
}

void evaluate_window(EvalContext& ctx, int spatial, Kind kind) {
  const ConvAttrs attrs = ConvAttrs::parse(ctx.attrs(), spatial);
  Tensor result = convolved(ctx, attrs, ctx.input(0), ctx.input(1), spatial, kind);
  apply_epilogue(ctx, attrs.epilogue, 2, result);
  ctx.set_output(0, std::move(result));
}

void evaluate_conv_depthwise(EvalContext& ctx) {
  const ConvDepthwiseAttrs attrs = ConvDepthwiseAttrs::parse(ctx.attrs());
  Tensor result = convolved(ctx, attrs.conv, ctx.input(0), ctx.input(1), 2, Kind::kConv);
  apply_epilogue(ctx, attrs.conv.epilogue, 3, result);
  result = convolved(ctx, attrs.depthwise, result, ctx.input(2), 2, Kind::kDepthwise);
  apply_epilogue(ctx, attrs.depthwise.epilogue, 3 + attrs.conv.epilogue.num_operands(), result);
  if (attrs.projection) {
    const int filter = attrs.projection_filter();
    result = convolved(ctx, *attrs.projection, result, ctx.input(filter), 2, Kind::kConv);
    apply_epilogue(ctx, attrs.projection->epilogue, filter + 1, result);
  }
  ctx.set_output(0, std::move(result));
}

void evaluate_conv2d(EvalContext& ctx) { evaluate_window(ctx, 2, Kind::kConv); }
void evaluate_depthwise(EvalContext& ctx) { evaluate_window(ctx, 2, Kind::kDepthwise); }
void evaluate_conv3d(EvalContext& ctx) { evaluate_window(ctx, 3, Kind::kConv); }

// The gradient of a convolution: every window position scatters into the result.
void evaluate_transpose(EvalContext& ctx) {
  const ConvAttrs attrs = ConvAttrs::parse(ctx.attrs(), 2);
  const std::vector<std::int64_t> sizes = ctx.integers(0);
  const Tensor& filter = ctx.input(1);
  const Tensor& input = ctx.input(2);
  check_operands(ctx, input, filter, 2);
  if (sizes.size() != 2 && sizes.size() != 4) ctx.fail_node("input_sizes has {} numbers, 2 or 4 are needed", sizes.size());
  const std::size_t at = sizes.size() == 4 ? 1 : 0;
  const std::int64_t filter_in = filter.dim(2);
  const std::int64_t channels = sizes.size() == 4 ? sizes[3] : filter_in;
  const Shape shape{input.dim(0), sizes[at], sizes[at + 1], channels};
  if (sizes[at] < 0 || sizes[at + 1] < 0 || channels < 0) ctx.fail_node("input_sizes {} is negative", shape.to_string());
  const Geometry g = geometry(ctx, attrs, shape, filter, Kind::kTranspose);
  if (g.out[1] != input.dim(1) || g.out[2] != input.dim(2) || g.out_channels != input.dim(3)) {
    ctx.fail_node("input {} does not belong to a result of {}", input.describe(), shape.to_string());
  }
  Tensor& result = ctx.allocate(0, DataType::kFloat32, shape);
  const auto x = input.flat<float>();
  const auto w = filter.flat<float>();
  std::vector<double> sums(static_cast<std::size_t>(result.num_elements()), 0.0);
  for_each_tap(g, [&](std::int64_t in, std::int64_t out, std::int64_t tap) {
    for (std::int64_t o = 0; o < g.out_channels; ++o) {
      const std::int64_t first = o / g.group_out * g.group_in;
      for (std::int64_t c = 0; c < g.group_in; ++c) {
        sums[static_cast<std::size_t>(in + first + c)] +=
            double{x[static_cast<std::size_t>(out + o)]} * w[static_cast<std::size_t>(filter_index(g, tap, c, o, false))];
      }
    }
  });
  std::copy(sums.begin(), sums.end(), result.flat<float>().begin());
  apply_epilogue(ctx, attrs.epilogue, 3, result);
}

constexpr ir::OpDef kOps[] = {
    {"fused_conv2d", infer_conv2d, evaluate_conv2d},
    {"fused_depthwise_conv2d", infer_depthwise, evaluate_depthwise},
    {"fused_conv2d_depthwise", infer_conv_depthwise, evaluate_conv_depthwise},
    {"fused_conv3d", infer_conv3d, evaluate_conv3d},
    {"fused_conv2d_transpose", infer_transpose, evaluate_transpose},
};

}  // namespace

const OpFamily& fused_conv_family() {
  static const OpFamily family{"fused_conv", kOps, {}};
  return family;
}

}  // namespace tenon::ops
