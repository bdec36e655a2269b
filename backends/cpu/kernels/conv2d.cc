#include "backends/cpu/kernels/conv2d.h"

#include <algorithm>

#include "backends/cpu/kernels/conv_parts.h"
#include "backends/cpu/kernels/implicit_gemm.h"
#include "backends/cpu/kernels/winograd.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

int64_t dense(int64_t stride, int64_t channels) { return stride ? stride : channels; }

int64_t output_size(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t dilation, int64_t stride) {
  const int64_t room = in + before + after - ((kernel - 1) * dilation + 1);
  return room < 0 ? 0 : room / stride + 1;
}

int64_t group_depth(const Conv2dParams& p) { return p.kernel_h * p.kernel_w * (p.input_channels / p.groups); }

void check(const Conv2dParams& p) {
  TENON_CHECK(p.groups >= 1 && p.input_channels % p.groups == 0 && p.output_channels % p.groups == 0);
  TENON_CHECK(!p.winograd || conv2d_winograd_possible(p));
  TENON_CHECK(p.kernel_h >= 1 && p.kernel_w >= 1 && p.stride_h >= 1 && p.stride_w >= 1 && p.dilation_h >= 1 &&
              p.dilation_w >= 1);
}

// Every output pixel reads one input pixel, and they follow each other evenly: a matrix product as it stands.
bool is_matrix_product(const Conv2dParams& p) {
  return p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 && p.pad_top == 0 && p.pad_left == 0 &&
         p.pad_bottom == 0 && p.pad_right == 0;
}

Window window_of(const Conv2dParams& p, int64_t height, int64_t width) {
  Window w;
  w.in_h = height;
  w.in_w = width;
  w.out_h = output_size(height, p.pad_top, p.pad_bottom, p.kernel_h, p.dilation_h, p.stride_h);
  w.out_w = output_size(width, p.pad_left, p.pad_right, p.kernel_w, p.dilation_w, p.stride_w);
  w.kernel_h = p.kernel_h;
  w.kernel_w = p.kernel_w;
  w.stride_h = p.stride_h;
  w.stride_w = p.stride_w;
  w.dilation_h = p.dilation_h;
  w.dilation_w = p.dilation_w;
  w.pad_h = p.pad_top;
  w.pad_w = p.pad_left;
  w.channels = p.input_channels / p.groups;
  w.pixel_stride = dense(p.input_stride, p.input_channels);
  return w;
}

}  // namespace

ImplicitGemm conv2d_product(const Conv2dParams& p, int64_t batch, int64_t height, int64_t width, const ConvTactic& tactic,
                        Isa isa) {
  ImplicitGemm product;
  product.window = window_of(p, height, width);
  product.m = batch * product.window.out_h * product.window.out_w;
  product.n = p.output_channels / p.groups;
  product.k = group_depth(p);
  product.groups = p.groups;
  product.windows = !is_matrix_product(p);
  product.epilogue = p.epilogue;
  product.tactic = tactic;
  product.isa = isa;
  return product;
}

bool conv2d_winograd_possible(const Conv2dParams& p) {
  return p.kernel_h == 3 && p.kernel_w == 3 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
         p.dilation_w == 1 && p.groups == 1;
}

bool conv2d_winograd_pays(const Conv2dParams& p, int64_t batch, int64_t height, int64_t width) {
  if (!conv2d_winograd_possible(p) || p.input_channels < 32 || p.output_channels < 32) return false;
  const Window w = window_of(p, height, width);
  const double pixels = static_cast<double>(batch * w.out_h * w.out_w);
  const double tiles = static_cast<double>(batch * ((w.out_h + 3) / 4) * ((w.out_w + 3) / 4));
  // Per pair of channels, in multiply-adds: the sums, with what the smaller products lose; the transforms; reading weights
  // from memory, which goes on beside the sums only where these are long.
  const double direct = 9 * pixels;
  const double transforms = tiles * 36 * 24 * static_cast<double>(p.input_channels + p.output_channels) /
                            static_cast<double>(p.input_channels * p.output_channels);
  const double winograd = 36 * std::max(tiles, 6.0) * 1.2 + transforms + 36 * 10;
  return tiles > 0 && winograd < 0.85 * direct;
}

