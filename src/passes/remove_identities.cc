// identity(x) -> x; control edges that order nothing vanish; nodes that nobody needs vanish.
#include <algorithm>

#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

// Control edges matter only when they come from a node that changes or reads state, directly or through what it computes from.
bool drop_idle_control_edges(ir::Graph& graph) {
  std::unordered_set<const ir::Node*> ordered;
  for (const ir::Node* node : graph.topological_order()) {
    const auto is_ordered = [&](const ir::Node* other) { return ordered.contains(other); };
    const bool stateful = node->op->is(ir::kStateful) && !node->op->is(ir::kSource);
    if (stateful || std::any_of(node->inputs.begin(), node->inputs.end(), [&](const ir::Value& v) { return is_ordered(v.node); }) ||
        std::any_of(node->control_inputs.begin(), node->control_inputs.end(), is_ordered)) {
      ordered.insert(node);
    }
  }
  bool changed = false;
  const auto drop = [&](std::vector<ir::Node*>& nodes) {
    changed |= std::erase_if(nodes, [&](const ir::Node* node) { return !ordered.contains(node); }) > 0;
  };
  for (const auto& node : graph.nodes()) drop(node->control_inputs);
  drop(graph.control_outputs);
  return changed;
}

bool removable(const Editor& editor, const ir::Node& node, int i) {
  const ir::Value source = node.inputs[static_cast<std::size_t>(i)];
  // The value of a reference variable is read where the identity stands.
  if (source.node->is("ref_variable") || source.node->op->is(ir::kControlFlow)) return false;
  const auto& uses = editor.uses({const_cast<ir::Node*>(&node), i});
  const bool is_output = std::any_of(uses.begin(), uses.end(), [](const Editor::Use& u) { return u.consumer == nullptr; });
  return !is_output || !(source.node->op->is(ir::kSource) || source.node->is("const"));
}

}  // namespace

bool remove_identities(ir::Graph& graph) {
  const bool edges_changed = drop_idle_control_edges(graph);
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!node->is("identity") || !editor.absorbable(node) || node->inputs.size() != node->outputs.size()) continue;
    for (int i = 0; i < static_cast<int>(node->inputs.size()); ++i) {
      if (removable(editor, *node, i)) editor.replace(node->output(i), node->inputs[static_cast<std::size_t>(i)]);
    }
  }
  editor.release_unused();
  return editor.finish() || edges_changed;
}

}  // namespace tenon::passes
