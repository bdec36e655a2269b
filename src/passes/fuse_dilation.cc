// batch_to_space(conv(space_to_batch(x))) -> a dilated convolution, as tf.nn and Keras spell one.
#include <algorithm>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

struct Blocks {
  std::vector<std::int64_t> sizes;    // of height and width
  std::vector<std::int64_t> borders;  // before and after each
};

// Block sizes and borders of space_to_batch or batch_to_space over height and width.
std::optional<Blocks> blocks_of(const ir::Node& node) {
  if (node.attrs.has("block_size") || node.inputs.size() != 3) return std::nullopt;
  const auto sizes = integers_of(node.inputs[1]);
  const Tensor* borders = constant_of(node.inputs[2]);
  if (!sizes || sizes->size() != 2 || borders == nullptr || borders->num_elements() != 4) return std::nullopt;
  Blocks result{*sizes, {}};
  const Tensor flat = borders->reshaped(Shape{4});
  if (flat.dtype() == DataType::kInt32) result.borders.assign(flat.flat<std::int32_t>().begin(), flat.flat<std::int32_t>().end());
  if (flat.dtype() == DataType::kInt64) result.borders.assign(flat.flat<std::int64_t>().begin(), flat.flat<std::int64_t>().end());
  if (result.borders.size() != 4) return std::nullopt;
  return result;
}

bool all_ones(const std::vector<std::int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](std::int64_t v) { return v == 1; });
}

bool fuse(Editor& editor, ir::Node* after) {
  if (!after->is("batch_to_space") || !is_float(after->output())) return false;
  ir::Node* conv = after->inputs[0].node;
  if (!conv->is("fused_conv2d") && !conv->is("fused_depthwise_conv2d")) return false;
  if (editor.sole_user(conv->output()) != after || !editor.absorbable(conv)) return false;
  ir::Node* before = conv->inputs[0].node;
  if (!before->is("space_to_batch")) return false;
  const auto spread = blocks_of(*before), gathered = blocks_of(*after);
  auto attrs = ops::ConvAttrs::parse(conv->attrs, 2);
  if (!spread || !gathered || spread->sizes != gathered->sizes || attrs.padding != ops::Padding::kValid) return false;
  if (!all_ones(attrs.strides) || !all_ones(attrs.dilations) || attrs.epilogue.residual != ops::Residual::kNone) return false;
  attrs.padding = ops::Padding::kExplicit;
  attrs.dilations = spread->sizes;
  for (std::size_t i = 0; i < 4; ++i) {  // what is cropped from the result need not be padded
    attrs.pads.push_back(spread->borders[i] - gathered->borders[i]);
    if (attrs.pads.back() < 0) return false;
  }
  ir::Attrs stored;
  attrs.store(stored);
  std::vector<ir::Value> inputs = conv->inputs;
  inputs[0] = before->inputs[0];
  std::vector<ir::Node*> absorbed{conv, after};
  if (editor.sole_user(before->output()) == conv) absorbed.push_back(before);
  editor.become(after, conv->op->name, std::move(inputs), std::move(stored), absorbed);
  return true;
}

}  // namespace

bool fuse_dilation(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!editor.released(node)) fuse(editor, node);
  }
  return editor.finish();
}

}  // namespace tenon::passes
