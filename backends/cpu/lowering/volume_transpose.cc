// Transposed convolutions of volumes.
#include "backends/cpu/kernels/conv3d.h"
#include "backends/cpu/lowering/lowering.h"
#include "backends/cpu/lowering/reference.h"
#include "base/error.h"
#include "ops/conv.h"

namespace tenon::cpu {
namespace {

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  const ir::Value& value = node.inputs.at(operand);
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

// Operands: sizes, filter [kd, kh, kw, O, C], x.
Verdict supports_volume(const ir::Node& node) {
  for (const std::size_t operand : {1, 2}) {
    if (type_of(node, operand).dtype != DataType::kFloat32) return Verdict::no("only float32 runs in an engine");
    if (auto verdict = require_rank(node, static_cast<int>(operand), 5); !verdict) return verdict;
  }
  const auto format = node.attr_or<std::string>("data_format", "NDHWC");
  if (format != "NDHWC") return Verdict::no("data_format " + format + " does not run in an engine");
  if (!type_of(node, 1).shape.fully_known()) return Verdict::no("the filter's shape is not known");
  if (auto verdict = require_known(node, 1, "the filter"); !verdict) return verdict;
  return require_known(node, 0, "the size of the result");
}

TransposedConvParams params_of(const ops::ConvAttrs& attrs, const Shape& filter) {
  TransposedConvParams params;
  params.output_channels = filter[3];
  params.input_channels = filter[4];
  for (std::size_t d = 0; d < 3; ++d) {
    params.kernel[d] = filter[static_cast<int>(d)];
    params.stride[d] = attrs.strides[d];
    params.dilation[d] = attrs.dilations[d];
  }
  return params;
}

std::unique_ptr<Step> prepare(PlanContext& ctx, const ops::ConvAttrs& attrs, const void* packed) {
  const Place &filter = ctx.operand(1), &x = ctx.operand(2), &y = ctx.result();
  if (y.shape[4] != filter.shape[3] || x.shape[4] != filter.shape[4]) {
    fail(ErrorCode::kUnsupported, "{}: grouped transposed convolutions have no kernel", ctx.node().describe());
  }
  TransposedConvParams params = params_of(attrs, filter.shape);
  for (int d = 0; d < 3; ++d) {
    params.pad_before[static_cast<std::size_t>(d)] = attrs.pads_of(d, y.shape[d + 1], filter.shape[d]).first;
  }
  params.input_stride = x.pitch;
  params.output_stride = y.pitch;
  const auto plan = TransposedConvPlan::make(params, x.shape[0], {x.shape[1], x.shape[2], x.shape[3]}, {y.shape[1], y.shape[2], y.shape[3]});
  ctx.need_scratch(plan.scratch_size(ctx.threads()));
  return make_step([plan, packed, from = x.slot, to = y.slot](const Frame& frame) {
    Conv2dArgs args;
    args.input = frame.at<const float>(from);
    args.packed = static_cast<const float*>(packed);
    args.output = frame.at<float>(to);
    args.scratch = frame.scratch;
    plan.run(args, *frame.team);
  });
}

Lowered lower_volume(const ir::Node& node, WeightSource& weights) {
  if (!weights.is_constant(node.inputs[1])) return lower_reference(node);
  const auto attrs = ops::conv_attrs(node.attrs, 3);
  const Shape filter = type_of(node, 1).shape.to_shape();
  const TransposedConvParams params = params_of(attrs, filter);
  const std::string layout = fmt::format("conv3d_transpose {} s{}x{}x{} d{}x{}x{}", filter.to_string(), params.stride[0], params.stride[1],
                                         params.stride[2], params.dilation[0], params.dilation[1], params.dilation[2]);
  const void* packed = weights.packed(node.inputs[1], layout, transposed_conv_packed_size(params), [&](const Tensor& value, void* to) {
    transposed_conv_pack(params, value.flat<float>().data(), static_cast<float*>(to));
  });
  Lowered lowered;
  lowered.kernel = "conv3d_transpose";
  lowered.unread = {0, 1};
  lowered.packed = {1};
  lowered.pitched_operands = {2};
  lowered.pitched_results = {0};
  lowered.prepare = [attrs, packed](PlanContext& ctx) { return prepare(ctx, attrs, packed); };
  return lowered;
}

constexpr Lowering kLowerings[] = {{"conv3d_backprop_input", supports_volume, lower_volume}};

}  // namespace

const LoweringFamily& volume_transpose_lowerings() {
  static const LoweringFamily family{"volume_transpose", kLowerings};
  return family;
}

}  // namespace tenon::cpu
