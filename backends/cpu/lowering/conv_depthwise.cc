// A convolution, the depthwise convolution after it and perhaps the 1x1 convolution after that as one step.
#include <fmt/format.h>

#include <optional>

#include "backends/cpu/kernels/conv_depthwise.h"
#include "backends/cpu/lowering/conv_params.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

// What the prepared step shares with the node for all shapes. Operands that are not there are -1.
struct ChainNode {
  ops::ConvDepthwiseAttrs attrs;
  const void* packed = nullptr;
  const void* depthwise_packed = nullptr;
  const void* projection_packed = nullptr;
  int bias = -1, depthwise_bias = -1, projection_bias = -1, residual = -1;
  std::string key;
};

struct ChainSlots {
  Slot input = -1, bias = -1, depthwise_bias = -1, projection_bias = -1, residual = -1, output = -1;
};

ChainSlots slots_of(const PlanContext& ctx, const ChainNode& chain) {
  const auto slot = [&](int operand) { return operand < 0 ? -1 : ctx.operand(operand).slot; };
  return {slot(0), slot(chain.bias), slot(chain.depthwise_bias), slot(chain.projection_bias), slot(chain.residual), ctx.result().slot};
}

ConvDepthwiseArgs arguments(const Frame& frame, const ChainSlots& slots, const ChainNode& chain) {
  const auto at = [&](Slot slot) { return slot < 0 ? nullptr : frame.at<const float>(slot); };
  ConvDepthwiseArgs args;
  args.input = at(slots.input);
  args.packed = static_cast<const float*>(chain.packed);
  args.bias = at(slots.bias);
  args.depthwise_packed = static_cast<const float*>(chain.depthwise_packed);
  args.depthwise_bias = at(slots.depthwise_bias);
  args.projection_packed = static_cast<const float*>(chain.projection_packed);
  args.projection_bias = at(slots.projection_bias);
  args.residual = at(slots.residual);
  args.output = frame.at<float>(slots.output);
  args.scratch = frame.scratch;
  return args;
}

