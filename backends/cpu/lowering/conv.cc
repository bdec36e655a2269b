// Convolutions over two spatial dimensions: plain, grouped, dilated and depthwise.
#include <fmt/format.h>

#include "backends/cpu/lowering/conv_params.h"
#include "backends/cpu/lowering/epilogue.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

// The slots a convolution step reads and writes.
struct ConvSlots {
  Slot input = -1, filter = -1, bias = -1, residual = -1, output = -1;
};

ConvSlots slots_of(const PlanContext& ctx, const EpilogueOperands& extra) {
  ConvSlots slots{ctx.operand(0).slot, ctx.operand(1).slot, -1, -1, ctx.result().slot};
  if (extra.bias >= 0) slots.bias = ctx.operand(extra.bias).slot;
  if (extra.residual >= 0) slots.residual = ctx.operand(extra.residual).slot;
  return slots;
}

template <class Args>
Args arguments(const Frame& frame, const ConvSlots& slots, const void* packed, std::byte* scratch) {
  Args args;
  args.input = frame.at<const float>(slots.input);
  args.packed = static_cast<const float*>(packed);
  args.bias = slots.bias < 0 ? nullptr : frame.at<const float>(slots.bias);
  args.residual = slots.residual < 0 ? nullptr : frame.at<const float>(slots.residual);
  args.output = frame.at<float>(slots.output);
  args.scratch = scratch;
  return args;
}

template <class Params>
void set_places(Params& params, const ops::ConvAttrs& attrs, const PlanContext& ctx, const EpilogueOperands& extra) {
  const Place& input = ctx.operand(0);
  set_padding(params, attrs, input.shape[1], input.shape[2]);
  params.input_stride = input.pitch;
  params.output_stride = ctx.result().pitch;
  if (extra.residual >= 0) params.residual_stride = ctx.operand(extra.residual).pitch;
}

template <class Params>
std::string place_key(const Params& p, const Shape& input, const ops::Epilogue& epilogue) {
  return fmt::format("{} p{},{},{},{} i{} o{} r{} {}", input.to_string(), p.pad_top, p.pad_left, p.pad_bottom, p.pad_right,
                     p.input_stride, p.output_stride, p.residual_stride, epilogue_key(epilogue));
}

// What the prepared step shares with the node for all shapes.
struct ConvNode {
  ops::ConvAttrs attrs;
  EpilogueOperands extra;
  const void* packed = nullptr;  // null: the filter is a run-time value and packed in every run
  std::int64_t channels = 0;     // that it was packed for
  bool winograd = false;         // the filter is packed for Winograd's algorithm
  std::string key;
};

// Packs a run-time filter at the front of the scratch memory.
template <class Params, class PackedSize, class Pack>
std::function<std::byte*(const Frame&)> run_time_packing(const Params& params, Slot filter, PackedSize packed_size, Pack pack) {
  const std::size_t size = packed_size(params);
  return [params, filter, size, pack](const Frame& frame) {
    pack(params, frame.at<const float>(filter), reinterpret_cast<float*>(frame.scratch));
    return frame.scratch + size;
  };
}

// The filters were packed for this many channels.
void check_channels(const PlanContext& ctx, const ConvNode& conv) {
  const std::int64_t found = ctx.operand(0).shape[3];
  if (conv.packed == nullptr || found == conv.channels) return;
  fail(ErrorCode::kUnsupported, "{}: its filters are for {} input channels, found {}", ctx.node().describe(), conv.channels, found);
}

