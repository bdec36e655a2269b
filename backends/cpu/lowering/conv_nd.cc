// Transposed convolutions (a matrix product and a gathering sum) and convolutions of volumes (sums of planar convolutions).
#include <algorithm>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/gemm.h"
#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/lowering/epilogue.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

const PartialShape& shape_of(const ir::Node& node, int operand) {
  const ir::Value& value = node.inputs.at(static_cast<std::size_t>(operand));
  return value.node->outputs.at(static_cast<std::size_t>(value.index)).shape;
}

const float* optional(const Frame& frame, Slot slot) { return slot < 0 ? nullptr : frame.at<const float>(slot); }

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

struct WindowNode {
  ops::ConvAttrs attrs;
  EpilogueOperands extra;
  std::vector<const void*> packed;  // one per slice of the filter
};

// --- transposed convolution

// From products [h * w, kh * kw * channels] of one image to its result: every pixel gathers the taps that reach it.
struct Gathering {
  std::int64_t in_h = 0, in_w = 0, out_h = 0, out_w = 0, kernel_h = 0, kernel_w = 0, channels = 0;
  std::int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1, pad_top = 0, pad_left = 0;
  ops::Epilogue epilogue;

  void finish(float* pixel, const float* bias, const float* residual) const {
    for (std::int64_t c = 0; c < channels; ++c) {
      pixel[c] = epilogue.apply(pixel[c], bias ? bias[c] : 0, residual ? residual[c] : 0);
    }
  }

  void pixel(const float* products, std::int64_t y, std::int64_t x, float* to) const {
    std::fill_n(to, channels, 0.0f);
    for (std::int64_t ky = 0; ky < kernel_h; ++ky) {
      const std::int64_t from_y = y + pad_top - ky * dilation_h;
      if (from_y < 0 || from_y % stride_h != 0 || from_y / stride_h >= in_h) continue;
      for (std::int64_t kx = 0; kx < kernel_w; ++kx) {
        const std::int64_t from_x = x + pad_left - kx * dilation_w;
        if (from_x < 0 || from_x % stride_w != 0 || from_x / stride_w >= in_w) continue;
        const std::int64_t row = from_y / stride_h * in_w + from_x / stride_w;
        const float* tap = products + (row * kernel_h * kernel_w + ky * kernel_w + kx) * channels;
        for (std::int64_t c = 0; c < channels; ++c) to[c] += tap[c];
      }
    }
  }

  void run(const float* products, const float* bias, const float* residual, float* to, ThreadTeam& team) const {
    const bool plain = epilogue.activation == ops::Activation::kNone && !bias && !residual;
    const double row_cost = static_cast<double>(out_w * channels * kernel_h * kernel_w) * 0.2;
    for_shares(split_work(out_h, row_cost), team, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) {
        for (std::int64_t x = 0; x < out_w; ++x) {
          const std::int64_t at = (y * out_w + x) * channels;
          pixel(products, y, x, to + at);
          if (!plain) finish(to + at, bias, residual ? residual + at : nullptr);
        }
      }
    });
  }
};

std::unique_ptr<Step> prepare_transpose(PlanContext& ctx, const WindowNode& conv) {
  const Place &x = ctx.operand(2), &y = ctx.result();
  const Shape& filter = ctx.operand(1).shape;
  Gathering gathering;
  gathering.in_h = x.shape[1];
  gathering.in_w = x.shape[2];
  gathering.out_h = y.shape[1];
  gathering.out_w = y.shape[2];
  gathering.kernel_h = filter[0];
  gathering.kernel_w = filter[1];
  gathering.channels = filter[2];
  gathering.stride_h = conv.attrs.strides[0];
  gathering.stride_w = conv.attrs.strides[1];
  gathering.dilation_h = conv.attrs.dilations[0];
  gathering.dilation_w = conv.attrs.dilations[1];
  gathering.pad_top = conv.attrs.pads_of(0, y.shape[1], filter[0]).first;
  gathering.pad_left = conv.attrs.pads_of(1, y.shape[2], filter[1]).first;
  gathering.epilogue = conv.attrs.epilogue;
  if (y.shape[3] != filter[2] || x.shape[3] != filter[3]) {
    fail(ErrorCode::kUnsupported, "{}: grouped transposed convolutions have no kernel", ctx.node().describe());
  }
  const GemmShape shape{gathering.in_h * gathering.in_w, filter[0] * filter[1] * filter[2], filter[3]};
  const auto plan = GemmPlan::make(shape, {});
  const std::size_t products = aligned(static_cast<std::size_t>(shape.m * shape.n) * sizeof(float));
  ctx.need_scratch(products + plan.scratch_size(ctx.threads()));
  const Slot bias = conv.extra.bias < 0 ? -1 : ctx.operand(conv.extra.bias).slot;
  const Slot residual = conv.extra.residual < 0 ? -1 : ctx.operand(conv.extra.residual).slot;
  const std::int64_t x_size = shape.m * shape.k, y_size = gathering.out_h * gathering.out_w * gathering.channels;
  return make_step([=, packed = conv.packed.at(0), batch = x.shape[0], from = x.slot, to = y.slot](const Frame& frame) {
    for (std::int64_t n = 0; n < batch; ++n) {
      GemmArgs args;
      args.a = frame.at<const float>(from) + n * x_size;
      args.lda = shape.k;
      args.packed = static_cast<const float*>(packed);
      args.c = reinterpret_cast<float*>(frame.scratch);
      args.ldc = shape.n;
      args.scratch = frame.scratch + products;
      plan.run(args, *frame.team);
      const float* added = residual < 0 ? nullptr : frame.at<const float>(residual) + n * y_size;
      gathering.run(args.c, optional(frame, bias), added, frame.at<float>(to) + n * y_size, *frame.team);
    }
  });
}

