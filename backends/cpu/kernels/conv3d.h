// FP32 convolution of NDHWC volumes, and transposed convolution of images and volumes, over packed weights.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/epilogue.h"
#include "base/cpu_info.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Depth, height, width.
using Extent3 = std::array<int64_t, 3>;

// Filters are DHWIO: [kernel, input_channels / groups, output_channels]. Channel strides as in Conv2dParams.
struct Conv3dParams {
  int64_t input_channels = 0, output_channels = 0, groups = 1;
  Extent3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_before{0, 0, 0}, pad_after{0, 0, 0};
  int64_t input_stride = 0, output_stride = 0, residual_stride = 0;
  Epilogue epilogue{};
};

size_t conv3d_packed_size(const Conv3dParams& params, Isa isa = cpu_info().isa);
void conv3d_pack(const Conv3dParams& params, const float* dhwio, float* packed, Isa isa = cpu_info().isa);

class Conv3dPlan {
 public:
  static Conv3dPlan make(const Conv3dParams& params, int64_t batch, const Extent3& input, const ConvTactic& tactic = {},
                         Isa isa = cpu_info().isa);
  const Extent3& output() const { return output_; }
  size_t scratch_size(int threads) const;
  void run(const Conv2dArgs& args, ThreadTeam& team) const;

 private:
  Conv3dParams params_;
  int64_t batch_ = 0;
  Extent3 input_{}, output_{};
  ConvTactic tactic_;
  Isa isa_ = Isa::kGeneric;
};

// The gradient of a convolution by its input, used as a layer of its own (TensorFlow's Conv2DBackpropInput and
// Conv3DBackpropInput). Stride, dilation and pad_before are those of the convolution that it transposes. Filters are
// [kernel, output_channels, input_channels], where input and output are this layer's own. Images have depth 1 throughout.
struct TransposedConvParams {
  int64_t input_channels = 0, output_channels = 0;
  Extent3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_before{0, 0, 0};
  int64_t input_stride = 0, output_stride = 0, residual_stride = 0;
  Epilogue epilogue{};
};

size_t transposed_conv_packed_size(const TransposedConvParams& params, Isa isa = cpu_info().isa);
void transposed_conv_pack(const TransposedConvParams& params, const float* filter, float* packed, Isa isa = cpu_info().isa);

// One plain convolution per phase of the stride: outputs that read the same taps.
class TransposedConvPlan {
 public:
  static TransposedConvPlan make(const TransposedConvParams& params, int64_t batch, const Extent3& input,
                                 const Extent3& output, Isa isa = cpu_info().isa);
  size_t scratch_size(int threads) const;
  void run(const Conv2dArgs& args, ThreadTeam& team) const;

 private:
  TransposedConvParams params_;
  int64_t batch_ = 0;
  Extent3 input_{}, output_{};
  Isa isa_ = Isa::kGeneric;
};

}  // namespace tenon::cpu
