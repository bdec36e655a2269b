// conv2d, depthwise_conv2d, conv3d, conv2d_backprop_input, matmul in float32 and NHWC -> fused_*, epilogues still empty.
#include <algorithm>

#include "ops/conv.h"
#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

struct Convolution {
  std::string_view op, fused;
  int spatial;
  int data;  // which operand is the image
};

constexpr Convolution kConvolutions[] = {
    {"conv2d", "fused_conv2d", 2, 0},
    {"depthwise_conv2d", "fused_depthwise_conv2d", 2, 0},
    {"conv3d", "fused_conv3d", 3, 0},
    {"conv2d_backprop_input", "fused_conv2d_transpose", 2, 2},
};

bool all_float(const ir::Node& node, std::size_t first) {
  return std::all_of(node.inputs.begin() + static_cast<std::ptrdiff_t>(first), node.inputs.end(), is_float) &&
         node.outputs[0].dtype == DataType::kFloat32;
}

bool lower_convolution(Editor& editor, ir::Node* node, const Convolution& kind) {
  if (node->inputs.size() != static_cast<std::size_t>(kind.data == 2 ? 3 : 2)) return false;
  if (!all_float(*node, kind.data == 2 ? 1 : 0)) return false;
  if (ops::channels_first(node->attrs, kind.spatial) || last_dim(node->inputs[static_cast<std::size_t>(kind.data)]) == 0) return false;
  const ops::ConvAttrs attrs = ops::conv_attrs(node->attrs, kind.spatial);
  ir::Attrs stored;
  attrs.store(stored);
  editor.become(node, kind.fused, node->inputs, std::move(stored));
  return true;
}

// A convolution with as many groups as input channels is a depthwise one: its filter [kh,kw,1,C*M] is [kh,kw,C,M].
void to_depthwise(Editor& editor, ir::Node* node) {
  const Tensor* filter = constant_of(node->inputs[1]);
  const std::int64_t channels = last_dim(node->inputs[0]);
  if (filter == nullptr || filter->rank() != 4 || filter->dim(2) != 1 || channels < 2 || filter->dim(3) % channels != 0) return;
  const Shape shape{filter->dim(0), filter->dim(1), channels, filter->dim(3) / channels};
  const ir::Value reshaped = editor.constant(filter->reshaped(shape), node->inputs[1].node->name + "/depthwise");
  std::vector<ir::Value> inputs = node->inputs;
  inputs[1] = reshaped;
  editor.become(node, "fused_depthwise_conv2d", std::move(inputs), node->attrs);
}

bool lower_matmul(Editor& editor, ir::Node* node) {
  if (node->inputs.size() != 2 || !all_float(*node, 0)) return false;
  for (const ir::Value& input : node->inputs) {
    if (!shape_of(input).known_rank() || shape_of(input).rank() < 2) return false;
  }
  ops::MatMulAttrs attrs;
  attrs.transpose_a = node->attr_or<bool>("transpose_a", false) || node->attr_or<bool>("adj_x", false);
  attrs.transpose_b = node->attr_or<bool>("transpose_b", false) || node->attr_or<bool>("adj_y", false);
  ir::Attrs stored;
  attrs.store(stored);
  editor.become(node, "fused_matmul", node->inputs, std::move(stored));
  return true;
}

}  // namespace

bool lower_to_fused(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (node->is("matmul")) lower_matmul(editor, node);
    for (const Convolution& kind : kConvolutions) {
      if (node->is(kind.op)) {
        if (lower_convolution(editor, node, kind) && node->is("fused_conv2d")) to_depthwise(editor, node);
        break;
      }
    }
  }
  return editor.finish();
}

}  // namespace tenon::passes
