// Which variables keep their stored values for as long as the model is only called.
#include <map>
#include <set>

#include "partition/partition.h"

namespace tenon::partition {
namespace {

bool reads_only(const std::string& op_type) {
  static const std::set<std::string> kReaders = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape",
                                                 "VarIsInitializedOp", "DisableCopyOnRead"};
  return kReaders.contains(op_type);
}

bool is_handle(const ir::Node& node) { return node.origin.op_type == "VarHandleOp"; }

class Frozen {
 public:
  explicit Frozen(const ir::Module& module) : module_(module) {}

  std::unordered_set<const ir::Node*> find() {
    std::vector<const ir::Node*> roots;
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& output : signature.outputs) {
        if (output.value) roots.push_back(output.value.node);
      }
    }
    if (module_.init != nullptr) roots.push_back(module_.init);
    std::unordered_set<const ir::Node*> reached;
    while (!roots.empty()) {
      const ir::Node* node = roots.back();
      roots.pop_back();
      if (!reached.insert(node).second) continue;
      for (const ir::Value& input : node->inputs) roots.push_back(input.node);
      for (const ir::Node* control : node->control_inputs) roots.push_back(control);
    }
    const ir::Uses uses(*module_.main);
    std::map<std::string, bool> frozen_by_name;
    for (const ir::Node* node : reached) {
      if (!is_handle(*node)) continue;
      const auto name = node->attr_or<std::string>("shared_name", {}) + "/" + node->attr_or<std::string>("container", {});
      const bool untouched = only_read(uses, const_cast<ir::Node*>(node)->output(), &reached);
      const auto it = frozen_by_name.try_emplace(name, true).first;
      it->second = it->second && untouched;
    }
    std::unordered_set<const ir::Node*> frozen = unchanged_references(reached);
    for (const ir::Node* node : reached) {
      if (!is_handle(*node)) continue;
      const auto name = node->attr_or<std::string>("shared_name", {}) + "/" + node->attr_or<std::string>("container", {});
      if (frozen_by_name[name]) frozen.insert(node);
    }
    return frozen;
  }

 private:
  // TF1's reference variables: ops that change one carry its name (ops/variables.h).
  static std::unordered_set<const ir::Node*> unchanged_references(const std::unordered_set<const ir::Node*>& reached) {
    std::set<std::string> changed;
    for (const ir::Node* node : reached) {
      const bool looks = node->is("read_ref_variable") || node->is("is_initialized_ref");
      if (node->attrs.has("_variable") && !looks) changed.insert(node->attr<std::string>("_variable"));
    }
    std::unordered_set<const ir::Node*> frozen;
    for (const ir::Node* node : reached) {
      const auto shared = node->attr_or<std::string>("shared_name", {});
      if (node->is("ref_variable") && !changed.contains(shared.empty() ? node->name : shared)) frozen.insert(node);
    }
    return frozen;
  }

  // Follows a handle through identities and into functions. `reached` limits which consumers count; null: all of them do.
  bool only_read(const ir::Uses& uses, ir::Value handle, const std::unordered_set<const ir::Node*>* reached) {
    std::vector<ir::Value> work{handle};
    while (!work.empty()) {
      const ir::Value value = work.back();
      work.pop_back();
      for (const ir::Uses::Use& use : uses.of(value)) {
        if (use.consumer == nullptr) continue;  // a result: the caller has it from its own argument
        if (reached != nullptr && !reached->contains(use.consumer)) continue;
        if (reads_only(use.consumer->origin.op_type)) continue;
        if (use.consumer->is("identity")) {
          work.push_back(use.consumer->output(use.index));
        } else if (!passed_to_readers(*use.consumer, use.index)) {
          return false;
        }
      }
    }
    return true;
  }

  bool passed_to_readers(const ir::Node& node, int operand) {
    if (node.is("while")) {
      return function_reads(node.attr<ir::FunctionRef>("cond"), operand) && function_reads(node.attr<ir::FunctionRef>("body"), operand);
    }
    if (node.is("if")) {
      return function_reads(node.attr<ir::FunctionRef>("then_branch"), operand - 1) &&
             function_reads(node.attr<ir::FunctionRef>("else_branch"), operand - 1);
    }
    if (node.is("case")) {
      for (const auto& branch : node.attr<std::vector<ir::FunctionRef>>("branches")) {
        if (!function_reads(branch, operand - 1)) return false;
      }
      return true;
    }
    if (node.is("call")) return function_reads(node.attr<ir::FunctionRef>("f"), operand);
    return node.is("trt_engine_op");
  }

  bool function_reads(const ir::FunctionRef& function, int argument) {
    const auto key = std::make_pair(function.name, argument);
    const auto [it, fresh] = functions_.try_emplace(key, true);  // true while it is being looked at: recursion adds nothing
    if (!fresh) return it->second;
    const auto body = module_.functions.find(function.name);
    bool reads = false;
    if (body != module_.functions.end() && argument >= 0 && argument < static_cast<int>(body->second->parameters.size())) {
      const ir::Uses uses(*body->second);
      reads = only_read(uses, body->second->parameters[static_cast<std::size_t>(argument)]->output(), nullptr);
    }
    functions_[key] = reads;
    return reads;
  }

  const ir::Module& module_;
  std::map<std::pair<std::string, int>, bool> functions_;
};

}  // namespace

std::unordered_set<const ir::Node*> frozen_variables(const ir::Module& module) { return Frozen(module).find(); }

}  // namespace tenon::partition