Lowered lower_transpose(const ir::Node& node, WeightSource& weights) {
  WindowNode conv;
  conv.attrs = ops::ConvAttrs::parse(node.attrs, 2);
  conv.extra = epilogue_operands(conv.attrs.epilogue, 3);
  const Shape filter = shape_of(node, 1).to_shape();
  const std::int64_t k = filter[3], n = filter[0] * filter[1] * filter[2];
  conv.packed = {weights.packed(node.inputs[1], fmt::format("gemm {}x{} t", k, n), gemm_packed_size(k, n),
                                [&](const Tensor& value, void* to) {
                                  gemm_pack(value.flat<float>().data(), k, true, k, n, static_cast<float*>(to));
                                })};
  Lowered lowered;
  lowered.kernel = "conv2d_transpose " + epilogue_key(conv.attrs.epilogue);
  lowered.unread = {0, 1};
  lowered.packed = {1};
  lowered.prepare = [conv = std::move(conv)](PlanContext& ctx) { return prepare_transpose(ctx, conv); };
  return lowered;
}

// The lowering packs the filter, so it must be known.
Verdict supports_fused_transpose(const ir::Node& node) {
  if (!node.inputs[1].node->is("const") && !node.inputs[1].node->is("packed_const")) return Verdict::no("the filter must be constant");
  return require_known(node, 0, "the size of the result");
}

// --- convolution of volumes

// One planar convolution for each tap along the depth; all but the first add to what came before.
struct DepthPlans {
  std::unique_ptr<const Conv2dPlan> only, first, middle, last;
};

Conv2dPlan planar(Conv2dParams params, const Shape& input, ResidualPlace residual, const Epilogue* epilogue) {
  params.epilogue = epilogue ? *epilogue : Epilogue{};
  params.epilogue.residual = residual;
  return Conv2dPlan::make(params, 1, input[2], input[3]);
}

Conv2dParams planar_params(const ops::ConvAttrs& attrs, std::int64_t channels, const Shape& filter) {
  Conv2dParams params;
  params.input_channels = channels;
  params.output_channels = filter[4];
  params.groups = channels / std::max<std::int64_t>(1, filter[3]);
  params.kernel_h = filter[1];
  params.kernel_w = filter[2];
  params.stride_h = attrs.strides[1];
  params.stride_w = attrs.strides[2];
  params.dilation_h = attrs.dilations[1];
  params.dilation_w = attrs.dilations[2];
  return params;
}

