// FP32 convolution followed by a depthwise convolution and perhaps a 1x1 convolution (an inverted bottleneck), line by line: what
// lies between them never leaves the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/depthwise.h"
#include "base/cpu_info.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// The depthwise convolution reads what the first one makes: its channels are the first one's output channels, its height and
// width the first one's output size. The first has one group, neither has a residual, the multiplier is 1, and the channel
// strides between them do not matter. The projection is 1x1 with stride 1, no padding and one group; it may have a residual.
// Filters are packed as the plain kernels pack them (no Winograd).
struct ConvDepthwiseParams {
  Conv2dParams conv;
  DepthwiseParams depthwise;
  bool projected = false;
  Conv2dParams projection;
};

// How the work is cut. Zero means "choose". Results do not depend on it.
struct ConvDepthwiseTactic {
  int32_t panels = 0;       // panels of channels (gemm.h) that a task makes; all, where a projection needs them
  int32_t line_shares = 0;  // parts of each image's lines; lines around the cuts are made twice
  bool operator==(const ConvDepthwiseTactic&) const = default;
};

// `scratch` is 64-byte aligned. Output must not overlap the other operands. A bias has one value per channel or is null.
struct ConvDepthwiseArgs {
  const float* input = nullptr;
  const float* packed = nullptr;
  const float* bias = nullptr;
  const float* depthwise_packed = nullptr;
  const float* depthwise_bias = nullptr;
  const float* projection_packed = nullptr;
  const float* projection_bias = nullptr;
  const float* residual = nullptr;
  float* output = nullptr;
  void* scratch = nullptr;
};

class ConvDepthwisePlan {
 public:
  // `height` and `width` are those of the first convolution's input.
  static ConvDepthwisePlan make(const ConvDepthwiseParams& params, int64_t batch, int64_t height, int64_t width,
                                const ConvDepthwiseTactic& tactic = {}, Isa isa = cpu_info().isa);

  int64_t output_height() const { return output_h_; }
  int64_t output_width() const { return output_w_; }
  size_t scratch_size(int threads) const;
  void run(const ConvDepthwiseArgs& args, ThreadTeam& team) const;
  const ConvDepthwiseTactic& tactic() const { return tactic_; }  // with nothing left to choose

 private:
  struct Products;
  class Task;

  ConvDepthwiseParams params_;
  int64_t batch_ = 0, height_ = 0, width_ = 0, middle_h_ = 0, middle_w_ = 0, output_h_ = 0, output_w_ = 0;
  int64_t lines_at_once_ = 1;  // of the first convolution's output; narrow lines are made several at once
  int64_t ring_lines_ = 1;     // of it that are kept
  int64_t projected_lines_ = 0;  // lines that are projected at once
  ConvDepthwiseTactic tactic_;
  Isa isa_ = Isa::kGeneric;
};

// Candidates worth timing; the first is what `make` would choose.
std::vector<ConvDepthwiseTactic> conv_depthwise_tactics(const ConvDepthwiseParams& params, int64_t batch, int64_t height,
                                                        int64_t width, Isa isa = cpu_info().isa);

}  // namespace tenon::cpu