size_t conv2d_packed_size(const Conv2dParams& p, Isa isa) {
  check(p);
  if (p.winograd) return winograd_packed_size(p, isa);
  return static_cast<size_t>(p.groups) * gemm_packed_size(group_depth(p), p.output_channels / p.groups, isa);
}

void conv2d_pack(const Conv2dParams& p, const float* hwio, float* packed, Isa isa) {
  check(p);
  if (p.winograd) return winograd_pack(p, hwio, packed, isa);
  const int64_t k = group_depth(p), n = p.output_channels / p.groups;
  const size_t group_floats = gemm_packed_size(k, n, isa) / sizeof(float);
  for (int64_t g = 0; g < p.groups; ++g) {
    gemm_pack(hwio + g * n, p.output_channels, false, k, n, packed + static_cast<size_t>(g) * group_floats, isa);
  }
}

Conv2dPlan Conv2dPlan::make(const Conv2dParams& params, int64_t batch, int64_t height, int64_t width,
                            const ConvTactic& tactic, Isa isa) {
  check(params);
  TENON_CHECK(batch >= 0 && height >= 0 && width >= 0);
  ImplicitGemm product = conv2d_product(params, batch, height, width, tactic, isa);
  choose_tactic(product);
  Conv2dPlan plan;
  plan.params_ = params;
  plan.batch_ = batch;
  plan.height_ = height;
  plan.width_ = width;
  plan.output_h_ = product.window.out_h;
  plan.output_w_ = product.window.out_w;
  plan.tactic_ = product.tactic;
  plan.isa_ = isa;
  return plan;
}

size_t Conv2dPlan::scratch_size(int threads) const {
  if (params_.winograd)
    return winograd_scratch_size(params_, {batch_, height_, width_, output_h_, output_w_}, isa_, threads);
  return cpu::scratch_size(conv2d_product(params_, batch_, height_, width_, tactic_, isa_), threads);
}

void Conv2dPlan::run(const Conv2dArgs& args, ThreadTeam& team) const {
  if (params_.winograd) {
    return winograd_run(params_, {batch_, height_, width_, output_h_, output_w_}, isa_, args, team);
  }
  GemmArgs gemm;
  gemm.a = args.input;
  gemm.lda = dense(params_.input_stride, params_.input_channels);
  gemm.packed = args.packed;
  gemm.bias = args.bias;
  gemm.residual = params_.epilogue.residual == ResidualPlace::kNone ? nullptr : args.residual;
  gemm.ldr = dense(params_.residual_stride, params_.output_channels);
  gemm.c = args.output;
  gemm.ldc = dense(params_.output_stride, params_.output_channels);
  gemm.scratch = args.scratch;
  cpu::run(conv2d_product(params_, batch_, height_, width_, tactic_, isa_), gemm, team);
}

std::vector<ConvTactic> conv2d_tactics(const Conv2dParams& params, int64_t batch, int64_t height, int64_t width, Isa isa) {
  std::vector<ConvTactic> tactics;
  const auto add = [&](ConvTactic tactic) {
    tactic = Conv2dPlan::make(params, batch, height, width, tactic, isa).tactic();
    if (std::find(tactics.begin(), tactics.end(), tactic) == tactics.end()) tactics.push_back(tactic);
  };
  add({});
  if (params.winograd) return tactics;
  for (int8_t pack_a : {kCopyNothing, kCopyTiles, kCopyAll, kCopyLines}) add({.pack_a = pack_a});
  for (int32_t m_block : {1, 1024}) add({.m_block = m_block});
  return tactics;
}

}  // namespace tenon::cpu
