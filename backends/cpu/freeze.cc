#include "backends/cpu/freeze.h"

#include <map>
#include <unordered_set>

#include "base/error.h"
#include "ops/registry.h"

namespace tenon::cpu {
namespace {

class Freezer {
 public:
  Freezer(ir::Graph& graph, WeightsProvider& weights) : graph_(graph), weights_(weights) {}

  void run() {
    for (ir::Node* parameter : graph_.parameters) {  // TF1's variables and what functions are passed come as values, not as handles
      const bool is_value = parameter->outputs.at(0).dtype != DataType::kResource;
      if (is_value && parameter->attrs.has("variable")) graph_.replace_uses(parameter->output(), value_of(*parameter));
      if (is_value && parameter->attrs.has("constant")) {
        graph_.replace_uses(parameter->output(), constant(*parameter, parameter->attr<Tensor>("constant"), "Const"));
      }
    }
    for (ir::Node* node : graph_.topological_order()) {
      if (!handle_behind(node, 0)) continue;
      if (node->is("read_variable")) {
        graph_.replace_uses(node->output(), value_of(*handle_behind(node, 0)));
      } else if (node->is("resource_gather") || node->is("resource_gather_nd")) {
        replace_gather(node);
      }
    }
    graph_.remove_dead_nodes();
    erase_dead_readers();
  }

 private:
  // The handle's parameter, through identities; null when the operand is something else.
  const ir::Node* handle_behind(const ir::Node* node, std::size_t operand) const {
    if (node->inputs.size() <= operand) return nullptr;
    const ir::Node* at = node->inputs[operand].node;
    while (at->is("identity") && !at->inputs.empty()) at = at->inputs[0].node;
    return at->is("parameter") && at->attrs.has("variable") ? at : nullptr;
  }

  ir::Value value_of(const ir::Node& handle) {
    const auto name = handle.attr<std::string>("variable");
    const auto it = constants_.find(name);
    if (it != constants_.end()) return it->second->output();
    return (constants_[name] = constant(handle, weights_.variable(name), "ReadVariableOp").node)->output();
  }

  ir::Value constant(const ir::Node& parameter, Tensor value, const char* op_type) {
    ir::Attrs attrs;
    const ir::ValueType type{value.dtype(), value.shape()};
    attrs.set("value", std::move(value));
    ir::Node* made = graph_.add(ops::op("const"), parameter.name + "/value", {}, std::move(attrs));
    made->outputs[0] = type;
    made->origin.op_type = op_type;
    return made->output();
  }

  void replace_gather(ir::Node* node) {
    const bool nd = node->is("resource_gather_nd");
    std::vector<ir::Value> inputs = {value_of(*handle_behind(node, 0)), node->inputs.at(1)};
    ir::Attrs attrs = node->attrs;
    if (!nd) inputs.push_back(axis_zero());
    ir::Node* made = graph_.add(ops::op(nd ? "gather_nd" : "gather"), node->name + "/frozen", std::move(inputs), std::move(attrs));
    made->outputs = node->outputs;
    made->origin = node->origin;
    graph_.replace_uses(node->output(), made->output());
  }

  ir::Value axis_zero() {
    if (axis_ == nullptr) {
      ir::Attrs attrs;
      attrs.set("value", Tensor::scalar<std::int32_t>(0));
      axis_ = graph_.add(ops::op("const"), "gather_axis_0", {}, std::move(attrs));
      axis_->outputs[0] = {DataType::kInt32, PartialShape(Shape{})};
    }
    return axis_->output();
  }

  // Reads are stateful to the graph, so nobody else removes them. A frozen variable's read orders nothing.
  void erase_dead_readers() {
    const ir::Uses uses(graph_);
    std::unordered_set<const ir::Node*> dead;
    for (const auto& node : graph_.nodes()) {
      const bool reader = node->is("read_variable") || node->is("resource_gather") || node->is("resource_gather_nd");
      if (reader && handle_behind(node.get(), 0) != nullptr && uses.count(node->output()) == 0) dead.insert(node.get());
    }
    const auto is_dead = [&](const ir::Node* node) { return dead.contains(node); };
    for (const auto& node : graph_.nodes()) std::erase_if(node->control_inputs, is_dead);
    std::erase_if(graph_.control_outputs, is_dead);
    graph_.erase_unless([&](const ir::Node& node) { return !is_dead(&node); });
    graph_.remove_dead_nodes();
  }

  ir::Graph& graph_;
  WeightsProvider& weights_;
  std::map<std::string, ir::Node*> constants_;
  ir::Node* axis_ = nullptr;
};

}  // namespace

void freeze_variables(ir::Graph& graph, WeightsProvider& weights) { Freezer(graph, weights).run(); }

}  // namespace tenon::cpu
