// batch_to_space(conv(space_to_batch(x))) -> a dilated convolution, as tf.nn and Keras spell one.
#include <algorithm>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/one_dimension.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

struct Blocks {
  std::vector<std::int64_t> sizes;    // of each spatial dim
  std::vector<std::int64_t> borders;  // before and after each
};

// Block sizes and borders of space_to_batch or batch_to_space over one or two spatial dims.
std::optional<Blocks> blocks_of(const ir::Node& node) {
  if (node.attrs.has("block_size") || node.inputs.size() != 3) return std::nullopt;
  const auto sizes = integers_of(node.inputs[1]);
  const Tensor* borders = constant_of(node.inputs[2]);
  if (!sizes || sizes->empty() || sizes->size() > 2 || borders == nullptr) return std::nullopt;
  const auto count = static_cast<std::int64_t>(2 * sizes->size());
  if (borders->num_elements() != count) return std::nullopt;
  Blocks result{*sizes, {}};
  const Tensor flat = borders->reshaped(Shape{count});
  if (flat.dtype() == DataType::kInt32) result.borders.assign(flat.flat<std::int32_t>().begin(), flat.flat<std::int32_t>().end());
  if (flat.dtype() == DataType::kInt64) result.borders.assign(flat.flat<std::int64_t>().begin(), flat.flat<std::int64_t>().end());
  if (static_cast<std::int64_t>(result.borders.size()) != count) return std::nullopt;
  return result;
}

bool all_ones(const std::vector<std::int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](std::int64_t v) { return v == 1; });
}

// The parts of the pattern; a 1-D convolution is a 2-D one of a single row, between reshapes.
struct Pattern {
  ir::Node* before = nullptr;   // space_to_batch
  ir::Node* widen = nullptr;    // [N,W,C] -> [N,1,W,C]; null in two dims
  ir::Node* conv = nullptr;
  ir::Node* narrow = nullptr;   // [N,1,W,C] -> [N,W,C]
  ir::Node* after = nullptr;    // batch_to_space
};

std::optional<Pattern> match(const Editor& editor, ir::Node* after) {
  if (!after->is("batch_to_space") || !is_float(after->output())) return std::nullopt;
  Pattern p;
  p.after = after;
  const auto only_for = [&](ir::Node* node, const ir::Node* user) { return editor.sole_user(node->output()) == user && editor.absorbable(node); };
  p.conv = after->inputs[0].node;
  if (p.conv->is("reshape") && only_for(p.conv, after)) {
    p.narrow = p.conv;
    p.conv = p.narrow->inputs[0].node;
    if (!is_single_row(p.narrow->outputs[0].shape, p.conv->outputs[0].shape)) return std::nullopt;
  }
  if (!p.conv->is("fused_conv2d") && !p.conv->is("fused_depthwise_conv2d")) return std::nullopt;
  if (!only_for(p.conv, p.narrow ? p.narrow : after)) return std::nullopt;
  p.before = p.conv->inputs[0].node;
  if (p.narrow != nullptr) {
    p.widen = p.before;
    if (!p.widen->is("reshape") || !is_single_row(shape_of(p.widen->inputs[0]), p.widen->outputs[0].shape)) return std::nullopt;
    p.before = p.widen->inputs[0].node;
  }
  return p.before->is("space_to_batch") ? std::optional(p) : std::nullopt;
}

// The dilated convolution's attributes.
std::optional<ops::ConvAttrs> dilated(const Pattern& p) {
  auto spread = blocks_of(*p.before), gathered = blocks_of(*p.after);
  auto attrs = ops::ConvAttrs::parse(p.conv->attrs, 2);
  const std::size_t spatial = p.widen == nullptr ? 2 : 1;
  if (!spread || !gathered || spread->sizes != gathered->sizes || spread->sizes.size() != spatial) return std::nullopt;
  if (attrs.padding != ops::Padding::kValid || !all_ones(attrs.strides) || !all_ones(attrs.dilations)) return std::nullopt;
  if (attrs.epilogue.residual != ops::Residual::kNone) return std::nullopt;
  attrs.padding = ops::Padding::kExplicit;
  attrs.pads.assign(4, 0);
  for (std::size_t i = 0; i < 2 * spatial; ++i) {  // what is cropped from the result need not be padded
    const std::int64_t pad = spread->borders[i] - gathered->borders[i];
    if (pad < 0) return std::nullopt;
    attrs.pads[4 - 2 * spatial + i] = pad;
  }
  for (std::size_t i = 0; i < spatial; ++i) attrs.dilations[2 - spatial + i] = spread->sizes[i];
  return attrs;
}

bool fuse(Editor& editor, ir::Node* after) {
  const auto p = match(editor, after);
  if (!p) return false;
  const auto attrs = dilated(*p);
  const PartialShape result = after->outputs[0].shape;
  if (!attrs) return false;
  ir::Attrs stored;
  attrs->store(stored);
  std::vector<ir::Value> inputs = p->conv->inputs;
  inputs[0] = p->before->inputs[0];
  std::vector<ir::Node*> absorbed{p->conv};
  if (editor.sole_user(p->before->output()) != nullptr) absorbed.push_back(p->before);
  if (p->widen == nullptr) {
    editor.become(after, p->conv->op->name, std::move(inputs), std::move(stored), absorbed);
    return true;
  }
  const auto target = reshape_target(result);
  if (!target || result.rank() != 3) return false;
  inputs[0] = widened(editor, inputs[0], p->widen->name);
  if (!inputs[0]) return false;
  const PartialShape image{result[0], 1, result[1], result[2]};
  ir::Node* conv = editor.add(p->conv->op->name, p->conv->name, std::move(inputs), std::move(stored), {DataType::kFloat32, image});
  conv->origin.op_type = p->conv->origin.op_type;
  for (const ir::Node* node : absorbed) conv->origin.merged.push_back(node->name);
  editor.become(after, "reshape", {conv->output(), editor.constant(int_vector(*target), after->name + "/shape")}, {}, absorbed);
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
