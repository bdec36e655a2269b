#include "build/native_report.h"

#include <algorithm>
#include <array>
#include <map>

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

}  // namespace tenon::build
