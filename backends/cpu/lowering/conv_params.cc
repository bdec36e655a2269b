#include "backends/cpu/lowering/conv_params.h"

#include <fmt/format.h>

#include "base/error.h"

namespace tenon::cpu {
namespace {

// Window and strides, common to both kinds of parameters.
template <class Params>
void set_window(Params& params, const ops::ConvAttrs& attrs, const Shape& filter) {
  params.kernel_h = filter[0];
  params.kernel_w = filter[1];
  params.stride_h = attrs.strides[0];
  params.stride_w = attrs.strides[1];
  params.dilation_h = attrs.dilations[0];
  params.dilation_w = attrs.dilations[1];
  params.epilogue = kernel_epilogue(attrs.epilogue);
}

}  // namespace

Conv2dParams conv_params(const ops::ConvAttrs& attrs, std::int64_t channels, const Shape& filter) {
  Conv2dParams params;
  set_window(params, attrs, filter);
  params.input_channels = channels;
  params.groups = filter[2] == 0 ? 0 : channels / filter[2];
  params.output_channels = filter[3];
  return params;
}

DepthwiseParams depthwise_params(const ops::ConvAttrs& attrs, const Shape& filter) {
  DepthwiseParams params;
  set_window(params, attrs, filter);
  params.channels = filter[2];
  params.multiplier = filter[3];
  return params;
}

Shape known_shape(const ir::Node& node, int operand) {
  const ir::Value& value = node.inputs.at(static_cast<std::size_t>(operand));
  const PartialShape& shape = value.node->outputs.at(static_cast<std::size_t>(value.index)).shape;
  if (!shape.fully_known()) fail(ErrorCode::kUnsupported, "{}: operand {} has an unknown shape", node.describe(), operand);
  return shape.to_shape();
}

std::string window_key(const ops::ConvAttrs& attrs, const Shape& filter) {
  return fmt::format("{} s{}x{} d{}x{}", filter.to_string(), attrs.strides[0], attrs.strides[1], attrs.dilations[0],
                     attrs.dilations[1]);
}

std::string tactic_name(const ConvTactic& t) {
  return fmt::format("own m{} n{} b{} k{} p{}", t.m_shares, t.n_shares, t.m_block, t.k_block, int{t.pack_a});
}

void check_size(const PlanContext& ctx, std::int64_t height, std::int64_t width) {
  const Shape& y = ctx.result().shape;
  if (height == y[1] && width == y[2]) return;
  fail(ErrorCode::kUnsupported, "{}: the result is {}, its kernel makes {} x {} pixels", ctx.node().describe(), y.to_string(),
       height, width);
}

}  // namespace tenon::cpu
