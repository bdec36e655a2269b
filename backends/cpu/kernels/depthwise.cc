#include "backends/cpu/kernels/depthwise.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/conv_parts.h"
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
size_t address_bytes(const DepthwiseParams& p) { return static_cast<size_t>(round_to_line(p.kernel_h * 2)) * sizeof(float); }

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

int64_t task_count(int64_t multiply_adds) {
  constexpr int64_t kTaskWork = 60000, kMostTasks = 32;  // about 5 microseconds
  return even_tasks(std::min(multiply_adds / kTaskWork, kMostTasks));
}

// Channels that one task takes: as many that the input lines of an output line stay in the first-level cache until the next
// output line needs them, but runs of at least a few cache lines. Long lines are not cut: their runs would be too short.
int64_t chunk_channels(const DepthwiseParams& p, int64_t width, int64_t tasks) {
  constexpr int64_t kShortest = 64;
  const int64_t channels = std::max<int64_t>(1, outputs(p));
  const int64_t line_bytes = p.kernel_h * std::max<int64_t>(1, width) * static_cast<int64_t>(sizeof(float));
  const int64_t fitting = cpu_info().l1_bytes * 6 / 10 / line_bytes;
  if (p.multiplier > 1 || fitting < kShortest || channels <= kShortest) return channels;
  const int64_t chunks = std::max((channels + fitting - 1) / fitting, std::min(tasks, channels / kShortest));
  return round_to_line((channels + chunks - 1) / chunks);
}

}  // namespace

bool depthwise_row_finishes(const DepthwiseParams& p) {
  return TileEpilogue(p.epilogue).in_kernel && p.epilogue.residual == ResidualPlace::kNone;
}

DepthwiseRowArgs depthwise_row_form(const DepthwiseParams& p, int64_t width, int64_t output_w) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const TileEpilogue epilogue(p.epilogue);
  const bool finishes = depthwise_row_finishes(p);
  DepthwiseRowArgs form;
  form.channels = outputs(p);
  form.weight_stride = round_to_line(outputs(p));
  form.in_w = width;
  form.out_w = output_w;
  form.kernel_h = p.kernel_h;
  form.kernel_w = p.kernel_w;
  form.stride_w = p.stride_w;
  form.dilation_w = p.dilation_w;
  form.pad_left = p.pad_left;
  form.input_stride = p.multiplier == 1 ? dense(p.input_stride, p.channels) : outputs(p);
  form.output_stride = dense(p.output_stride, outputs(p));
  form.low = finishes ? epilogue.low : -kInfinity;
  form.high = finishes ? epilogue.high : kInfinity;
  return form;
}

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
  const int64_t tasks = task_count(lines * plan.output_w_ * outputs(p) * p.kernel_h * p.kernel_w);
  plan.chunk_ = chunk_channels(p, width, tasks);
  const int64_t chunks = outputs(p) == 0 ? 1 : (outputs(p) + plan.chunk_ - 1) / plan.chunk_;
  plan.line_shares_ = std::clamp<int64_t>((tasks + chunks - 1) / chunks, 1, std::max<int64_t>(lines, 1));
  return plan;
}

size_t DepthwisePlan::scratch_size(int threads) const {
  const size_t slot = address_bytes(params_) + static_cast<size_t>(repeated_floats(params_, width_)) * sizeof(float);
  return slot * static_cast<size_t>(threads);
}

// The input lines of output line `line`, null outside the image, from channel `channel` on.
void DepthwisePlan::set_rows(const DepthwiseArgs& args, int64_t line, int64_t channel, const float** rows,
                             float* repeated) const {
  const DepthwiseParams& p = params_;
  const int64_t image = line / output_h_, oh = line % output_h_, stride = dense(p.input_stride, p.channels);
  for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
    const int64_t y = oh * p.stride_h - p.pad_top + kh * p.dilation_h;
    rows[kh] = y < 0 || y >= height_ ? nullptr : args.input + (image * height_ + y) * width_ * stride + channel;
    if (p.multiplier == 1 || !rows[kh]) continue;
    float* to = repeated + kh * width_ * outputs(p);
    repeat_channels(rows[kh], width_, stride, p.channels, p.multiplier, to);
    rows[kh] = to;
  }
}

void DepthwisePlan::run(const DepthwiseArgs& args, ThreadTeam& team) const {
  const DepthwiseParams& p = params_;
  const IsaKernels& kernels = isa_kernels(isa_);
  const int64_t lines = batch_ * output_h_, channels = outputs(p);
  const int64_t output_stride = dense(p.output_stride, channels), residual_stride = dense(p.residual_stride, channels);
  const float* all_residual = p.epilogue.residual == ResidualPlace::kNone ? nullptr : args.residual;
  const bool fused = depthwise_row_finishes(p);
  const size_t slot_bytes = scratch_size(1);
  if (lines == 0 || output_w_ == 0 || channels == 0) return;

  DepthwiseRowArgs form = depthwise_row_form(p, width_, output_w_);
  const int64_t chunks = (channels + chunk_ - 1) / chunk_;
  team.parallel(static_cast<int>(line_shares_ * chunks), [&](int task) {
    const int64_t share = task % line_shares_, channel = task / line_shares_ * chunk_;
    char* scratch = static_cast<char*>(args.scratch) + slot_bytes * static_cast<size_t>(team.slot());
    const float** rows = reinterpret_cast<const float**>(scratch);
    DepthwiseRowArgs row = form;
    row.rows = rows;
    row.weights = args.packed + channel;
    row.bias = args.bias ? args.bias + channel : nullptr;
    row.channels = std::min(chunk_, channels - channel);
    for (int64_t line = share * lines / line_shares_; line < (share + 1) * lines / line_shares_; ++line) {
      set_rows(args, line, channel, rows, reinterpret_cast<float*>(scratch + address_bytes(p)));
      row.output = args.output + line * output_w_ * output_stride + channel;
      kernels.depthwise_row(row);
      if (fused) continue;
      const float* residual = all_residual ? all_residual + line * output_w_ * residual_stride + channel : nullptr;
      kernels.activate(p.epilogue, row.output, output_stride, output_w_, row.channels, residual, residual_stride);
    }
  });
}

}  // namespace tenon::cpu
