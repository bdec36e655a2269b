// Two pure nodes of the same op, attributes and operands -> one.
#include <fmt/format.h>

#include "base/hash.h"
#include "ir/print.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

constexpr std::size_t kMaxCompared = 1 << 16;  // bytes of a constant that are compared; larger ones only by address

// What makes two nodes equal, as text; empty when the node must not be merged.
std::string key_of(const ir::Node& node) {
  std::string key(node.op->name);
  ir::PrintOptions exact;
  exact.external = [](const Tensor&) { return -1; };
  for (const auto& [name, value] : node.attrs) {
    key += '\n' + name + '=';
    if (std::holds_alternative<ir::FunctionRef>(value) || std::holds_alternative<std::vector<ir::FunctionRef>>(value)) return {};
    const Tensor* tensor = std::get_if<Tensor>(&value);
    if (tensor != nullptr && (tensor->dtype() == DataType::kResource || tensor->dtype() == DataType::kVariant)) return {};
    if (tensor != nullptr && tensor->byte_size() > kMaxCompared) {
      key += fmt::format("{}{}@{}", dtype_name(tensor->dtype()), tensor->shape().to_string(), tensor->data());
    } else {
      key += ir::print(value, exact);
    }
  }
  for (const ir::Value& input : node.inputs) key += fmt::format("\n{}:{}", input.node->id, input.index);
  return key;
}

}  // namespace

bool merge_duplicates(ir::Graph& graph) {
  Editor editor(graph);
  std::unordered_map<std::string, ir::Node*> first;
  for (ir::Node* node : editor.order()) {
    if (!editor.absorbable(node) || node->outputs.empty()) continue;
    std::string key = key_of(*node);
    if (key.empty()) continue;
    const auto [it, fresh] = first.emplace(std::move(key), node);
    ir::Node* kept = it->second;
    if (fresh || kept->outputs.size() != node->outputs.size()) continue;
    for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) editor.replace(node->output(i), kept->output(i));
  }
  return editor.finish();
}

}  // namespace tenon::passes
