// Local rules that need no context: shape changes to reshapes, what does nothing vanishes, expensive forms to cheap ones.
#include <algorithm>
#include <cmath>

#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

bool to_reshape(Editor& editor, ir::Node* node) {
  const auto target = reshape_target(node->outputs[0].shape);
  if (!target) return false;
  const ir::Value x = node->inputs[0];
  editor.become(node, "reshape", {x, editor.constant(int_vector(*target), node->name + "/shape")}, {});
  return true;
}

bool simplify_reshape(Editor& editor, ir::Node* node) {
  if (node->inputs.size() != 2) return false;
  const ir::Value x = node->inputs[0];
  if (same_shape(shape_of(x), node->outputs[0].shape)) {
    editor.replace(node->output(), x);
    return true;
  }
  if (constant_of(node->inputs[1]) == nullptr) return to_reshape(editor, node);
  if (x.node->is("reshape")) {
    editor.set_input(node, 0, x.node->inputs[0]);
    return true;
  }
  return false;
}

// The perm operand as non-negative axes of a permutation.
std::optional<std::vector<std::int64_t>> perm_of(const ir::Node& node) {
  if (node.inputs.size() != 2) return std::nullopt;
  auto perm = integers_of(node.inputs[1]);
  if (!perm) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(perm->size());
  std::vector<bool> seen(perm->size(), false);
  for (std::int64_t& axis : *perm) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || seen[static_cast<std::size_t>(axis)]) return std::nullopt;
    seen[static_cast<std::size_t>(axis)] = true;
  }
  return perm;
}

// True when the dims that are not 1 keep their order.
bool only_moves_ones(const PartialShape& shape, const std::vector<std::int64_t>& perm) {
  if (!shape.known_rank() || shape.rank() != static_cast<int>(perm.size())) return false;
  std::int64_t last = -1;
  for (const std::int64_t axis : perm) {
    if (shape[static_cast<int>(axis)] == Dim(1)) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

bool simplify_transpose(Editor& editor, ir::Node* node) {
  const auto perm = perm_of(*node);
  if (!perm) return false;
  const ir::Value x = node->inputs[0];
  if (std::is_sorted(perm->begin(), perm->end())) {
    editor.replace(node->output(), x);
    return true;
  }
  if (x.node->is("transpose")) {
    if (const auto inner = perm_of(*x.node); inner && inner->size() == perm->size()) {
      std::vector<std::int64_t> both;
      for (const std::int64_t axis : *perm) both.push_back((*inner)[static_cast<std::size_t>(axis)]);
      const ir::Value source = x.node->inputs[0];
      ir::Node* absorbed[] = {x.node};
      editor.become(node, "transpose", {source, editor.constant(int_vector(both), node->name + "/perm")}, node->attrs, absorbed);
      return true;
    }
  }
  return only_moves_ones(shape_of(x), *perm) && to_reshape(editor, node);
}

bool is_power_of_two(float value) {
  int exponent = 0;
  return std::isnormal(value) && std::fabs(std::frexp(value, &exponent)) == 0.5f && std::abs(exponent) < 120;
}

// Arithmetic with a float32 scalar that leaves the other operand's shape.
bool simplify_arithmetic(Editor& editor, ir::Node* node) {
  if (node->inputs.size() != 2 || !is_float(node->inputs[0]) || !is_float(node->inputs[1])) return false;
  const ir::Value x = node->inputs[0], y = node->inputs[1];
  if (node->is("mul") && x == y) {
    editor.become(node, "square", {x}, {});
    return true;
  }
  const auto scalar = scalar_of(y);
  if (!scalar || constant_of(x) != nullptr || !same_shape(shape_of(x), node->outputs[0].shape)) return false;
  const bool nothing = *scalar == 1.0f ? node->is("mul") || node->is("div") || node->is("pow") : *scalar == 0.0f && node->is("sub");
  if (nothing) {
    editor.replace(node->output(), x);
    return true;
  }
  if (node->is("pow") && *scalar == 2.0f) {
    editor.become(node, "square", {x}, {});
    return true;
  }
  if (node->is("div") && is_power_of_two(*scalar)) {
    editor.become(node, "mul", {x, editor.constant(Tensor::scalar<float>(1.0f / *scalar), node->name + "/reciprocal")}, {});
    return true;
  }
  return false;
}

// Constants stand right in commutative ops, so that rules need look only there.
bool order_operands(Editor& editor, ir::Node* node) {
  if (!node->is("mul") && !node->is("add") && !node->is("maximum") && !node->is("minimum")) return false;
  if (node->inputs.size() != 2 || constant_of(node->inputs[0]) == nullptr || constant_of(node->inputs[1]) != nullptr) return false;
  editor.become(node, node->op->name, {node->inputs[1], node->inputs[0]}, node->attrs);
  return true;
}

bool does_nothing(const ir::Node& node) {
  if (node.is("cast")) return type_of(node.inputs[0]).dtype == node.outputs[0].dtype;
  if (node.is("pad")) {
    const Tensor* paddings = constant_of(node.inputs[1]);
    if (paddings == nullptr) return false;
    const Tensor flat = paddings->reshaped(Shape{paddings->num_elements()});
    if (flat.dtype() == DataType::kInt32) return std::ranges::all_of(flat.flat<std::int32_t>(), [](auto p) { return p == 0; });
    if (flat.dtype() == DataType::kInt64) return std::ranges::all_of(flat.flat<std::int64_t>(), [](auto p) { return p == 0; });
  }
  return false;
}

bool simplify_node(Editor& editor, ir::Node* node) {
  if (node->inputs.empty() || node->outputs.size() != 1 || node->op->traits != ir::kPure) return false;
  if (node->is("reshape")) return simplify_reshape(editor, node);
  if (node->is("squeeze") || node->is("expand_dims")) return to_reshape(editor, node);
  if (node->is("transpose")) return simplify_transpose(editor, node);
  if (does_nothing(*node)) {
    editor.replace(node->output(), node->inputs[0]);
    return true;
  }
  return order_operands(editor, node) | simplify_arithmetic(editor, node);
}

}  // namespace

bool simplify(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    for (int again = 0; again < 8 && !editor.released(node) && simplify_node(editor, node); ++again) {
    }
  }
  return editor.finish();
}

}  // namespace tenon::passes
