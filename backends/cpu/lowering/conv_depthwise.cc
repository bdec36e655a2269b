// A convolution and the depthwise convolution after it as one step.
#include <fmt/format.h>

#include "backends/cpu/kernels/conv_depthwise.h"
#include "backends/cpu/lowering/conv_params.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

// What the prepared step shares with the node for all shapes.
struct PairNode {
  ops::ConvDepthwiseAttrs attrs;
  const void* packed = nullptr;
  const void* depthwise_packed = nullptr;
  int bias = -1, depthwise_bias = -1;  // operands; -1: none
  std::string key;
};

struct PairSlots {
  Slot input = -1, bias = -1, depthwise_bias = -1, output = -1;
};

ConvDepthwiseArgs arguments(const Frame& frame, const PairSlots& slots, const PairNode& pair) {
  ConvDepthwiseArgs args;
  args.input = frame.at<const float>(slots.input);
  args.packed = static_cast<const float*>(pair.packed);
  args.bias = slots.bias < 0 ? nullptr : frame.at<const float>(slots.bias);
  args.depthwise_packed = static_cast<const float*>(pair.depthwise_packed);
  args.depthwise_bias = slots.depthwise_bias < 0 ? nullptr : frame.at<const float>(slots.depthwise_bias);
  args.output = frame.at<float>(slots.output);
  args.scratch = frame.scratch;
  return args;
}

