#include "export/graph_writer.h"

#include <algorithm>
#include <set>

#include "export/node_writer.h"

namespace tenon::exporter {

SegmentIndex::SegmentIndex(const std::vector<const partition::SegmentPlan*>& plans) {
  for (const partition::SegmentPlan* plan : plans) {
    for (const ir::Node* node : plan->nodes) inside[node] = plan;
    for (std::size_t i = 0; i < plan->outputs.size(); ++i) outputs[plan->outputs[i]] = {plan, static_cast<int>(i)};
    constants.insert(plan->constants.begin(), plan->constants.end());
  }
}

GraphWriter::GraphWriter(const ir::Graph& graph, bool function, const SegmentIndex& index, const std::unordered_set<const ir::Node*>& pinned,
                         const std::unordered_set<const ir::Node*>* only)
    : graph_(graph), function_(function), index_(index) {
  find_kept(pinned, only);
}

// Everything stays except what engines compute and constants that only engines needed.
void GraphWriter::find_kept(const std::unordered_set<const ir::Node*>& pinned, const std::unordered_set<const ir::Node*>* only) {
  const ir::Uses uses(graph_);
  const auto order = graph_.topological_order();
  std::unordered_set<const ir::Node*> timeless;  // constants that wait for nothing, so that nothing is ordered by waiting for them
  for (const ir::Node* node : order) {
    const bool constant = index_.constants.contains(node) || node->is("const") || node->is("var_handle");
    const auto is_timeless = [&](const ir::Value& input) { return timeless.contains(input.node); };
    if (constant && node->control_inputs.empty() && std::all_of(node->inputs.begin(), node->inputs.end(), is_timeless)) timeless.insert(node);
  }
  for (auto it = order.rbegin(); it != order.rend(); ++it) {  // consumers first
    const ir::Node* node = *it;
    if (index_.inside.contains(node) || (only != nullptr && !only->contains(node))) continue;
    if (index_.constants.contains(node) && !pinned.contains(node)) {
      bool needed = !timeless.contains(node) &&
                    std::any_of(uses.control_of(node).begin(), uses.control_of(node).end(),
                                [&](const ir::Node* n) { return kept_.contains(n) || index_.inside.contains(n); });
      for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) {
        for (const ir::Uses::Use& use : uses.of({const_cast<ir::Node*>(node), i})) {
          needed |= use.consumer != nullptr && kept_.contains(use.consumer);
        }
      }
      if (!needed) continue;
    }
    kept_.insert(node);
  }
  // What no result needs may read values that exist only inside an engine now; it goes, and what reads it.
  for (const ir::Node* node : order) {
    if (!kept_.contains(node)) continue;
    const bool readable = std::all_of(node->inputs.begin(), node->inputs.end(), [&](const ir::Value& input) {
      return kept_.contains(input.node) || index_.outputs.contains(input);
    });
    if (!readable) kept_.erase(node);
  }
}

std::string GraphWriter::value_name(const ir::Value& value) const {
  const auto engine = index_.outputs.find(value);
  if (engine == index_.outputs.end()) return function_ ? function_body_name(value) : main_graph_name(value);
  const auto& [plan, index] = engine->second;
  if (function_) return plan->name + ":out_tensor:" + std::to_string(index);
  return index == 0 ? plan->name : plan->name + ":" + std::to_string(index);
}

std::string GraphWriter::control_name(const ir::Node& node) const {
  const auto segment = index_.inside.find(&node);
  if (segment != index_.inside.end()) return segment->second->name;
  return kept_.contains(&node) ? node.name : std::string();
}

std::vector<std::string> GraphWriter::engine_inputs(const partition::SegmentPlan& plan) const {
  std::vector<std::string> inputs;
  for (const ir::Value& input : plan.inputs) inputs.push_back(value_name(input));
  std::set<std::string> controls;
  for (const ir::Node* node : plan.nodes) {
    for (const ir::Node* control : node->control_inputs) {
      const std::string name = control_name(*control);
      if (!name.empty() && name != plan.name) controls.insert("^" + name);
    }
  }
  inputs.insert(inputs.end(), controls.begin(), controls.end());
  return inputs;
}

saved::NodeDef GraphWriter::write(const ir::Node& node) const {
  saved::NodeDef def = write_node(node, [&](const ir::Value& value) { return value_name(value); });
  // A control edge from inside a segment becomes one from its engine; from a constant that is gone it means nothing.
  std::vector<std::string> inputs;
  for (const std::string& input : def.inputs) {
    const ir::Node* control = input.starts_with('^') ? graph_.find(input.substr(1)) : nullptr;
    if (control == nullptr) {
      inputs.push_back(input);
    } else if (const std::string name = control_name(*control); !name.empty()) {
      inputs.push_back("^" + name);
    }
  }
  if (inputs != def.inputs) {
    def = def.edited();
    def.inputs = std::move(inputs);
  }
  return def;
}

std::vector<std::pair<const ir::Node*, saved::NodeDef>> GraphWriter::nodes() const {
  std::vector<std::pair<const ir::Node*, saved::NodeDef>> written;
  for (const auto& node : graph_.nodes()) {
    if (kept_.contains(node.get()) && !node->is("parameter")) written.emplace_back(node.get(), write(*node));
  }
  return written;
}

}  // namespace tenon::exporter