std::unique_ptr<Step> prepare_conv3d(PlanContext& ctx, const WindowNode& conv) {
  const Shape &in = ctx.operand(0).shape, &out = ctx.result().shape, &filter = ctx.operand(1).shape;
  Conv2dParams params = planar_params(conv.attrs, in[4], filter);
  std::tie(params.pad_top, params.pad_bottom) = conv.attrs.pads_of(1, in[2], filter[1]);
  std::tie(params.pad_left, params.pad_right) = conv.attrs.pads_of(2, in[3], filter[2]);
  const Epilogue epilogue = kernel_epilogue(conv.attrs.epilogue);
  auto plans = std::make_shared<DepthPlans>();
  plans->only = std::make_unique<Conv2dPlan>(planar(params, in, ResidualPlace::kNone, &epilogue));
  plans->first = std::make_unique<Conv2dPlan>(planar(params, in, ResidualPlace::kNone, nullptr));
  plans->middle = std::make_unique<Conv2dPlan>(planar(params, in, ResidualPlace::kBeforeActivation, nullptr));
  plans->last = std::make_unique<Conv2dPlan>(planar(params, in, ResidualPlace::kBeforeActivation, &epilogue));

  const std::int64_t in_plane = in[2] * in[3] * in[4], out_plane = out[2] * out[3] * out[4];
  const std::size_t sum_bytes = aligned(static_cast<std::size_t>(out_plane) * sizeof(float));
  const std::size_t zero_bytes = aligned(static_cast<std::size_t>(in_plane) * sizeof(float));
  std::size_t kernel_bytes = 0;
  for (const auto* plan : {plans->only.get(), plans->first.get(), plans->middle.get(), plans->last.get()}) {
    kernel_bytes = std::max(kernel_bytes, plan->scratch_size(ctx.threads()));
  }
  ctx.need_scratch(2 * sum_bytes + zero_bytes + kernel_bytes);
  // The taps of every result plane: which input plane meets which slice of the filter.
  std::vector<std::vector<std::pair<std::int64_t, const void*>>> taps(static_cast<std::size_t>(out[1]));
  const std::int64_t before = conv.attrs.pads_of(0, in[1], filter[0]).first;
  for (std::int64_t d = 0; d < out[1]; ++d) {
    auto& list = taps[static_cast<std::size_t>(d)];
    for (std::int64_t k = 0; k < filter[0]; ++k) {
      const std::int64_t plane = d * conv.attrs.strides[0] - before + k * conv.attrs.dilations[0];
      if (plane >= 0 && plane < in[1]) list.emplace_back(plane, conv.packed[static_cast<std::size_t>(k)]);
    }
    if (list.empty()) list.emplace_back(-1, conv.packed[0]);  // nothing but padding: a plane of zeros
  }
  const Slot bias = conv.extra.bias < 0 ? -1 : ctx.operand(conv.extra.bias).slot;
  return make_step([=, batch = in[0], depth = in[1], from = ctx.operand(0).slot, to = ctx.result().slot,
                    taps = std::move(taps)](const Frame& frame) {
    auto* sums = reinterpret_cast<float*>(frame.scratch);
    auto* other = reinterpret_cast<float*>(frame.scratch + sum_bytes);
    auto* zeros = reinterpret_cast<float*>(frame.scratch + 2 * sum_bytes);
    std::fill_n(zeros, in_plane, 0.0f);
    const float* x = frame.at<const float>(from);
    float* y = frame.at<float>(to);
    for (std::int64_t n = 0; n < batch; ++n) {
      for (const auto& list : taps) {
        for (std::size_t t = 0; t < list.size(); ++t) {
          const bool first = t == 0, last = t + 1 == list.size();
          Conv2dArgs args;
          args.input = list[t].first < 0 ? zeros : x + (n * depth + list[t].first) * in_plane;
          args.packed = static_cast<const float*>(list[t].second);
          args.bias = last ? optional(frame, bias) : nullptr;
          args.residual = first ? nullptr : sums;
          args.output = last ? y : other;
          args.scratch = frame.scratch + 2 * sum_bytes + zero_bytes;
          const auto& plan = first && last ? plans->only : first ? plans->first : last ? plans->last : plans->middle;
          plan->run(args, *frame.team);
          std::swap(sums, other);
        }
        y += out_plane;
      }
    }
  });
}

Lowered lower_conv3d(const ir::Node& node, WeightSource& weights) {
  WindowNode conv;
  conv.attrs = ops::ConvAttrs::parse(node.attrs, 3);
  conv.extra = epilogue_operands(conv.attrs.epilogue, 2);
  const Shape filter = shape_of(node, 1).to_shape();
  const Conv2dParams params = planar_params(conv.attrs, shape_of(node, 0)[4].size(), filter);
  const std::int64_t slice = filter[1] * filter[2] * filter[3] * filter[4];
  for (std::int64_t k = 0; k < filter[0]; ++k) {
    const std::string layout = fmt::format("conv3d {} {} s{}x{} d{}x{} g{}", filter.to_string(), k, params.stride_h, params.stride_w,
                                           params.dilation_h, params.dilation_w, params.groups);
    conv.packed.push_back(weights.packed(node.inputs[1], layout, conv2d_packed_size(params), [&](const Tensor& value, void* to) {
      conv2d_pack(params, value.flat<float>().data() + k * slice, static_cast<float*>(to));
    }));
  }
  Lowered lowered;
  lowered.kernel = "conv3d " + epilogue_key(conv.attrs.epilogue);
  lowered.unread = lowered.packed = {1};
  lowered.prepare = [conv = std::move(conv)](PlanContext& ctx) { return prepare_conv3d(ctx, conv); };
  return lowered;
}

Verdict supports_fused_conv3d(const ir::Node& node) {
  if (ops::Epilogue::parse(node.attrs).residual != ops::Residual::kNone) return Verdict::no("a sum after it is not fused");
  const PartialShape& input = shape_of(node, 0);
  if (!input.known_rank() || input.rank() != 5 || !input[4].known()) return Verdict::no("the number of channels is not known");
  if (!node.inputs[1].node->is("const") && !node.inputs[1].node->is("packed_const")) return Verdict::no("the filter must be constant");
  return Verdict::yes();
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
