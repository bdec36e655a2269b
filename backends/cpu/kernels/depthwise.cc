#include "backends/cpu/kernels/depthwise.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/implicit_gemm.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kLineFloats = 16;

int64_t round_to_line(int64_t floats) { return (floats + kLineFloats - 1) / kLineFloats * kLineFloats; }
int64_t dense(int64_t stride, int64_t channels) { return stride ? stride : channels; }
int64_t outputs(const DepthwiseParams& p) { return p.channels * p.multiplier; }

int64_t output_size(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t dilation, int64_t stride) {
  const int64_t room = in + before + after - ((kernel - 1) * dilation + 1);
  return room < 0 ? 0 : room / stride + 1;
}

// Scratch of one thread: the addresses of the input lines, then, for a multiplier above 1, lines with repeated channels.
size_t address_bytes(const DepthwiseParams& p) {
  return static_cast<size_t>(round_to_line(p.kernel_h * 2)) * sizeof(float);
}

int64_t repeated_floats(const DepthwiseParams& p, int64_t width) {
  return p.multiplier == 1 ? 0 : round_to_line(p.kernel_h * width * outputs(p));
}

void repeat_channels(const float* line, int64_t width, int64_t stride, int64_t channels, int64_t times, float* out) {
  for (int64_t x = 0; x < width; ++x, line += stride) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t j = 0; j < times; ++j) *out++ = line[c];
    }
  }
}

}  // namespace

size_t depthwise_packed_size(const DepthwiseParams& p, Isa) {
  return static_cast<size_t>(p.kernel_h * p.kernel_w * round_to_line(outputs(p))) * sizeof(float);
}

void depthwise_pack(const DepthwiseParams& p, const float* filter, float* packed, Isa) {
  const int64_t n = outputs(p), stride = round_to_line(n);
  for (int64_t tap = 0; tap < p.kernel_h * p.kernel_w; ++tap) {
    std::copy(filter + tap * n, filter + (tap + 1) * n, packed + tap * stride);
    std::fill(packed + tap * stride + n, packed + (tap + 1) * stride, 0.0f);
  }
}

DepthwisePlan DepthwisePlan::make(const DepthwiseParams& params, int64_t batch, int64_t height, int64_t width, Isa isa) {
  TENON_CHECK(batch >= 0 && height >= 0 && width >= 0 && params.multiplier >= 1);
  constexpr int64_t kTaskValues = 60000, kMostTasks = 32;  // multiply-adds of about 5 microseconds
  DepthwisePlan plan;
  plan.params_ = params;
  plan.batch_ = batch;
  plan.height_ = height;
  plan.width_ = width;
  const DepthwiseParams& p = params;
  plan.output_h_ = output_size(height, p.pad_top, p.pad_bottom, p.kernel_h, p.dilation_h, p.stride_h);
  plan.output_w_ = output_size(width, p.pad_left, p.pad_right, p.kernel_w, p.dilation_w, p.stride_w);
  plan.isa_ = isa;
  const int64_t lines = batch * plan.output_h_;
  const int64_t work = lines * plan.output_w_ * outputs(p) * p.kernel_h * p.kernel_w;
  plan.shares_ = std::clamp<int64_t>(work / kTaskValues, 1, std::clamp<int64_t>(lines, 1, kMostTasks));
  return plan;
}

size_t DepthwisePlan::scratch_size(int threads) const {
  const size_t slot = address_bytes(params_) + static_cast<size_t>(repeated_floats(params_, width_)) * sizeof(float);
  return slot * static_cast<size_t>(threads);
}

void DepthwisePlan::run(const DepthwiseArgs& args, ThreadTeam& team) const {
  const DepthwiseParams& p = params_;
  const IsaKernels& kernels = isa_kernels(isa_);
  const TileEpilogue epilogue(p.epilogue);
  const int64_t lines = batch_ * output_h_, input_stride = dense(p.input_stride, p.channels);
  const int64_t output_stride = dense(p.output_stride, outputs(p)), residual_stride = dense(p.residual_stride, outputs(p));
  const float* all_residual = p.epilogue.residual == ResidualPlace::kNone ? nullptr : args.residual;
  const size_t slot_bytes = scratch_size(1);
  if (lines == 0 || output_w_ == 0 || outputs(p) == 0) return;

  team.parallel(static_cast<int>(shares_), [&](int share) {
    char* scratch = static_cast<char*>(args.scratch) + slot_bytes * static_cast<size_t>(team.slot());
    const float** rows = reinterpret_cast<const float**>(scratch);
    float* repeated = reinterpret_cast<float*>(scratch + address_bytes(p));
    DepthwiseRowArgs row;
    row.rows = rows;
    row.weights = args.packed;
    row.bias = args.bias;
    row.channels = outputs(p);
    row.weight_stride = round_to_line(outputs(p));
    row.in_w = width_;
    row.out_w = output_w_;
    row.kernel_h = p.kernel_h;
    row.kernel_w = p.kernel_w;
    row.stride_w = p.stride_w;
    row.dilation_w = p.dilation_w;
    row.pad_left = p.pad_left;
    row.input_stride = p.multiplier == 1 ? input_stride : outputs(p);
    row.output_stride = output_stride;
    const bool fused = epilogue.in_kernel && !all_residual;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    row.low = fused ? epilogue.low : -kInfinity;
    row.high = fused ? epilogue.high : kInfinity;
    for (int64_t line = share * lines / shares_; line < (share + 1) * lines / shares_; ++line) {
      const int64_t image = line / output_h_, oh = line % output_h_;
      for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
        const int64_t y = oh * p.stride_h - p.pad_top + kh * p.dilation_h;
        rows[kh] = y < 0 || y >= height_ ? nullptr : args.input + (image * height_ + y) * width_ * input_stride;
        if (p.multiplier == 1 || !rows[kh]) continue;
        float* to = repeated + kh * width_ * outputs(p);
        repeat_channels(rows[kh], width_, input_stride, p.channels, p.multiplier, to);
        rows[kh] = to;
      }
      row.output = args.output + line * output_w_ * output_stride;
      kernels.depthwise_row(row);
      if (fused) continue;
      const float* residual = all_residual ? all_residual + line * output_w_ * residual_stride : nullptr;
      kernels.activate(p.epilogue, row.output, output_stride, output_w_, outputs(p), residual, residual_stride);
    }
  });
}

}  // namespace tenon::cpu
