#include "api/freeze.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "import/attributes.h"
#include "ops/registry.h"
#include "ops/tensorflow_ops.h"
#include "partition/partition.h"
#include "savedmodel/decode.h"
#include "savedmodel/write.h"

namespace tenon::api {
namespace {

using saved::AttrValue;

std::string variable_name(const ir::Node& node) {
  std::string shared = node.attr_or<std::string>("shared_name", {});
  return shared.empty() ? node.name : shared;
}

bool is_reference(const ir::Node& variable) { return variable.is("ref_variable"); }

// Ops that work on a reference itself and not on its value.
bool needs_reference(const ir::Node& node) {
  const std::string& op = node.origin.op_type;
  return node.attrs.has("_variable") || (op.starts_with("Ref") && op != "RefIdentity");
}

class Freezer {
 public:
  Freezer(OpenModel& model, std::int64_t most_bytes) : model_(model), graph_(*model.module().main), most_bytes_(most_bytes) {}

  Freezing run() {
    find_needed();
    const auto frozen = partition::frozen_variables(model_.module());
    std::vector<ir::Node*> variables;
    for (const auto& node : graph_.nodes()) {
      if (needed_.contains(node.get()) && frozen.contains(node.get())) variables.push_back(node.get());
    }
    const ir::Uses uses(graph_);
    for (ir::Node* variable : variables) look_at(*variable, uses);
    Freezing result;
    std::int64_t bytes = 0;
    for (const auto& [node, plan] : plans_) bytes += static_cast<std::int64_t>(plan.value.byte_size());
    result.too_large = bytes > most_bytes_;
    if (!result.too_large) {
      for (ir::Node* variable : variables) {
        const auto plan = plans_.find(variable);
        if (plan == plans_.end()) continue;
        replace(*variable, plan->second);
        ++result.constants;
      }
      needed_.clear();
      find_needed();
    }
    result.self_contained = std::none_of(needed_.begin(), needed_.end(), [](const ir::Node* node) {
      return node->is("var_handle") || node->is("ref_variable");
    });
    return result;
  }

 private:
  struct Plan {
    Tensor value;
    std::vector<ir::Uses::Use> uses;  // of its value; those of a handle read it
  };

  void find_needed() {
    std::vector<ir::Node*> work;
    for (const ir::Signature& signature : model_.module().signatures) {
      for (const ir::Binding& output : signature.outputs) {
        if (!output.value) continue;
        work.push_back(output.value.node);
        results_.insert(output.value);
      }
    }
    if (model_.module().init != nullptr) work.push_back(model_.module().init);
    while (!work.empty()) {
      ir::Node* node = work.back();
      work.pop_back();
      if (!needed_.insert(node).second) continue;
      for (const ir::Value& input : node->inputs) work.push_back(input.node);
      work.insert(work.end(), node->control_inputs.begin(), node->control_inputs.end());
    }
  }

  // Plans the variable unless somebody needs the variable itself.
  void look_at(ir::Node& variable, const ir::Uses& uses) {
    Plan plan;
    std::vector<ir::Value> work{variable.output()};
    while (!work.empty()) {
      const ir::Value value = work.back();
      work.pop_back();
      if (results_.contains(value)) return;
      for (const ir::Uses::Use& use : uses.of(value)) {
        if (use.consumer == nullptr) return;
        if (!needed_.contains(use.consumer)) continue;
        if (is_reference(variable)) {
          if (needs_reference(*use.consumer)) return;
          plan.uses.push_back(use);
        } else if (use.consumer->is("identity")) {
          work.push_back(use.consumer->output(use.index));
        } else if (use.index == 0 && reads_.contains(use.consumer->origin.op_type)) {
          plan.uses.push_back(use);
        } else {
          return;
        }
      }
    }
    plan.value = model_.stored_variable(variable_name(variable));
    if (!plan.value.valid() || plan.value.dtype() != variable.attr_or<DataType>("dtype", DataType::kInvalid)) return;
    plans_.emplace(&variable, std::move(plan));
  }

