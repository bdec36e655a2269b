// Transposed convolutions of images, and convolutions of volumes.
#include "backends/cpu/kernels/conv3d.h"

#include "backends/cpu/lowering/epilogue.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

const PartialShape& shape_of(const ir::Node& node, int operand) {
  const ir::Value& value = node.inputs.at(static_cast<std::size_t>(operand));
  return value.node->outputs.at(static_cast<std::size_t>(value.index)).shape;
}

bool is_constant(const ir::Node& node, int operand) {
  const ir::Node& producer = *node.inputs.at(static_cast<std::size_t>(operand)).node;
  return producer.is("const") || producer.is("packed_const");
}

struct WindowNode {
  ops::ConvAttrs attrs;
  EpilogueOperands extra;
  int data = 0;  // which operand is the image
  const void* packed = nullptr;
  std::int64_t channels = 0;  // of the volume that the filter was packed for
};

// A step for either plan: both take the arguments of a planar convolution.
template <class Plan>
std::unique_ptr<Step> window_step(PlanContext& ctx, const WindowNode& conv, const Plan& plan) {
  check_epilogue(ctx, conv.extra);
  ctx.need_scratch(plan.scratch_size(ctx.threads()));
  const auto slot = [&](int operand) { return operand < 0 ? -1 : ctx.operand(operand).slot; };
  return make_step([plan, packed = conv.packed, input = slot(conv.data), bias = slot(conv.extra.bias), residual = slot(conv.extra.residual),
                    output = ctx.result().slot](const Frame& frame) {
    Conv2dArgs args;
    args.input = frame.at<const float>(input);
    args.packed = static_cast<const float*>(packed);
    args.bias = bias < 0 ? nullptr : frame.at<const float>(bias);
    args.residual = residual < 0 ? nullptr : frame.at<const float>(residual);
    args.output = frame.at<float>(output);
    args.scratch = frame.scratch;
    plan.run(args, *frame.team);
  });
}

// Spatial sizes of an image (depth 1) or a volume.
Extent3 extent(const Shape& shape) {
  if (shape.rank() == 4) return {1, shape[1], shape[2]};
  return {shape[1], shape[2], shape[3]};
}

template <class Params>
void set_places(Params& params, const PlanContext& ctx, const WindowNode& conv) {
  params.input_stride = ctx.operand(conv.data).pitch;
  params.output_stride = ctx.result().pitch;
  if (conv.extra.residual >= 0) params.residual_stride = ctx.operand(conv.extra.residual).pitch;
}

Lowered lowered_window(const ir::Node& node, const WindowNode& conv) {
  Lowered lowered;
  lowered.kernel = fmt::format("{} {}", node.op->name.substr(6), epilogue_key(conv.attrs.epilogue));
  lowered.unread = lowered.packed = {1};
  lowered.pitched_operands = {conv.data};
  if (conv.extra.residual >= 0) lowered.pitched_operands.add(conv.extra.residual);
  lowered.pitched_results = {0};
  return lowered;
}

// --- transposed convolution: operands sizes, filter [kh, kw, O, C], x

TransposedConvParams transposed_params(const ops::ConvAttrs& attrs, const Shape& filter) {
  TransposedConvParams params;
  params.output_channels = filter[2];
  params.input_channels = filter[3];
  params.kernel = {1, filter[0], filter[1]};
  params.stride = {1, attrs.strides[0], attrs.strides[1]};
  params.dilation = {1, attrs.dilations[0], attrs.dilations[1]};
  params.epilogue = kernel_epilogue(attrs.epilogue);
  return params;
}

std::unique_ptr<Step> prepare_transpose(PlanContext& ctx, const WindowNode& conv) {
  const Shape &x = ctx.operand(2).shape, &y = ctx.result().shape, &filter = ctx.operand(1).shape;
  if (y[3] != filter[2] || x[3] != filter[3]) {
    fail(ErrorCode::kUnsupported, "{}: grouped transposed convolutions have no kernel", ctx.node().describe());
  }
  TransposedConvParams params = transposed_params(conv.attrs, filter);
  params.pad_before = {0, conv.attrs.pads_of(0, y[1], filter[0]).first, conv.attrs.pads_of(1, y[2], filter[1]).first};
  set_places(params, ctx, conv);
  return window_step(ctx, conv, TransposedConvPlan::make(params, x[0], extent(x), extent(y)));
}

Lowered lower_transpose(const ir::Node& node, WeightSource& weights) {
  WindowNode conv;
  conv.attrs = ops::ConvAttrs::parse(node.attrs, 2);
  conv.extra = epilogue_operands(conv.attrs.epilogue, 3);
  conv.data = 2;
  const Shape filter = shape_of(node, 1).to_shape();
  const TransposedConvParams params = transposed_params(conv.attrs, filter);
  const std::string layout = fmt::format("conv2d_transpose {} s{}x{} d{}x{}", filter.to_string(), params.stride[1], params.stride[2],
                                         params.dilation[1], params.dilation[2]);
  conv.packed = weights.packed(node.inputs[1], layout, transposed_conv_packed_size(params), [&](const Tensor& value, void* to) {
    transposed_conv_pack(params, value.flat<float>().data(), static_cast<float*>(to));
  });
  Lowered lowered = lowered_window(node, conv);
  lowered.unread = {0, 1};
  lowered.prepare = [conv](PlanContext& ctx) { return prepare_transpose(ctx, conv); };
  return lowered;
}

