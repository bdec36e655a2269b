#include "ir/verify.h"

#include <unordered_set>

#include "base/error.h"

namespace tenon::ir {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {
    for (const auto& node : graph.nodes()) nodes_.insert(node.get());
  }

  void run() {
    for (const auto& node : graph_.nodes()) check_node(*node);
    check_parameters();
    for (const Value& output : graph_.outputs) check_value(output, "the graph's outputs");
    for (const Node* node : graph_.control_outputs) check_member(node, "the graph's control outputs");
    graph_.topological_order();
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidModel, "graph \"{}\": {}", graph_.name(), fmt::format(format, std::forward<Args>(args)...));
  }

  void check_member(const Node* node, std::string_view user) const {
    if (node == nullptr || !nodes_.contains(node)) refuse("{} name a node that is not in the graph", user);
  }

  void check_value(const Value& value, const std::string& user) const {
    check_member(value.node, user);
    if (value.index < 0 || static_cast<std::size_t>(value.index) >= value.node->outputs.size()) {
      refuse("{} name output {} of {}, which has {}", user, value.index, value.node->describe(), value.node->outputs.size());
    }
  }

  void check_node(const Node& node) const {
    if (node.op == nullptr) refuse("node \"{}\" has no op", node.name);
    if (node.name.empty()) refuse("a node of op {} has no name", node.op->name);
    if (graph_.find(node.name) != &node) refuse("the name \"{}\" is taken twice", node.name);
    const std::string user = "the inputs of " + node.describe();
    for (const Value& input : node.inputs) check_value(input, user);
    for (const Node* control : node.control_inputs) check_member(control, user);
  }

  void check_parameters() const {
    std::unordered_set<const Node*> listed;
    for (const Node* parameter : graph_.parameters) {
      check_member(parameter, "the graph's parameters");
      if (!parameter->is("parameter")) refuse("{} is listed as a parameter", parameter->describe());
      if (!listed.insert(parameter).second) refuse("{} is listed twice as a parameter", parameter->describe());
    }
    for (const Node* node : nodes_) {
      if (node->is("parameter") && !listed.contains(node)) refuse("{} is not listed as a parameter", node->describe());
    }
  }

  const Graph& graph_;
  std::unordered_set<const Node*> nodes_;
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

}  // namespace tenon::ir