std::unique_ptr<Step> prepare_conv(PlanContext& ctx, const ConvNode& conv) {
  const Shape& input = ctx.operand(0).shape;
  check_channels(ctx, conv);
  check_epilogue(ctx, conv.extra);
  Conv2dParams params = conv_params(conv.attrs, input[3], ctx.operand(1).shape);
  set_places(params, conv.attrs, ctx, conv.extra);
  params.winograd = conv.winograd;
  const ConvSlots slots = slots_of(ctx, conv.extra);
  const auto make = [&](const ConvTactic& tactic) -> std::unique_ptr<Step> {
    const auto plan = Conv2dPlan::make(params, input[0], input[1], input[2], tactic);
    check_size(ctx, plan.output_height(), plan.output_width());
    ctx.need_scratch(plan.scratch_size(ctx.threads()) + (conv.packed ? 0 : conv2d_packed_size(params)));
    if (conv.packed) {
      return make_step([plan, slots, packed = conv.packed](const Frame& frame) {
        plan.run(arguments<Conv2dArgs>(frame, slots, packed, frame.scratch), *frame.team);
      });
    }
    const auto pack = run_time_packing(params, slots.filter, [](const auto& p) { return conv2d_packed_size(p); },
                                       [](const auto& p, const float* from, float* to) { conv2d_pack(p, from, to); });
    return make_step([plan, slots, pack](const Frame& frame) {
      std::byte* rest = pack(frame);
      plan.run(arguments<Conv2dArgs>(frame, slots, frame.scratch, rest), *frame.team);
    });
  };
  std::vector<Candidate> candidates;
  for (const ConvTactic& tactic : conv2d_tactics(params, input[0], input[1], input[2])) {
    candidates.push_back({tactic_name(tactic), [&make, tactic] { return make(tactic); }});
  }
  return ctx.choose(fmt::format("conv2d{} {} {}", conv.winograd ? " winograd" : "", conv.key, place_key(params, input, conv.attrs.epilogue)), candidates);
}

// A convolution with one input channel per group is a depthwise one: the filters lie in the same order.
Shape as_depthwise(const Shape& filter, std::int64_t channels) { return {filter[0], filter[1], channels, filter[2] * filter[3] / channels}; }

std::unique_ptr<Step> prepare_depthwise(PlanContext& ctx, const ConvNode& conv) {
  const Shape& input = ctx.operand(0).shape;
  check_channels(ctx, conv);
  check_epilogue(ctx, conv.extra);
  DepthwiseParams params = depthwise_params(conv.attrs, as_depthwise(ctx.operand(1).shape, input[3]));
  set_places(params, conv.attrs, ctx, conv.extra);
  const ConvSlots slots = slots_of(ctx, conv.extra);
  const auto plan = DepthwisePlan::make(params, input[0], input[1], input[2]);
  check_size(ctx, plan.output_height(), plan.output_width());
  ctx.need_scratch(plan.scratch_size(ctx.threads()) + (conv.packed ? 0 : depthwise_packed_size(params)));
  if (conv.packed) {
    return make_step([plan, slots, packed = conv.packed](const Frame& frame) {
      plan.run(arguments<DepthwiseArgs>(frame, slots, packed, frame.scratch), *frame.team);
    });
  }
  const auto pack = run_time_packing(params, slots.filter, [](const auto& p) { return depthwise_packed_size(p); },
                                     [](const auto& p, const float* from, float* to) { depthwise_pack(p, from, to); });
  return make_step([plan, slots, pack](const Frame& frame) {
    std::byte* rest = pack(frame);
    plan.run(arguments<DepthwiseArgs>(frame, slots, frame.scratch, rest), *frame.team);
  });
}

Lowered lower_window(const ir::Node& node, ConvNode conv, std::unique_ptr<Step> (*prepare)(PlanContext&, const ConvNode&)) {
  Lowered lowered;
  lowered.pitched_operands = {0};
  if (conv.extra.residual >= 0) lowered.pitched_operands.add(conv.extra.residual);
  lowered.pitched_results = {0};
  if (conv.packed) lowered.unread = {1};
  if (conv.packed && !conv.winograd) lowered.packed = {1};
  lowered.kernel = fmt::format("{} {}", node.op->name.substr(6), epilogue_key(conv.attrs.epilogue));
  lowered.prepare = [conv = std::move(conv), prepare](PlanContext& ctx) { return prepare(ctx, conv); };
  return lowered;
}

ConvNode conv_node(const ir::Node& node) {
  ConvNode conv;
  conv.attrs = ops::ConvAttrs::parse(node.attrs, 2);
  conv.extra = epilogue_operands(conv.attrs.epilogue, 2);
  conv.key = window_key(conv.attrs, known_shape(node, 1));
  return conv;
}

// Winograd's form of a filter has four times its bytes and is made when an engine is loaded. Filters of more pairs of channels
// are convolved directly, which bounds the memory and time that loading takes.
constexpr std::int64_t kMaxWinogradPairs = 256 * 256;

