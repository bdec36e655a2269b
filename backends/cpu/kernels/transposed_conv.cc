// A transposed convolution by phases. Along one axis output y reads the inputs (y + pad - k * dilation) / stride of those
// taps k for which the division is exact; y + pad = stride * q + phase, so all outputs of a phase read the same taps, and
// neighbouring q are a convolution of stride 1.
#include <algorithm>
#include <numeric>

#include "backends/cpu/kernels/conv3d.h"
#include "backends/cpu/kernels/implicit_gemm.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

int64_t dense(int64_t stride, int64_t channels) { return stride ? stride : channels; }

// One axis of one phase.
struct Axis {
  int64_t taps = 0;                     // of the kernel that belong to this phase
  int64_t first_tap = 0, tap_step = 1;  // which: first_tap + i * tap_step, i < taps
  int64_t dilation = 1;                 // between neighbouring taps, in input elements
  int64_t pad = 0;                      // of the plain convolution; may be negative
  int64_t first = 0, count = 0;         // outputs first, first + stride, ...
};

// The taps of a phase; they do not depend on sizes.
Axis taps_of_phase(int64_t kernel, int64_t stride, int64_t dilation, int64_t phase) {
  Axis axis;
  axis.tap_step = stride / std::gcd(stride, dilation);
  axis.dilation = dilation / std::gcd(stride, dilation);
  while (axis.first_tap < kernel && axis.first_tap * dilation % stride != phase) ++axis.first_tap;
  if (axis.first_tap < kernel) axis.taps = (kernel - 1 - axis.first_tap) / axis.tap_step + 1;
  return axis;
}

Axis axis_of_phase(const TransposedConvParams& p, size_t i, int64_t phase, int64_t output) {
  Axis axis = taps_of_phase(p.kernel[i], p.stride[i], p.dilation[i], phase);
  const int64_t stride = p.stride[i], pad = p.pad_before[i];
  const int64_t q = pad > phase ? (pad - phase + stride - 1) / stride : 0;  // the first output is not negative
  axis.first = stride * q + phase - pad;
  axis.count = axis.first < output ? (output - 1 - axis.first) / stride + 1 : 0;
  const int64_t nearest = (axis.first_tap * p.dilation[i] - phase) / stride;
  axis.pad = axis.taps == 0 ? 0 : nearest + (axis.taps - 1) * axis.dilation - q;
  return axis;
}

template <class F>
void for_each_phase(const TransposedConvParams& p, F&& f) {
  for (int64_t d = 0; d < p.stride[0]; ++d) {
    for (int64_t h = 0; h < p.stride[1]; ++h) {
      for (int64_t w = 0; w < p.stride[2]; ++w) f(Extent3{d, h, w});
    }
  }
}

int64_t phase_depth(const TransposedConvParams& p, const Extent3& phase) {
  int64_t depth = p.input_channels;
  for (size_t i = 0; i < 3; ++i) depth *= taps_of_phase(p.kernel[i], p.stride[i], p.dilation[i], phase[i]).taps;
  return depth;
}

ImplicitGemm product_of(const TransposedConvParams& p, int64_t batch, const Extent3& in, const Extent3& out,
                        const Extent3& phase, Isa isa) {
  const Axis d = axis_of_phase(p, 0, phase[0], out[0]), h = axis_of_phase(p, 1, phase[1], out[1]),
             w = axis_of_phase(p, 2, phase[2], out[2]);
  ImplicitGemm product;
  product.window = {.in_d = in[0],
                    .in_h = in[1],
                    .in_w = in[2],
                    .out_d = d.count,
                    .out_h = h.count,
                    .out_w = w.count,
                    .kernel_d = d.taps,
                    .kernel_h = h.taps,
                    .kernel_w = w.taps,
                    .dilation_d = d.dilation,
                    .dilation_h = h.dilation,
                    .dilation_w = w.dilation,
                    .pad_d = d.pad,
                    .pad_h = h.pad,
                    .pad_w = w.pad,
                    .channels = p.input_channels,
                    .pixel_stride = dense(p.input_stride, p.input_channels)};
  product.m = batch * d.count * h.count * w.count;
  product.n = p.output_channels;
  product.k = phase_depth(p, phase);
  product.windows = true;
  product.spread = true;
  product.map = {.origin = (d.first * out[1] + h.first) * out[2] + w.first,
                 .step_w = p.stride[2],
                 .step_h = p.stride[1] * out[2],
                 .step_d = p.stride[0] * out[1] * out[2],
                 .step_image = out[0] * out[1] * out[2]};
  product.epilogue = p.epilogue;
  product.isa = isa;
  choose_tactic(product);
  return product;
}

