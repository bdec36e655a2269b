// FP32 convolution of NHWC images as an implicit matrix product over packed weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cpu/kernels/epilogue.h"
#include "backends/cpu/kernels/gemm.h"
#include "base/cpu_info.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Filters are HWIO: [kernel_h, kernel_w, input_channels / groups, output_channels]. Channel strides count elements from one
// pixel to the next, 0 means "dense": a slot of a concatenation is read and written in place.
struct Conv2dParams {
  int64_t input_channels = 0, output_channels = 0, groups = 1;
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t input_stride = 0, output_stride = 0, residual_stride = 0;
  bool winograd = false;  // by Winograd's F(4x4, 3x3); only where conv2d_winograd_possible, and packed filters differ
  Epilogue epilogue{};
};

// 3x3, stride 1, no dilation, no groups.
bool conv2d_winograd_possible(const Conv2dParams& params);

// Whether Winograd's algorithm should be faster for this size: it has a quarter of the multiplications but four times the
// weights. Its sums are as accurate as the direct ones.
bool conv2d_winograd_pays(const Conv2dParams& params, int64_t batch, int64_t height, int64_t width);

using ConvTactic = GemmTactic;  // rows are output pixels of the whole batch, columns output channels

// Bytes of the packed filters, and packing them from HWIO into 64-byte aligned memory.
size_t conv2d_packed_size(const Conv2dParams& params, Isa isa = cpu_info().isa);
void conv2d_pack(const Conv2dParams& params, const float* hwio, float* packed, Isa isa = cpu_info().isa);

// Output must not overlap the other operands. `bias` has one value per output channel or is null. `scratch` is 64-byte
// aligned.
struct Conv2dArgs {
  const float* input = nullptr;
  const float* packed = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* output = nullptr;
  void* scratch = nullptr;
};

class Conv2dPlan {
 public:
  static Conv2dPlan make(const Conv2dParams& params, int64_t batch, int64_t height, int64_t width,
                         const ConvTactic& tactic = {}, Isa isa = cpu_info().isa);

  int64_t output_height() const { return output_h_; }
  int64_t output_width() const { return output_w_; }
  size_t scratch_size(int threads) const;
  void run(const Conv2dArgs& args, ThreadTeam& team) const;
  const ConvTactic& tactic() const { return tactic_; }

 private:
  Conv2dParams params_;
  int64_t batch_ = 0, height_ = 0, width_ = 0, output_h_ = 0, output_w_ = 0;
  ConvTactic tactic_;
  Isa isa_ = Isa::kGeneric;
};

// Candidates worth timing; the first is what `make` would choose.
std::vector<ConvTactic> conv2d_tactics(const Conv2dParams& params, int64_t batch, int64_t height, int64_t width,
                                       Isa isa = cpu_info().isa);

}  // namespace tenon::cpu
