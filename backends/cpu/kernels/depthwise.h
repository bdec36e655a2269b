// FP32 depthwise convolution of NHWC images: every input channel has its own `multiplier` filters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels/epilogue.h"
#include "base/cpu_info.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Filters are [kernel_h, kernel_w, channels, multiplier]; output channel c * multiplier + j reads input channel c. Channel
// strides count elements from one pixel to the next, 0 means "dense".
struct DepthwiseParams {
  int64_t channels = 0, multiplier = 1;
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t input_stride = 0, output_stride = 0, residual_stride = 0;
  Epilogue epilogue{};
};

// Bytes of the packed filters, and packing them into 64-byte aligned memory.
size_t depthwise_packed_size(const DepthwiseParams& params, Isa isa = cpu_info().isa);
void depthwise_pack(const DepthwiseParams& params, const float* filter, float* packed, Isa isa = cpu_info().isa);

// Output must not overlap input. `bias` has one value per output channel or is null. `scratch` is 64-byte aligned.
struct DepthwiseArgs {
  const float* input = nullptr;
  const float* packed = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* output = nullptr;
  void* scratch = nullptr;
};

class DepthwisePlan {
 public:
  static DepthwisePlan make(const DepthwiseParams& params, int64_t batch, int64_t height, int64_t width,
                            Isa isa = cpu_info().isa);

  int64_t output_height() const { return output_h_; }
  int64_t output_width() const { return output_w_; }
  size_t scratch_size(int threads) const;
  void run(const DepthwiseArgs& args, ThreadTeam& team) const;

 private:
  void set_rows(const DepthwiseArgs& args, int64_t line, int64_t channel, const float** rows, float* repeated) const;

  DepthwiseParams params_;
  int64_t batch_ = 0, height_ = 0, width_ = 0, output_h_ = 0, output_w_ = 0;
  int64_t line_shares_ = 1, chunk_ = 0;  // tasks: parts of the output lines, times chunks of channels
  Isa isa_ = Isa::kGeneric;
};

}  // namespace tenon::cpu
