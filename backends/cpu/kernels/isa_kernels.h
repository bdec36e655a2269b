// The innermost kernels of one instruction set, as a table of functions. The same sources are compiled once per set.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/epilogue.h"
#include "base/cpu_info.h"

namespace tenon::cpu {

// One register tile: `rows` rows of C, one panel of columns. B is [sum of segments, panel width], dense.
struct TileArgs {
  const float* a = nullptr;
  int64_t a_stride = 0;                      // between rows of A
  int64_t segments = 1;                      // runs of consecutive values that make up a row of A
  const int64_t* segment_offsets = nullptr;  // where each run starts, from `a`; null: one run at 0
  int64_t segment_length = 0;
  const float* b = nullptr;
  float* c = nullptr;
  int64_t c_stride = 0;
  int64_t columns = 0;              // of this panel that exist
  const float* bias = nullptr;      // null: none
  const float* residual = nullptr;  // null: none
  int64_t residual_stride = 0;
  bool accumulate = false;     // add to what C holds
  bool c_is_near = false;      // C is in the caches already: nothing need be fetched ahead
  bool residual_last = false;  // residual after the clip
  float low = 0, high = 0;     // clip of the result; -inf and inf: none
};
using TileKernel = void (*)(const TileArgs& args);

// Where the rows of the implicit matrix of a convolution lie. One group; d is 1 for images.
struct Window {
  int64_t in_d = 1, in_h = 1, in_w = 1, out_d = 1, out_h = 1, out_w = 1;
  int64_t kernel_d = 1, kernel_h = 1, kernel_w = 1;
  int64_t stride_d = 1, stride_h = 1, stride_w = 1;
  int64_t dilation_d = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_d = 0, pad_h = 0, pad_w = 0;  // before the first element
  int64_t channels = 1;                     // that one output reads
  int64_t pixel_stride = 1;                 // elements from one pixel to the next
};

// Pixels of an input line, padding included, that the windows of an output line span.
static inline int64_t copied_line_pixels(const Window& w) {
  return (w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
}

// One line of a depthwise convolution's output.
struct DepthwiseRowArgs {
  const float* const* rows = nullptr;  // kernel_h input rows, null outside the image
  const float* weights = nullptr;      // [taps, weight_stride]
  const float* bias = nullptr;
  float* output = nullptr;
  int64_t channels = 0, weight_stride = 0;
  int64_t in_w = 0, out_w = 0, kernel_h = 0, kernel_w = 0, stride_w = 1, dilation_w = 1, pad_left = 0;
  int64_t input_stride = 0, output_stride = 0;
  float low = 0, high = 0;
  bool rows_are_near = false;  // in the first-level cache: nothing need be fetched ahead
};

// Winograd's F(4x4, 3x3). Input: a window of 6x6 pixels, of which [row0, row1) x [column0, column1) exist (the others are
// zero), to 36 frequencies; whole vectors are written. Output: 36 frequencies to `rows` x `columns` of 4x4 pixels.
struct WinogradInput {
  const float* in = nullptr;
  int64_t pixel_stride = 0, line_stride = 0, channels = 0;
  int64_t row0 = 0, row1 = 0, column0 = 0, column1 = 0;
  float* out = nullptr;
  int64_t frequency_stride = 0;
};

struct WinogradOutput {
  const float* in = nullptr;
  int64_t frequency_stride = 0, channels = 0;
  const float* bias = nullptr;
  float low = 0, high = 0;
  float* out = nullptr;
  int64_t pixel_stride = 0, line_stride = 0, rows = 0, columns = 0;
};

constexpr int kMaxTileRows = 28;

struct IsaKernels {
  Isa isa;
  int lanes;                             // values in a vector; a full panel is two vectors wide
  int max_rows[3];                       // of a tile, by vectors in the panel (1 or 2)
  TileKernel tile[3][kMaxTileRows + 1];  // [vectors][rows]
  // Rows [row, row + rows) of the implicit matrix, columns [k0, k1), to dst.
  void (*pack_window)(const Window& window, const float* input, int64_t row, int64_t rows, int64_t k0, int64_t k1,
                      float* dst, int64_t dst_stride);
  // The kernel_d * kernel_h input lines that output line `out_line` (of all images) reads, dense, with their padding.
  void (*copy_lines)(const Window& window, const float* input, int64_t out_line, float* dst);
  // dst[r, c] = factor * src[r, c], and transposed: dst[c, r] = factor * src[r, c].
  void (*copy_rows)(const float* src, int64_t src_stride, int64_t rows, int64_t columns, float factor, float* dst,
                    int64_t dst_stride);
  void (*transpose)(const float* src, int64_t src_stride, int64_t rows, int64_t columns, float factor, float* dst,
                    int64_t dst_stride);
  // In place on [rows, columns]; residual may be null.
  void (*activate)(const Epilogue& epilogue, float* c, int64_t c_stride, int64_t rows, int64_t columns,
                   const float* residual, int64_t residual_stride);
  void (*depthwise_row)(const DepthwiseRowArgs& args);
  void (*winograd_input)(const WinogradInput& args);
  void (*winograd_output)(const WinogradOutput& args);
};

// The kernels for `isa`; it must not exceed what the CPU has.
const IsaKernels& isa_kernels(Isa isa);

}  // namespace tenon::cpu