std::size_t round_up(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// One convolution after the other, what lies between them in scratch memory.
class SeparateStep : public Step {
 public:
  SeparateStep(const ConvDepthwiseParams& params, const Shape& input, const PairSlots& slots, const PairNode& pair)
      : conv_(Conv2dPlan::make(params.conv, input[0], input[1], input[2])),
        depthwise_(DepthwisePlan::make(params.depthwise, input[0], conv_.output_height(), conv_.output_width())),
        middle_bytes_(round_up(static_cast<std::size_t>(input[0] * conv_.output_height() * conv_.output_width() *
                                                        params.conv.output_channels) * sizeof(float))),
        slots_(slots),
        pair_(pair) {}

  std::size_t scratch_size(int threads) const {
    return middle_bytes_ + std::max(conv_.scratch_size(threads), depthwise_.scratch_size(threads));
  }

  void run(const Frame& frame) const override {
    const ConvDepthwiseArgs args = arguments(frame, slots_, pair_);
    float* middle = reinterpret_cast<float*>(frame.scratch);
    std::byte* rest = frame.scratch + middle_bytes_;
    conv_.run({args.input, args.packed, args.bias, nullptr, middle, rest}, *frame.team);
    depthwise_.run({middle, args.depthwise_packed, args.depthwise_bias, nullptr, args.output, rest}, *frame.team);
  }

 private:
  Conv2dPlan conv_;
  DepthwisePlan depthwise_;
  std::size_t middle_bytes_;
  PairSlots slots_;
  PairNode pair_;
};

ConvDepthwiseParams pair_params(const PairNode& pair, const PlanContext& ctx) {
  const Shape& input = ctx.operand(0).shape;
  const ops::ConvDepthwiseAttrs& attrs = pair.attrs;
  ConvDepthwiseParams params{conv_params(attrs.conv, input[3], ctx.operand(1).shape),
                             depthwise_params(attrs.depthwise, ctx.operand(2).shape)};
  set_padding(params.conv, attrs.conv, input[1], input[2]);
  params.conv.input_stride = ctx.operand(0).pitch;
  const std::int64_t height = attrs.conv.output_size(0, input[1], params.conv.kernel_h);
  const std::int64_t width = attrs.conv.output_size(1, input[2], params.conv.kernel_w);
  set_padding(params.depthwise, attrs.depthwise, height, width);
  params.depthwise.output_stride = ctx.result().pitch;
  return params;
}

std::string pair_key(const PairNode& pair, const ConvDepthwiseParams& params, const Shape& input) {
  const auto pads = [](const auto& p) { return fmt::format("p{},{},{},{}", p.pad_top, p.pad_left, p.pad_bottom, p.pad_right); };
  return fmt::format("conv2d_depthwise {} {} {} i{} {} {} o{} {}", pair.key, input.to_string(), pads(params.conv),
                     params.conv.input_stride, epilogue_key(pair.attrs.conv.epilogue), pads(params.depthwise),
                     params.depthwise.output_stride, epilogue_key(pair.attrs.depthwise.epilogue));
}

void check_operands(const PlanContext& ctx, const PairNode& pair, const ConvDepthwiseParams& params) {
  if (params.conv.groups != 1 || params.conv.output_channels != params.depthwise.channels || params.depthwise.multiplier != 1) {
    fail(ErrorCode::kUnsupported, "{}: its filters do not fit each other or the input {}", ctx.node().describe(),
         ctx.operand(0).shape.to_string());
  }
  for (const int bias : {pair.bias, pair.depthwise_bias}) {
    if (bias < 0 || ctx.operand(bias).elements() == params.depthwise.channels) continue;
    fail(ErrorCode::kUnsupported, "{}: a bias has {} values for {} channels", ctx.node().describe(), ctx.operand(bias).elements(),
         params.depthwise.channels);
  }
}

std::unique_ptr<Step> prepare_pair(PlanContext& ctx, const PairNode& pair) {
  const Shape& input = ctx.operand(0).shape;
  const ConvDepthwiseParams params = pair_params(pair, ctx);
  check_operands(ctx, pair, params);
  PairSlots slots{ctx.operand(0).slot, -1, -1, ctx.result().slot};
  if (pair.bias >= 0) slots.bias = ctx.operand(pair.bias).slot;
  if (pair.depthwise_bias >= 0) slots.depthwise_bias = ctx.operand(pair.depthwise_bias).slot;
  std::vector<Candidate> candidates;
  for (const ConvDepthwiseTactic& tactic : conv_depthwise_tactics(params, input[0], input[1], input[2])) {
    candidates.push_back({fmt::format("lines p{} s{}", tactic.panels, tactic.line_shares), [&, tactic]() -> std::unique_ptr<Step> {
                            const auto plan = ConvDepthwisePlan::make(params, input[0], input[1], input[2], tactic);
                            check_size(ctx, plan.output_height(), plan.output_width());
                            ctx.need_scratch(plan.scratch_size(ctx.threads()));
                            return make_step([plan, slots, pair](const Frame& frame) {
                              plan.run(arguments(frame, slots, pair), *frame.team);
                            });
                          }});
  }
  candidates.push_back({"separate", [&] {
                          auto step = std::make_unique<SeparateStep>(params, input, slots, pair);
                          ctx.need_scratch(step->scratch_size(ctx.threads()));
                          return step;
                        }});
  return ctx.choose(pair_key(pair, params, input), candidates);
}

Lowered lower_pair(const ir::Node& node, WeightSource& weights) {
  PairNode pair;
  pair.attrs = ops::ConvDepthwiseAttrs::parse(node.attrs);
  const Shape filter = known_shape(node, 1), second = known_shape(node, 2);
  if (!weights.is_constant(node.inputs[1]) || !weights.is_constant(node.inputs[2])) {
    fail(ErrorCode::kUnsupported, "{}: its filters are not constant", node.describe());
  }
  pair.key = window_key(pair.attrs.conv, filter) + " " + window_key(pair.attrs.depthwise, second);
  int next = 3;
  if (pair.attrs.conv.epilogue.has_bias) pair.bias = next++;
  if (pair.attrs.depthwise.epilogue.has_bias) pair.depthwise_bias = next;
  const Conv2dParams conv = conv_params(pair.attrs.conv, filter[2], filter);
  const DepthwiseParams depthwise = depthwise_params(pair.attrs.depthwise, second);
  pair.packed = weights.packed(node.inputs[1], fmt::format("conv2d {} g1", window_key(pair.attrs.conv, filter)), conv2d_packed_size(conv),
                               [&](const Tensor& value, void* to) { conv2d_pack(conv, value.flat<float>().data(), static_cast<float*>(to)); });
  pair.depthwise_packed = weights.packed(
      node.inputs[2], fmt::format("depthwise {} {}", second.to_string(), window_key(pair.attrs.depthwise, second)), depthwise_packed_size(depthwise),
      [&](const Tensor& value, void* to) { depthwise_pack(depthwise, value.flat<float>().data(), static_cast<float*>(to)); });
  Lowered lowered;
  lowered.kernel = fmt::format("conv2d {} + depthwise_conv2d {}", epilogue_key(pair.attrs.conv.epilogue),
                               epilogue_key(pair.attrs.depthwise.epilogue));
  lowered.pitched_operands = {0};
  lowered.pitched_results = {0};
  lowered.unread = {1, 2};
  lowered.packed = {1, 2};
  lowered.prepare = [pair = std::move(pair)](PlanContext& ctx) { return prepare_pair(ctx, pair); };
  return lowered;
}

Verdict supports_pair(const ir::Node& node) {
  if (auto verdict = require_float32(node, static_cast<int>(node.inputs.size())); !verdict) return verdict;
  return require_rank(node, 0, 4);
}

constexpr Lowering kLowerings[] = {
    {"fused_conv2d_depthwise", supports_pair, lower_pair},
};

}  // namespace

const LoweringFamily& conv_depthwise_lowerings() {
  static const LoweringFamily family{"conv_depthwise", kLowerings};
  return family;
}

}  // namespace tenon::cpu
