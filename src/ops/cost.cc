#include "ops/cost.h"

#include <array>
#include <algorithm>

namespace tenon::ops {
namespace {

double size_of(const Dim& dim) { return dim.known() ? static_cast<double>(dim.size()) : 1; }

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  static const ir::ValueType unknown;
  if (operand >= node.inputs.size()) return unknown;
  const ir::Value& value = node.inputs[operand];
  if (static_cast<std::size_t>(value.index) >= value.node->outputs.size()) return unknown;
  return value.node->outputs[static_cast<std::size_t>(value.index)];
}

double elements(const PartialShape& shape) {
  if (!shape.known_rank()) return 1;
  double count = 1;
  for (const Dim& dim : shape.dims()) count *= size_of(dim);
  return count;
}

// Dimension `axis` counted from the end.
double from_end(const PartialShape& shape, int axis) {
  return shape.known_rank() && shape.rank() >= axis ? size_of(shape[shape.rank() - axis]) : 1;
}

bool any_of(const ir::Node& node, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return node.is(name); });
}

double matmul(const ir::Node& node) {
  const bool transposed =
      node.attr_or<bool>("transpose_a", false) || node.attr_or<bool>("adj_x", false) || node.attr_or<bool>("adjoint_a", false);
  return 2 * elements(node.outputs[0].shape) * from_end(type_of(node, 0).shape, transposed ? 2 : 1);
}

// Every result sums over a filter's taps and input channels: all of the filter but its last dimension.
double convolution(const ir::Node& node) {
  const PartialShape& filter = type_of(node, 1).shape;
  return 2 * elements(node.outputs[0].shape) * elements(filter) / std::max(1.0, from_end(filter, 1));
}

double depthwise(const ir::Node& node) {
  const PartialShape& filter = type_of(node, 1).shape;
  return 2 * elements(node.outputs[0].shape) * from_end(filter, 4) * from_end(filter, 3);
}

// The first convolution's result has the size of its input over its strides.
double convolution_then_depthwise(const ir::Node& node) {
  const PartialShape& x = type_of(node, 0).shape;
  const PartialShape& filter = type_of(node, 1).shape;
  const PartialShape& second = type_of(node, 2).shape;
  double pixels = elements(x) / std::max(1.0, from_end(x, 1));
  for (const std::int64_t stride : node.attr_or<std::vector<std::int64_t>>("strides", {})) {
    pixels /= static_cast<double>(std::max<std::int64_t>(1, stride));
  }
  const double channels = from_end(filter, 1), result = elements(node.outputs[0].shape);
  const bool projected = node.attrs.has("projection_strides");
  const double depthwise_result = projected ? result / std::max(1.0, from_end(node.outputs[0].shape, 1)) * channels : result;
  return 2 * pixels * elements(filter) + 2 * depthwise_result * from_end(second, 4) * from_end(second, 3) +
         (projected ? 2 * result * channels : 0);
}

// Every element of the input meets every tap for every channel of the result.
double transposed_convolution(const ir::Node& node) {
  const PartialShape& filter = type_of(node, 1).shape;
  return 2 * elements(type_of(node, 2).shape) * elements(filter) / std::max(1.0, from_end(filter, 1));
}

double attention(const ir::Node& node) {
  const bool bshd = node.attr_or<std::string>("layout", "BHSD") == "BSHD";
  const PartialShape& keys = type_of(node, 1).shape;
  return 4 * elements(type_of(node, 0).shape) * from_end(keys, bshd ? 3 : 2);
}

bool moves_data(const ir::Node& node) {
  return node.op->name.starts_with("tensor_list_") ||
         any_of(node, {"const", "parameter", "placeholder", "identity", "reshape", "squeeze", "expand_dims", "transpose", "concat",
                       "pack", "unpack", "split", "split_v", "slice", "strided_slice", "gather", "gather_nd", "pad", "mirror_pad",
                       "tile", "broadcast_to", "cast", "fill", "shape", "space_to_batch", "batch_to_space", "space_to_depth",
                       "depth_to_space", "reverse", "read_variable", "ensure_shape", "zeros_like", "ones_like", "resource_gather"});
}

}  // namespace

double flops(const ir::Node& node) {
  if (node.outputs.empty()) return 0;
  const DataType dtype = node.outputs[0].dtype;
  const bool floating = dtype == DataType::kFloat32 || dtype == DataType::kFloat64 || dtype == DataType::kFloat16 ||
                        dtype == DataType::kBFloat16;
  if (!floating || moves_data(node)) return 0;
  if (any_of(node, {"matmul", "batch_matmul", "fused_matmul"})) return matmul(node);
  if (any_of(node, {"conv2d", "conv3d", "fused_conv2d", "fused_conv3d"})) return convolution(node);
  if (any_of(node, {"depthwise_conv2d", "fused_depthwise_conv2d"})) return depthwise(node);
  if (node.is("fused_conv2d_depthwise")) return convolution_then_depthwise(node);
  if (any_of(node, {"conv2d_transpose", "conv2d_backprop_input", "conv3d_backprop_input", "fused_conv2d_transpose"})) return transposed_convolution(node);
  if (node.is("attention")) return attention(node);
  return elements(node.outputs[0].shape);
}

}  // namespace tenon::ops
