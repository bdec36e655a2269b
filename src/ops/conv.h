// The windows of convolutions and pools as TensorFlow's attributes describe them.
#pragma once

#include <array>
#include <cstdint>

#include "ir/infer_context.h"
#include "ops/fused.h"

namespace tenon::ops {

// Attribute data_format: false for NHWC and NDHWC (and when absent), true for NCHW and NCDHW. Throws kInvalidModel for
// others.
bool channels_first(const ir::Attrs& attrs, int spatial);

// An attribute with one number per dimension (strides, dilations, ksize), sorted by data_format.
struct PerDimension {
  std::int64_t batch = 1, channel = 1;
  std::vector<std::int64_t> spatial;
};
// Throws kInvalidModel unless the attribute has spatial + 2 positive numbers; all ones when it may be absent and is.
PerDimension per_dimension(const ir::Attrs& attrs, std::string_view name, int spatial, bool may_be_absent = false);

// Strides, dilations and padding of conv2d, depthwise_conv2d, conv3d and their gradients (no epilogue), as fused
// convolutions take them. Throws kInvalidModel for strides over the batch or the channels.
ConvAttrs conv_attrs(const ir::Attrs& attrs, int spatial);
// Fills padding and pads from attributes padding and explicit_paddings (2 * (spatial + 2) numbers in data_format's order).
void read_padding(const ir::Attrs& attrs, int spatial, ConvAttrs& window);

// ConvAttrs::output_size that throws where TensorFlow does: when a VALID or EXPLICIT window exceeds the input by a stride.
std::int64_t window_count(const ConvAttrs& window, int i, std::int64_t input, std::int64_t filter);
// The same while inferring; an unknown size stays itself where it must.
Dim window_count(ir::InferContext& ctx, const ConvAttrs& window, int i, Dim input, Dim filter);

// A window over depth, height and width; a 2-D one has depth 1.
struct WindowGeometry {
  std::array<std::int64_t, 3> in{1, 1, 1}, filter{1, 1, 1}, out{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0};

  // `input` is [N, spatial…, C], `filter` the window's sizes.
  WindowGeometry(const ConvAttrs& window, const Shape& input, std::span<const std::int64_t> filter_sizes);
  std::int64_t positions_in() const { return in[0] * in[1] * in[2]; }
  std::int64_t positions_out() const { return out[0] * out[1] * out[2]; }
  std::int64_t taps() const { return filter[0] * filter[1] * filter[2]; }

  // Calls f(tap, input position) for every tap of window position `out_position` that lies inside the input.
  template <class F>
  void for_taps(std::int64_t out_position, F&& f) const {
    const std::int64_t x = out_position % out[2], y = out_position / out[2] % out[1], z = out_position / (out[2] * out[1]);
    std::int64_t tap = 0;
    for (std::int64_t kz = 0; kz < filter[0]; ++kz) {
      const std::int64_t iz = z * stride[0] - pad[0] + kz * dilation[0];
      for (std::int64_t ky = 0; ky < filter[1]; ++ky) {
        const std::int64_t iy = y * stride[1] - pad[1] + ky * dilation[1];
        for (std::int64_t kx = 0; kx < filter[2]; ++kx, ++tap) {
          const std::int64_t ix = x * stride[2] - pad[2] + kx * dilation[2];
          if (iz < 0 || iy < 0 || ix < 0 || iz >= in[0] || iy >= in[1] || ix >= in[2]) continue;
          f(tap, (iz * in[1] + iy) * in[2] + ix);
        }
      }
    }
  }
};

}  // namespace tenon::ops