// Bytes of an image in scratch memory.
std::size_t image_bytes(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels) {
  const auto bytes = static_cast<std::size_t>(batch * height * width * channels) * sizeof(float);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// The whole chain line by line.
class LinesStep : public Step {
 public:
  LinesStep(const ConvDepthwisePlan& plan, const ChainSlots& slots, const ChainNode& chain) : plan_(plan), slots_(slots), chain_(chain) {}
  void run(const Frame& frame) const override { plan_.run(arguments(frame, slots_, chain_), *frame.team); }

 private:
  ConvDepthwisePlan plan_;
  ChainSlots slots_;
  ChainNode chain_;
};

// The parts one after the other, what lies between them in scratch memory; the first two line by line where `pair` says how.
class PartsStep : public Step {
 public:
  PartsStep(ConvDepthwiseParams params, const Shape& input, const ConvDepthwiseTactic* pair, const ChainSlots& slots, const ChainNode& chain)
      : slots_(slots), chain_(chain) {
    const std::int64_t batch = input[0], channels = params.depthwise.channels;
    if (params.projected) params.depthwise.output_stride = params.projection.input_stride = 0;
    const auto conv = Conv2dPlan::make(params.conv, batch, input[1], input[2]);
    const auto depthwise = DepthwisePlan::make(params.depthwise, batch, conv.output_height(), conv.output_width());
    height_ = depthwise.output_height();
    width_ = depthwise.output_width();
    if (params.projected) {
      projection_ = Conv2dPlan::make(params.projection, batch, height_, width_);
      wide_bytes_ = image_bytes(batch, height_, width_, channels);
      params.projected = false;
    }
    if (pair != nullptr) {
      pair_ = ConvDepthwisePlan::make(params, batch, input[1], input[2], *pair);
    } else {
      conv_ = conv;
      depthwise_ = depthwise;
      middle_bytes_ = image_bytes(batch, conv.output_height(), conv.output_width(), channels);
    }
  }

  std::int64_t output_height() const { return height_; }
  std::int64_t output_width() const { return width_; }
  std::size_t scratch_size(int threads) const {
    const std::size_t first = pair_ ? pair_->scratch_size(threads) : std::max(conv_->scratch_size(threads), depthwise_->scratch_size(threads));
    return wide_bytes_ + middle_bytes_ + std::max(first, projection_ ? projection_->scratch_size(threads) : 0);
  }

  void run(const Frame& frame) const override {
    ConvDepthwiseArgs args = arguments(frame, slots_, chain_);
    float* const output = args.output;
    float* const wide = reinterpret_cast<float*>(frame.scratch);
    float* const middle = reinterpret_cast<float*>(frame.scratch + wide_bytes_);
    std::byte* const rest = frame.scratch + wide_bytes_ + middle_bytes_;
    if (projection_) args.output = wide;
    args.scratch = rest;
    if (pair_) {
      pair_->run(args, *frame.team);
    } else {
      conv_->run({args.input, args.packed, args.bias, nullptr, middle, rest}, *frame.team);
      depthwise_->run({middle, args.depthwise_packed, args.depthwise_bias, nullptr, args.output, rest}, *frame.team);
    }
    if (projection_) projection_->run({wide, args.projection_packed, args.projection_bias, args.residual, output, rest}, *frame.team);
  }

 private:
  std::optional<ConvDepthwisePlan> pair_;
  std::optional<Conv2dPlan> conv_, projection_;
  std::optional<DepthwisePlan> depthwise_;
  std::int64_t height_ = 0, width_ = 0;
  std::size_t wide_bytes_ = 0, middle_bytes_ = 0;
  ChainSlots slots_;
  ChainNode chain_;
};

ConvDepthwiseParams chain_params(const ChainNode& chain, const PlanContext& ctx) {
  const Shape& input = ctx.operand(0).shape;
  const ops::ConvDepthwiseAttrs& attrs = chain.attrs;
  ConvDepthwiseParams params;
  params.conv = conv_params(attrs.conv, input[3], ctx.operand(1).shape);
  params.depthwise = depthwise_params(attrs.depthwise, ctx.operand(2).shape);
  set_padding(params.conv, attrs.conv, input[1], input[2]);
  params.conv.input_stride = ctx.operand(0).pitch;
  const std::int64_t height = attrs.conv.output_size(0, input[1], params.conv.kernel_h);
  const std::int64_t width = attrs.conv.output_size(1, input[2], params.conv.kernel_w);
  set_padding(params.depthwise, attrs.depthwise, height, width);
  params.projected = attrs.projection.has_value();
  if (!params.projected) {
    params.depthwise.output_stride = ctx.result().pitch;
    return params;
  }
  const Shape& filter = ctx.operand(attrs.projection_filter()).shape;
  params.projection = conv_params(*attrs.projection, filter[2], filter);
  params.projection.output_stride = ctx.result().pitch;
  if (chain.residual >= 0) params.projection.residual_stride = ctx.operand(chain.residual).pitch;
  return params;
}

std::string chain_key(const ChainNode& chain, const ConvDepthwiseParams& params, const Shape& input) {
  const auto pads = [](const auto& p) { return fmt::format("p{},{},{},{}", p.pad_top, p.pad_left, p.pad_bottom, p.pad_right); };
  std::string key = fmt::format("conv2d_depthwise {} {} {} i{} {} {} o{} {}", chain.key, input.to_string(), pads(params.conv),
                                params.conv.input_stride, epilogue_key(chain.attrs.conv.epilogue), pads(params.depthwise),
                                params.depthwise.output_stride, epilogue_key(chain.attrs.depthwise.epilogue));
  if (!params.projected) return key;
  return key + fmt::format(" o{} r{} {}", params.projection.output_stride, params.projection.residual_stride,
                           epilogue_key(chain.attrs.projection->epilogue));
}

void check_bias(const PlanContext& ctx, int bias, std::int64_t channels) {
  if (bias < 0 || ctx.operand(bias).elements() == channels) return;
  fail(ErrorCode::kUnsupported, "{}: a bias has {} values for {} channels", ctx.node().describe(), ctx.operand(bias).elements(), channels);
}

void check_operands(const PlanContext& ctx, const ChainNode& chain, const ConvDepthwiseParams& params) {
  const std::int64_t channels = params.depthwise.channels;
  const Conv2dParams& projection = params.projection;
  const bool projection_fits =
      !params.projected || (projection.groups == 1 && projection.input_channels == channels && projection.kernel_h == 1 && projection.kernel_w == 1);
  if (params.conv.groups != 1 || params.conv.output_channels != channels || params.depthwise.multiplier != 1 || !projection_fits) {
    fail(ErrorCode::kUnsupported, "{}: its filters do not fit each other or the input {}", ctx.node().describe(),
         ctx.operand(0).shape.to_string());
  }
  check_bias(ctx, chain.bias, channels);
  check_bias(ctx, chain.depthwise_bias, channels);
  check_bias(ctx, chain.projection_bias, projection.output_channels);
  if (chain.residual >= 0 && ctx.operand(chain.residual).shape != ctx.result().shape) {
    fail(ErrorCode::kUnsupported, "{}: the residual has shape {}, the result {}", ctx.node().describe(),
         ctx.operand(chain.residual).shape.to_string(), ctx.result().shape.to_string());
  }
}

// All weights pass by for every few lines where the projection is made with them: they should fit the first-level cache.
bool weights_stay_near(const ConvDepthwiseParams& p) {
  const std::int64_t filter = p.conv.kernel_h * p.conv.kernel_w * p.conv.input_channels;
  const std::int64_t floats = p.depthwise.channels * (filter + p.depthwise.kernel_h * p.depthwise.kernel_w + p.projection.output_channels);
  return floats * static_cast<std::int64_t>(sizeof(float)) <= cpu_info().l1_bytes;
}

std::string tactic_name(const ConvDepthwiseTactic& t) { return fmt::format("p{} s{}", t.panels, t.line_shares); }

std::unique_ptr<Step> prepare_chain(PlanContext& ctx, const ChainNode& chain) {
  const Shape& input = ctx.operand(0).shape;
  const ConvDepthwiseParams params = chain_params(chain, ctx);
  check_operands(ctx, chain, params);
  const ChainSlots slots = slots_of(ctx, chain);
  const auto lines = [&](const ConvDepthwiseTactic& tactic) -> std::unique_ptr<Step> {
    const auto plan = ConvDepthwisePlan::make(params, input[0], input[1], input[2], tactic);
    check_size(ctx, plan.output_height(), plan.output_width());
    ctx.need_scratch(plan.scratch_size(ctx.threads()));
    return std::make_unique<LinesStep>(plan, slots, chain);
  };
  const auto parts = [&](const ConvDepthwiseTactic* pair) -> std::unique_ptr<Step> {
    auto step = std::make_unique<PartsStep>(params, input, pair, slots, chain);
    check_size(ctx, step->output_height(), step->output_width());
    ctx.need_scratch(step->scratch_size(ctx.threads()));
    return step;
  };
  std::vector<Candidate> whole, pairs;
  for (const ConvDepthwiseTactic& tactic : conv_depthwise_tactics(params, input[0], input[1], input[2])) {
    whole.push_back({"lines " + tactic_name(tactic), [&lines, tactic] { return lines(tactic); }});
  }
  if (params.projected) {
    ConvDepthwiseParams first = params;
    first.projected = false;
    for (const ConvDepthwiseTactic& tactic : conv_depthwise_tactics(first, input[0], input[1], input[2])) {
      pairs.push_back({"pair " + tactic_name(tactic), [&parts, tactic] { return parts(&tactic); }});
    }
  }
  std::vector<Candidate> candidates = params.projected && !weights_stay_near(params) ? pairs : whole;
  const std::vector<Candidate>& others = params.projected && !weights_stay_near(params) ? whole : pairs;
  candidates.insert(candidates.end(), others.begin(), others.end());
  candidates.push_back({"separate", [&parts] { return parts(nullptr); }});
  return ctx.choose(chain_key(chain, params, input), candidates);
}

const void* packed_conv(WeightSource& weights, const ir::Node& node, int operand, const ops::ConvAttrs& attrs) {
  const Shape filter = known_shape(node, operand);
  const Conv2dParams params = conv_params(attrs, filter[2], filter);
  return weights.packed(node.inputs[static_cast<std::size_t>(operand)], fmt::format("conv2d {} g1", window_key(attrs, filter)),
                        conv2d_packed_size(params),
                        [&](const Tensor& value, void* to) { conv2d_pack(params, value.flat<float>().data(), static_cast<float*>(to)); });
}

const void* packed_depthwise(WeightSource& weights, const ir::Node& node, int operand, const ops::ConvAttrs& attrs) {
  const Shape filter = known_shape(node, operand);
  const DepthwiseParams params = depthwise_params(attrs, filter);
  return weights.packed(node.inputs[static_cast<std::size_t>(operand)],
                        fmt::format("depthwise {} {}", filter.to_string(), window_key(attrs, filter)), depthwise_packed_size(params),
                        [&](const Tensor& value, void* to) { depthwise_pack(params, value.flat<float>().data(), static_cast<float*>(to)); });
}

// Numbers the operands after the filters.
void number_operands(ChainNode& chain) {
  int next = 3;
  if (chain.attrs.conv.epilogue.has_bias) chain.bias = next++;
  if (chain.attrs.depthwise.epilogue.has_bias) chain.depthwise_bias = next++;
  if (!chain.attrs.projection) return;
  const EpilogueOperands extra = epilogue_operands(chain.attrs.projection->epilogue, next + 1);
  chain.projection_bias = extra.bias;
  chain.residual = extra.residual;
}

Lowered lower_chain(const ir::Node& node, WeightSource& weights) {
  ChainNode chain;
  chain.attrs = ops::ConvDepthwiseAttrs::parse(node.attrs);
  const ops::ConvDepthwiseAttrs& attrs = chain.attrs;
  number_operands(chain);
  Lowered lowered;
  lowered.unread = {1, 2};
  if (attrs.projection) lowered.unread.add(attrs.projection_filter());
  lowered.packed = lowered.unread;
  for (const int filter : {1, 2, attrs.projection ? attrs.projection_filter() : 2}) {
    if (weights.is_constant(node.inputs.at(static_cast<std::size_t>(filter)))) continue;
    fail(ErrorCode::kUnsupported, "{}: filter {} is not constant", node.describe(), filter);
  }
  chain.packed = packed_conv(weights, node, 1, attrs.conv);
  chain.depthwise_packed = packed_depthwise(weights, node, 2, attrs.depthwise);
  chain.key = window_key(attrs.conv, known_shape(node, 1)) + " " + window_key(attrs.depthwise, known_shape(node, 2));
  lowered.kernel = fmt::format("conv2d {} + depthwise_conv2d {}", epilogue_key(attrs.conv.epilogue), epilogue_key(attrs.depthwise.epilogue));
  lowered.pitched_operands = {0};
  if (attrs.projection) {
    const int filter = attrs.projection_filter();
    chain.projection_packed = packed_conv(weights, node, filter, *attrs.projection);
    chain.key += " " + window_key(*attrs.projection, known_shape(node, filter));
    lowered.kernel += fmt::format(" + conv2d {}", epilogue_key(attrs.projection->epilogue));
    if (chain.residual >= 0) lowered.pitched_operands.add(chain.residual);
  }
  lowered.pitched_results = {0};
  lowered.prepare = [chain = std::move(chain)](PlanContext& ctx) { return prepare_chain(ctx, chain); };
  return lowered;
}

Verdict supports_chain(const ir::Node& node) {
  if (auto verdict = require_float32(node, static_cast<int>(node.inputs.size())); !verdict) return verdict;
  return require_rank(node, 0, 4);
}

constexpr Lowering kLowerings[] = {
    {"fused_conv2d_depthwise", supports_chain, lower_chain},
};

}  // namespace

const LoweringFamily& conv_depthwise_lowerings() {
  static const LoweringFamily family{"conv_depthwise", kLowerings};
  return family;
}

}  // namespace tenon::cpu
