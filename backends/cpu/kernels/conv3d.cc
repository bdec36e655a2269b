#include "backends/cpu/kernels/conv3d.h"

#include "backends/cpu/kernels/implicit_gemm.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

int64_t dense(int64_t stride, int64_t channels) { return stride ? stride : channels; }

int64_t group_depth(const Conv3dParams& p) {
  return p.kernel[0] * p.kernel[1] * p.kernel[2] * (p.input_channels / p.groups);
}

void check(const Conv3dParams& p) {
  TENON_CHECK(p.groups >= 1 && p.input_channels % p.groups == 0 && p.output_channels % p.groups == 0);
  for (size_t i = 0; i < 3; ++i) TENON_CHECK(p.kernel[i] >= 1 && p.stride[i] >= 1 && p.dilation[i] >= 1);
}

Extent3 output_of(const Conv3dParams& p, const Extent3& input) {
  Extent3 output;
  for (size_t i = 0; i < 3; ++i) {
    const int64_t room = input[i] + p.pad_before[i] + p.pad_after[i] - ((p.kernel[i] - 1) * p.dilation[i] + 1);
    output[i] = room < 0 ? 0 : room / p.stride[i] + 1;
  }
  return output;
}

bool is_matrix_product(const Conv3dParams& p) {
  for (size_t i = 0; i < 3; ++i) {
    if (p.kernel[i] != 1 || p.stride[i] != 1 || p.pad_before[i] != 0 || p.pad_after[i] != 0) return false;
  }
  return true;
}

ImplicitGemm product_of(const Conv3dParams& p, int64_t batch, const Extent3& in, const ConvTactic& tactic, Isa isa) {
  const Extent3 out = output_of(p, in);
  ImplicitGemm product;
  Window& w = product.window;
  w = {.in_d = in[0],
       .in_h = in[1],
       .in_w = in[2],
       .out_d = out[0],
       .out_h = out[1],
       .out_w = out[2],
       .kernel_d = p.kernel[0],
       .kernel_h = p.kernel[1],
       .kernel_w = p.kernel[2],
       .stride_d = p.stride[0],
       .stride_h = p.stride[1],
       .stride_w = p.stride[2],
       .dilation_d = p.dilation[0],
       .dilation_h = p.dilation[1],
       .dilation_w = p.dilation[2],
       .pad_d = p.pad_before[0],
       .pad_h = p.pad_before[1],
       .pad_w = p.pad_before[2],
       .channels = p.input_channels / p.groups,
       .pixel_stride = dense(p.input_stride, p.input_channels)};
  product.m = batch * out[0] * out[1] * out[2];
  product.n = p.output_channels / p.groups;
  product.k = group_depth(p);
  product.groups = p.groups;
  product.windows = !is_matrix_product(p);
  product.epilogue = p.epilogue;
  product.tactic = tactic;
  product.isa = isa;
  return product;
}

template <class Params>
GemmArgs gemm_args(const Params& p, const Conv2dArgs& args) {
  return {.a = args.input,
          .lda = dense(p.input_stride, p.input_channels),
          .packed = args.packed,
          .bias = args.bias,
          .residual = args.residual,
          .ldr = dense(p.residual_stride, p.output_channels),
          .c = args.output,
          .ldc = dense(p.output_stride, p.output_channels),
          .scratch = args.scratch};
}

}  // namespace

size_t conv3d_packed_size(const Conv3dParams& p, Isa isa) {
  check(p);
  return static_cast<size_t>(p.groups) * gemm_packed_size(group_depth(p), p.output_channels / p.groups, isa);
}

void conv3d_pack(const Conv3dParams& p, const float* dhwio, float* packed, Isa isa) {
  check(p);
  const int64_t k = group_depth(p), n = p.output_channels / p.groups;
  const int64_t group_floats = static_cast<int64_t>(gemm_packed_size(k, n, isa) / sizeof(float));
  for (int64_t g = 0; g < p.groups; ++g) {
    gemm_pack(dhwio + g * n, p.output_channels, false, k, n, packed + g * group_floats, isa);
  }
}

Conv3dPlan Conv3dPlan::make(const Conv3dParams& params, int64_t batch, const Extent3& input, const ConvTactic& tactic,
                            Isa isa) {
  check(params);
  ImplicitGemm product = product_of(params, batch, input, tactic, isa);
  choose_tactic(product);
  Conv3dPlan plan;
  plan.params_ = params;
  plan.batch_ = batch;
  plan.input_ = input;
  plan.output_ = output_of(params, input);
  plan.tactic_ = product.tactic;
  plan.isa_ = isa;
  return plan;
}

size_t Conv3dPlan::scratch_size(int threads) const {
  return cpu::scratch_size(product_of(params_, batch_, input_, tactic_, isa_), threads);
}

void Conv3dPlan::run(const Conv2dArgs& args, ThreadTeam& team) const {
  cpu::run(product_of(params_, batch_, input_, tactic_, isa_), gemm_args(params_, args), team);
}

}  // namespace tenon::cpu