// One packed form serves all shapes, so images of unknown size are convolved directly; an unknown batch counts as 1.
bool winograd_pays(const ops::ConvAttrs& attrs, Conv2dParams params, const PartialShape& input) {
  if (params.input_channels * params.output_channels > kMaxWinogradPairs) return false;
  if (!input[1].known() || !input[2].known()) return false;
  const std::int64_t batch = input[0].known() ? input[0].size() : 1, height = input[1].size(), width = input[2].size();
  std::tie(params.pad_top, params.pad_bottom) = attrs.pads_of(0, height, params.kernel_h);
  std::tie(params.pad_left, params.pad_right) = attrs.pads_of(1, width, params.kernel_w);
  return conv2d_winograd_pays(params, batch, height, width);
}

// The channels of the image; 0 when they are not known.
std::int64_t input_channels(const ir::Node& node) {
  const ir::Value& input = node.inputs.at(0);
  const PartialShape& shape = input.node->outputs.at(static_cast<std::size_t>(input.index)).shape;
  return shape.known_rank() && shape.rank() == 4 && shape[3].known() ? shape[3].size() : 0;
}

Lowered lower_depthwise(const ir::Node& node, WeightSource& weights) {
  ConvNode conv = conv_node(node);
  if (weights.is_constant(node.inputs[1])) {
    const Shape filter = known_shape(node, 1);
    const Shape own = node.is("fused_depthwise_conv2d") ? filter : as_depthwise(filter, input_channels(node));
    const DepthwiseParams params = depthwise_params(conv.attrs, own);
    conv.channels = own[2];
    conv.packed = weights.packed(node.inputs[1], fmt::format("depthwise {} {}", own.to_string(), conv.key), depthwise_packed_size(params),
                                 [&](const Tensor& value, void* to) {
                                   depthwise_pack(params, value.flat<float>().data(), static_cast<float*>(to));
                                 });
  }
  return lower_window(node, std::move(conv), prepare_depthwise);
}

Lowered lower_conv2d(const ir::Node& node, WeightSource& weights) {
  const Shape filter = known_shape(node, 1);
  const std::int64_t channels = input_channels(node);
  if (channels > 1 && filter[2] == 1 && filter[3] % channels == 0) return lower_depthwise(node, weights);
  ConvNode conv = conv_node(node);
  if (weights.is_constant(node.inputs[1]) && channels > 0) {
    Conv2dParams params = conv_params(conv.attrs, channels, filter);
    conv.channels = channels;
    const ir::Value& input = node.inputs[0];
    params.winograd = conv.winograd = winograd_pays(conv.attrs, params, input.node->outputs[static_cast<std::size_t>(input.index)].shape);
    const std::string form = fmt::format("conv2d {} g{}{}", conv.key, params.groups, conv.winograd ? " winograd" : "");
    const auto pack = [&](const Tensor& value, void* to) { conv2d_pack(params, value.flat<float>().data(), static_cast<float*>(to)); };
    const std::size_t size = conv2d_packed_size(params);
    conv.packed = conv.winograd ? weights.packed_when_loaded(node.inputs[1], form, size, pack)
                                : weights.packed(node.inputs[1], form, size, pack);
  }
  return lower_window(node, std::move(conv), prepare_conv);
}

Verdict supports_fused(const ir::Node& node) {
  if (auto verdict = require_float32(node, static_cast<int>(node.inputs.size())); !verdict) return verdict;
  return require_rank(node, 0, 4);
}

// Plain convolutions become fused ones before they are lowered.
Verdict supports_conv2d(const ir::Node& node) {
  if (auto verdict = require_float32(node, 2); !verdict) return verdict;
  if (auto verdict = require_rank(node, 1, 4); !verdict) return verdict;
  const auto format = node.attr_or<std::string>("data_format", "NHWC");
  if (format != "NHWC") return Verdict::no("data_format " + format + " does not run in an engine");
  const ir::Value& filter = node.inputs[1];
  if (!filter.node->outputs[static_cast<std::size_t>(filter.index)].shape.fully_known()) {
    return Verdict::no("the filter's shape is not known");
  }
  return require_rank(node, 0, 4);
}

constexpr Lowering kLowerings[] = {
    {"fused_conv2d", supports_fused, lower_conv2d},
    {"fused_depthwise_conv2d", supports_fused, lower_depthwise},
    {"conv2d", supports_conv2d, nullptr},
    {"depthwise_conv2d", supports_conv2d, nullptr},
};

}  // namespace

const LoweringFamily& conv_lowerings() {
  static const LoweringFamily family{"conv", kLowerings};
  return family;
}

}  // namespace tenon::cpu
