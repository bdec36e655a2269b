// Parameters of convolution kernels from the attributes of fused convolutions.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/depthwise.h"
#include "backends/cpu/lowering/epilogue.h"
#include "backends/cpu/lowering/lowering.h"
#include "ops/fused.h"

namespace tenon::cpu {

// Padding and strides follow with the sizes of the image. `filter` is HWIO; a depthwise one is [kh, kw, channels, multiplier].
Conv2dParams conv_params(const ops::ConvAttrs& attrs, std::int64_t channels, const Shape& filter);
DepthwiseParams depthwise_params(const ops::ConvAttrs& attrs, const Shape& filter);

template <class Params>
void set_padding(Params& params, const ops::ConvAttrs& attrs, std::int64_t height, std::int64_t width) {
  std::tie(params.pad_top, params.pad_bottom) = attrs.pads_of(0, height, params.kernel_h);
  std::tie(params.pad_left, params.pad_right) = attrs.pads_of(1, width, params.kernel_w);
}

// The shape of a filter. Throws kUnsupported where it is not known.
Shape known_shape(const ir::Node& node, int operand);
// What names a filter's window in keys of packed weights and of timings.
std::string window_key(const ops::ConvAttrs& attrs, const Shape& filter);
std::string tactic_name(const ConvTactic& tactic);
// The kernel must write what inference says. Throws kUnsupported where it would not.
void check_size(const PlanContext& ctx, std::int64_t height, std::int64_t width);

}  // namespace tenon::cpu
