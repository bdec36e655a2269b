#include "build/native_report.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>

namespace tenon::build {

bool is_reported(const ir::Node& node) {
  static constexpr std::array kSilent = {"Placeholder", "VarHandleOp", "NoOp", "Identity", "IdentityN"};
  return !node.is("parameter") && std::ranges::find(kSilent, node.origin.op_type) == kSilent.end();
}

void add_native_nodes(const partition::Partition& partition, ConvertReport& report) {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> groups;
  for (const ir::Node* node : partition.needed) {
    const auto reason = partition.native_reasons.find(node);
    if (reason != partition.native_reasons.end() && is_reported(*node)) groups[{node->origin.op_type, reason->second}].push_back(node->name);
  }
  for (auto& [key, nodes] : groups) {
    std::ranges::sort(nodes);
    report.native_nodes += static_cast<int>(nodes.size());
    report.native.push_back({key.first, key.second, std::move(nodes)});
  }
  std::ranges::stable_sort(report.native, std::ranges::greater{}, [](const NativeReport& native) { return native.nodes.size(); });
}

std::vector<ConvertedNode> converted_nodes(const ir::Module& module, const partition::Partition& partition) {
  std::unordered_map<const ir::Node*, const std::string*> engine_of;
  for (const partition::SegmentPlan& plan : partition.segments) {
    for (const auto* nodes : {&plan.constants, &plan.nodes}) {
      for (const ir::Node* node : *nodes) engine_of.emplace(node, &plan.name);
    }
  }
  std::vector<ConvertedNode> result;
  const auto add = [&](const ir::Graph& graph) {
    for (const ir::Node* node : graph.topological_order()) {
      if (!partition.needed.contains(node)) continue;
      ConvertedNode converted{node->name, node->origin.op_type.empty() ? std::string(node->op->name) : node->origin.op_type, {}, {}, {}};
      if (const auto engine = engine_of.find(node); engine != engine_of.end()) converted.engine = *engine->second;
      const auto reason = partition.native_reasons.find(node);
      if (reason != partition.native_reasons.end() && is_reported(*node)) converted.reason = reason->second;
      std::set<std::string> seen;
      for (const ir::Value& input : node->inputs) {
        if (seen.insert(input.node->name).second) converted.inputs.push_back(input.node->name);
      }
      result.push_back(std::move(converted));
    }
  };
  add(*module.main);
  for (const ir::Graph* function : partition.functions) add(*function);
  return result;
}

}  // namespace tenon::build
