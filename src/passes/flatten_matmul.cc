// reshape(matmul(reshape(x), w)) -> fused_matmul(x, w) when the reshapes only merge and restore the leading dims.
#include <algorithm>

#include "ops/fused.h"
#include "passes/activation_node.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

// True when `rows` is x with all dims but the last made one, and `result` has x's leading dims again.
bool only_merges_rows(const PartialShape& x, const PartialShape& rows, const PartialShape& result) {
  if (!x.known_rank() || x.rank() < 2 || x.rank() != result.rank() || x[x.rank() - 1] != rows[1]) return false;
  for (int i = 0; i + 1 < x.rank(); ++i) {
    if (x[i] != result[i]) return false;
  }
  return true;
}

// What the product takes instead of rows [R,K]: x itself, or x with the result's leading dims; null when these are not known.
ir::Value unmerged(Editor& editor, const ir::Node& merge, const ir::Node& restore) {
  const ir::Value x = merge.inputs[0];
  const PartialShape &rows = merge.outputs[0].shape, &result = restore.outputs[0].shape;
  if (!rows.known_rank() || rows.rank() != 2 || !rows[1].known() || rows[1].size() < 1) return {};
  if (!result.known_rank() || result.rank() < 2) return {};
  if (only_merges_rows(shape_of(x), rows, result)) return x;
  PartialShape shape = result;
  shape[shape.rank() - 1] = rows[1];
  const auto target = reshape_target(shape);
  if (!target) return {};
  const ir::Value sizes = editor.constant(int_vector(*target), merge.name + "/shape");
  return editor.add("reshape", merge.name, {x, sizes}, {}, {DataType::kFloat32, shape})->output();
}

bool flatten(Editor& editor, ir::Node* restore) {
  if (!restore->is("reshape")) return false;
  ir::Node* matmul = restore->inputs[0].node;
  if (!matmul->is("fused_matmul") || editor.sole_user(matmul->output()) != restore || !editor.absorbable(matmul)) return false;
  const auto attrs = ops::MatMulAttrs::parse(matmul->attrs);
  if (attrs.transpose_a || attrs.epilogue.residual != ops::Residual::kNone) return false;
  ir::Node* merge = matmul->inputs[0].node;
  const PartialShape& weights = shape_of(matmul->inputs[1]);
  if (!merge->is("reshape") || !weights.known_rank() || weights.rank() != 2) return false;
  if (last_dim(restore->output()) < 0 || last_dim(restore->output()) != last_dim(matmul->output())) return false;
  const ir::Value x = unmerged(editor, *merge, *restore);
  if (!x) return false;
  std::vector<ir::Value> inputs = matmul->inputs;
  inputs[0] = x;
  std::vector<ir::Node*> absorbed{matmul, restore};
  if (editor.sole_user(merge->output()) == matmul) absorbed.push_back(merge);
  editor.become(restore, "fused_matmul", std::move(inputs), matmul->attrs, absorbed);
  return true;
}

// The constant as one number for each element of x's last dim, which `split` takes apart; nothing when it varies otherwise.
std::optional<Tensor> unsplit(ir::Value constant, const PartialShape& x, const PartialShape& split) {
  const Tensor* tensor = constant_of(constant);
  if (tensor == nullptr || tensor->dtype() != DataType::kFloat32 || tensor->rank() > split.rank()) return std::nullopt;
  if (tensor->num_elements() == 1) return tensor->reshaped(Shape{});
  const int parts = split.rank() - (x.rank() - 1);  // of the last dim
  if (parts < 1 || tensor->num_elements() != x[x.rank() - 1].size()) return std::nullopt;
  for (int i = 0; i < std::min(parts, tensor->rank()); ++i) {
    if (Dim(tensor->dim(tensor->rank() - 1 - i)) != split[split.rank() - 1 - i]) return std::nullopt;
  }
  return tensor->reshaped(Shape{tensor->num_elements()});
}

bool is_fused_product(const ir::Node& node) {
  return node.is("fused_matmul") || node.is("fused_conv2d") || node.is("fused_depthwise_conv2d") || node.is("fused_conv3d") ||
         node.is("fused_conv2d_transpose");
}

bool is_arithmetic(const ir::Node& node) {
  if (node.inputs.size() != 2) return false;
  if (node.is("bias_add")) return !node.attr_or<std::string>("data_format", "NHWC").starts_with("NC");
  return node.is("add") || node.is("mul") || ((node.is("sub") || node.is("div")) && constant_of(node.inputs[1]));
}

// Something that a later pass folds into the product it starts from.
bool will_be_folded(ir::Value value) {
  for (int depth = 0; depth < 8; ++depth) {
    const ir::Node& node = *value.node;
    if (is_fused_product(node)) return true;
    const bool passes_on = activation_of(node).activation != ops::Activation::kNone || (is_arithmetic(node) && constant_of(node.inputs[1]));
    if (!passes_on) return false;
    value = node.inputs[0];
  }
  return false;
}

// The constant operand for x instead of the reshaped value; nothing when it does not vary by x's last dim alone.
std::optional<Tensor> moved_constant(ir::Value constant, ir::Value x, const PartialShape& after) {
  const PartialShape& before = shape_of(x);
  if (!before.known_rank() || before.rank() < 2 || last_dim(x) < 1) return std::nullopt;
  if (after[after.rank() - 1] == before[before.rank() - 1]) {
    const auto channels = channels_of(constant, after.rank(), last_dim(x));
    return channels ? std::optional(float_vector(*channels)) : std::nullopt;
  }
  for (int i = 0; i + 1 < before.rank(); ++i) {
    if (after.rank() < before.rank() || before[i] != after[i]) return std::nullopt;
  }
  return unsplit(constant, before, after);
}

// Arithmetic with a constant, and activations, move before the reshape of a product's result.
bool move_before_reshape(Editor& editor, ir::Node* node) {
  const bool unary = activation_of(*node).activation != ops::Activation::kNone;
  if ((!unary && !is_arithmetic(*node)) || node->outputs.size() != 1 || !is_float(node->output()) || !node->control_inputs.empty()) return false;
  ir::Node* reshape = node->inputs[0].node;
  if (!reshape->is("reshape") || editor.sole_user(reshape->output()) != node || !editor.absorbable(reshape)) return false;
  const ir::Value x = reshape->inputs[0];
  const PartialShape& after = reshape->outputs[0].shape;
  if (!same_shape(after, node->outputs[0].shape) || after.rank() < 1 || !will_be_folded(x)) return false;
  std::vector<ir::Value> inputs{x};
  if (!unary) {
    const auto constant = moved_constant(node->inputs[1], x, after);
    if (!constant) return false;
    inputs.push_back(editor.constant(*constant, node->name + "/constant"));
  }
  const bool bias = node->is("bias_add");
  ir::Node* moved = editor.add(bias ? "add" : node->op->name, node->name, std::move(inputs), bias ? ir::Attrs() : node->attrs, type_of(x));
  moved->origin.op_type = node->origin.op_type;
  editor.become(node, "reshape", {moved->output(), reshape->inputs[1]}, {});
  return true;
}

}  // namespace

bool flatten_matmul(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!editor.released(node) && !flatten(editor, node)) move_before_reshape(editor, node);
  }
  return editor.finish();
}

}  // namespace tenon::passes