  void replace(ir::Node& variable, const Plan& plan) {
    ir::Node* constant = add_constant(variable.name + "/value", plan.value, variable.origin.device);
    for (const ir::Uses::Use& use : plan.uses) {
      ir::Node& node = *use.consumer;
      if (is_reference(variable)) {
        node.inputs[static_cast<std::size_t>(use.index)] = constant->output();
        if (node.origin.op_type == "RefIdentity") become(node, "Identity", node.inputs, {{"T", AttrValue::of(plan.value.dtype())}});
      } else {
        read(node, *constant, plan.value.dtype());
      }
    }
  }

  void read(ir::Node& node, ir::Node& constant, DataType dtype) {
    const std::string op = node.origin.op_type;
    const ir::Value value = constant.output();
    const auto type = [&](const char* attribute) { return AttrValue::of(node.attr_or<DataType>(attribute, DataType::kInt32)); };
    if (op == "ReadVariableOp") {
      become(node, "Identity", {value}, {{"T", AttrValue::of(dtype)}});
    } else if (op == "ResourceGather") {
      const auto axis = node.attr_or<std::int64_t>("batch_dims", 0);
      const Tensor number = Tensor::scalar<std::int32_t>(static_cast<std::int32_t>(axis));
      ir::Node* axis_node = add_constant(node.name + "/axis", number, node.origin.device);
      become(node, "GatherV2", {value, node.inputs[1], axis_node->output()},
             {{"Tparams", AttrValue::of(dtype)},
              {"Tindices", type("Tindices")},
              {"Taxis", AttrValue::of(DataType::kInt32)},
              {"batch_dims", AttrValue::of(axis)}});
    } else if (op == "ResourceGatherNd") {
      become(node, "GatherNd", {value, node.inputs[1]}, {{"Tparams", AttrValue::of(dtype)}, {"Tindices", type("Tindices")}});
    } else if (op == "VariableShape") {
      become(node, "Shape", {value}, {{"T", AttrValue::of(dtype)}, {"out_type", type("out_type")}});
    } else if (op == "VarIsInitializedOp") {
      become(node, "Const", {}, {{"dtype", AttrValue::of(DataType::kBool)}, {"value", AttrValue::of(Tensor::scalar<bool>(true))}});
    } else {
      become(node, "NoOp", {}, {});  // DisableCopyOnRead
    }
  }

  ir::Node* add_constant(const std::string& name, const Tensor& value, const std::string& device) {
    ir::Node* node = graph_.add(ops::op("const"), name);
    node->origin.device = device;
    node->outputs[0] = {value.dtype(), PartialShape(value.shape())};
    become(*node, "Const", {}, {{"dtype", AttrValue::of(value.dtype())}, {"value", AttrValue::of(value)}});
    return node;
  }

  // Makes a node of another op of it; name, device, control inputs and result types stay.
  void become(ir::Node& node, const std::string& op, std::vector<ir::Value> inputs, saved::AttrMap attrs) {
    saved::NodeDef def;
    def.name = node.name;
    def.op = op;
    def.device = node.origin.device;
    def.attrs = std::move(attrs);
    const auto bytes = std::make_shared<const std::string>(saved::serialize(def));
    node.attrs = importer::convert_attrs(saved::decode_node(*bytes, bytes).attrs, {}, model_.module().symbols);
    if (const ops::TensorflowOp* known = ops::TensorflowOp::find(op)) known->fill_defaults(node.attrs);
    const ops::ImportRule* rule = ops::find_rule(op);
    node.op = &ops::op(rule->ir_op);
    if (rule->rewrite != nullptr) rule->rewrite(node.attrs);
    node.inputs = std::move(inputs);
    node.origin.op_type = op;
    node.origin.node_def = *bytes;
    node.origin.keep_alive = bytes;
  }

  OpenModel& model_;
  ir::Graph& graph_;
  const std::int64_t most_bytes_;
  std::unordered_set<const ir::Node*> needed_;
  std::unordered_set<ir::Value, ir::ValueHash> results_;
  std::map<const ir::Node*, Plan> plans_;
  const std::unordered_set<std::string> reads_ = {"ReadVariableOp", "ResourceGather",     "ResourceGatherNd",
                                                  "VariableShape",  "VarIsInitializedOp", "DisableCopyOnRead"};
};

}  // namespace

Freezing freeze_variables(OpenModel& model, std::int64_t most_bytes) { return Freezer(model, most_bytes).run(); }

}  // namespace tenon::api