Verdict supports_fused_transpose(const ir::Node& node) {
  if (!is_constant(node, 1)) return Verdict::no("the filter must be constant");
  return require_known(node, 0, "the size of the result");
}

// --- convolution of volumes: operands x, filter [kd, kh, kw, C / groups, O]

Conv3dParams conv3d_params(const ops::ConvAttrs& attrs, std::int64_t channels, const Shape& filter) {
  Conv3dParams params;
  params.input_channels = channels;
  params.output_channels = filter[4];
  params.groups = filter[3] == 0 ? 0 : channels / filter[3];
  for (std::size_t d = 0; d < 3; ++d) {
    params.kernel[d] = filter[static_cast<int>(d)];
    params.stride[d] = attrs.strides[d];
    params.dilation[d] = attrs.dilations[d];
  }
  params.epilogue = kernel_epilogue(attrs.epilogue);
  return params;
}

std::unique_ptr<Step> prepare_conv3d(PlanContext& ctx, const WindowNode& conv) {
  const Shape& x = ctx.operand(0).shape;
  if (x[4] != conv.channels) fail(ErrorCode::kUnsupported, "{}: its filters are for {} input channels", ctx.node().describe(), conv.channels);
  Conv3dParams params = conv3d_params(conv.attrs, x[4], ctx.operand(1).shape);
  for (int d = 0; d < 3; ++d) {
    const auto at = static_cast<std::size_t>(d);
    std::tie(params.pad_before[at], params.pad_after[at]) = conv.attrs.pads_of(d, x[d + 1], params.kernel[at]);
  }
  set_places(params, ctx, conv);
  return window_step(ctx, conv, Conv3dPlan::make(params, x[0], extent(x)));
}

Lowered lower_conv3d(const ir::Node& node, WeightSource& weights) {
  WindowNode conv;
  conv.attrs = ops::ConvAttrs::parse(node.attrs, 3);
  conv.extra = epilogue_operands(conv.attrs.epilogue, 2);
  const Shape filter = shape_of(node, 1).to_shape();
  conv.channels = shape_of(node, 0)[4].size();
  const Conv3dParams params = conv3d_params(conv.attrs, conv.channels, filter);
  const std::string layout = fmt::format("conv3d {} s{}x{}x{} d{}x{}x{} g{}", filter.to_string(), params.stride[0], params.stride[1],
                                         params.stride[2], params.dilation[0], params.dilation[1], params.dilation[2], params.groups);
  conv.packed = weights.packed(node.inputs[1], layout, conv3d_packed_size(params), [&](const Tensor& value, void* to) {
    conv3d_pack(params, value.flat<float>().data(), static_cast<float*>(to));
  });
  Lowered lowered = lowered_window(node, conv);
  lowered.prepare = [conv](PlanContext& ctx) { return prepare_conv3d(ctx, conv); };
  return lowered;
}

Verdict supports_fused_conv3d(const ir::Node& node) {
  const PartialShape& input = shape_of(node, 0);
  if (!input.known_rank() || input.rank() != 5 || !input[4].known()) return Verdict::no("the number of channels is not known");
  return is_constant(node, 1) ? Verdict::yes() : Verdict::no("the filter must be constant");
}

// --- as TensorFlow has them

Verdict supports_float_window(const ir::Node& node, int filter, int data, int rank) {
  for (const int operand : {filter, data}) {
    const ir::Value& value = node.inputs.at(static_cast<std::size_t>(operand));
    if (value.node->outputs.at(static_cast<std::size_t>(value.index)).dtype != DataType::kFloat32) {
      return Verdict::no(fmt::format("{} needs float32 operands", node.op->name));
    }
    if (auto verdict = require_rank(node, operand, rank); !verdict) return verdict;
  }
  const auto format = node.attr_or<std::string>("data_format", "NHWC");
  if (format != "NHWC" && format != "NDHWC") return Verdict::no("data_format " + format + " does not run in an engine");
  if (!shape_of(node, filter).fully_known()) return Verdict::no("the filter's shape is not known");
  return require_known(node, filter, "the filter");
}

Verdict supports_backprop_input(const ir::Node& node) {
  if (auto verdict = supports_float_window(node, 1, 2, 4); !verdict) return verdict;
  return require_known(node, 0, "the size of the result");
}

Verdict supports_conv3d(const ir::Node& node) {
  if (auto verdict = supports_float_window(node, 1, 0, 5); !verdict) return verdict;
  const PartialShape& input = shape_of(node, 0);
  return input.known_rank() && input[4].known() ? Verdict::yes() : Verdict::no("the number of channels is not known");
}

constexpr Lowering kLowerings[] = {
    {"fused_conv2d_transpose", supports_fused_transpose, lower_transpose},
    {"fused_conv3d", supports_fused_conv3d, lower_conv3d},
    {"conv2d_backprop_input", supports_backprop_input, nullptr},
    {"conv3d", supports_conv3d, nullptr},
};

}  // namespace

const LoweringFamily& conv_nd_lowerings() {
  static const LoweringFamily family{"conv_nd", kLowerings};
  return family;
}

}  // namespace tenon::cpu