// Rows of B of one phase: taps from the last to the first (the input runs against the kernel), then input channels; the
// filter is transposed in passing.
std::vector<float> phase_filter(const TransposedConvParams& p, const Extent3& phase, const float* filter) {
  const Axis d = taps_of_phase(p.kernel[0], p.stride[0], p.dilation[0], phase[0]);
  const Axis h = taps_of_phase(p.kernel[1], p.stride[1], p.dilation[1], phase[1]);
  const Axis w = taps_of_phase(p.kernel[2], p.stride[2], p.dilation[2], phase[2]);
  std::vector<float> b;
  b.reserve(static_cast<size_t>(phase_depth(p, phase) * p.output_channels));
  for (int64_t i = 0; i < d.taps * h.taps * w.taps; ++i) {
    const int64_t kw = w.first_tap + (w.taps - 1 - i % w.taps) * w.tap_step;
    const int64_t kh = h.first_tap + (h.taps - 1 - i / w.taps % h.taps) * h.tap_step;
    const int64_t kd = d.first_tap + (d.taps - 1 - i / w.taps / h.taps) * d.tap_step;
    const float* tap = filter + ((kd * p.kernel[1] + kh) * p.kernel[2] + kw) * p.output_channels * p.input_channels;
    for (int64_t ic = 0; ic < p.input_channels; ++ic) {
      for (int64_t oc = 0; oc < p.output_channels; ++oc) b.push_back(tap[oc * p.input_channels + ic]);
    }
  }
  return b;
}

}  // namespace

size_t transposed_conv_packed_size(const TransposedConvParams& p, Isa isa) {
  size_t bytes = 0;
  for_each_phase(p, [&](const Extent3& phase) { bytes += gemm_packed_size(phase_depth(p, phase), p.output_channels, isa); });
  return bytes;
}

void transposed_conv_pack(const TransposedConvParams& p, const float* filter, float* packed, Isa isa) {
  for_each_phase(p, [&](const Extent3& phase) {
    const int64_t depth = phase_depth(p, phase);
    gemm_pack(phase_filter(p, phase, filter).data(), p.output_channels, false, depth, p.output_channels, packed, isa);
    packed += gemm_packed_size(depth, p.output_channels, isa) / sizeof(float);
  });
}

TransposedConvPlan TransposedConvPlan::make(const TransposedConvParams& params, int64_t batch, const Extent3& input,
                                            const Extent3& output, Isa isa) {
  for (size_t i = 0; i < 3; ++i) {
    TENON_CHECK(params.kernel[i] >= 1 && params.stride[i] >= 1 && params.dilation[i] >= 1 && input[i] >= 0 &&
                output[i] >= 0);
  }
  TransposedConvPlan plan;
  plan.params_ = params;
  plan.batch_ = batch;
  plan.input_ = input;
  plan.output_ = output;
  plan.isa_ = isa;
  return plan;
}

size_t TransposedConvPlan::scratch_size(int threads) const {
  size_t bytes = 0;
  for_each_phase(params_, [&](const Extent3& phase) {
    bytes = std::max(bytes, cpu::scratch_size(product_of(params_, batch_, input_, output_, phase, isa_), threads));
  });
  return bytes;
}

void TransposedConvPlan::run(const Conv2dArgs& args, ThreadTeam& team) const {
  const TransposedConvParams& p = params_;
  GemmArgs gemm{.a = args.input,
                .lda = dense(p.input_stride, p.input_channels),
                .packed = args.packed,
                .bias = args.bias,
                .residual = args.residual,
                .ldr = dense(p.residual_stride, p.output_channels),
                .c = args.output,
                .ldc = dense(p.output_stride, p.output_channels),
                .scratch = args.scratch};
  for_each_phase(p, [&](const Extent3& phase) {
    cpu::run(product_of(p, batch_, input_, output_, phase, isa_), gemm, team);
    gemm.packed += gemm_packed_size(phase_depth(p, phase), p.output_channels, isa_) / sizeof(float);
  });
}

}  // namespace tenon::cpu
