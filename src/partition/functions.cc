#include "partition/functions.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tenon::partition {
namespace {

std::string variable_name(const ir::Node& handle) {
  std::string shared = handle.attr_or<std::string>("shared_name", {});
  return shared.empty() ? handle.name : shared;
}

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs[static_cast<std::size_t>(value.index)]; }

bool same(const Tensor& a, const Tensor& b) {
  if (a.valid() != b.valid()) return false;
  if (!a.valid()) return true;
  if (a.dtype() != b.dtype() || a.shape() != b.shape() || a.dtype() == DataType::kString) return false;
  return a.data() == b.data() || a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0;
}

bool same(const Known& a, const Known& b) { return a.variable == b.variable && same(a.constant, b.constant); }

bool can_be_constant(const Tensor& tensor) {
  return tensor.valid() && tensor.dtype() != DataType::kResource && tensor.dtype() != DataType::kVariant && tensor.dtype() != DataType::kString;
}

// Passes what is known from callers to functions until nothing changes. An argument is first open, then known, then unknown.
class Arguments {
 public:
  Arguments(const ir::Module& module, const std::unordered_set<const ir::Node*>& frozen) : module_(module), frozen_(frozen) {}

  KnownArguments find() {
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& input : signature.inputs) {
        if (input.value) fed_.insert(input.value.node);
      }
    }
    std::vector<const ir::Graph*> graphs{module_.main.get()};
    std::unordered_set<const ir::Graph*> seen(graphs.begin(), graphs.end());
    for (std::size_t i = 0; i < graphs.size(); ++i) {
      for (const auto& node : graphs[i]->nodes()) {
        for (const Call& call : calls_of(*node)) {
          const ir::Graph* function = find_function(module_, call.function.name);
          if (function != nullptr && seen.insert(function).second) graphs.push_back(function);
        }
      }
    }
    do {
      changed_ = false;
      for (const ir::Graph* graph : graphs) {
        for (const auto& node : graph->nodes()) {
          for (const Call& call : calls_of(*node)) pass_on(*node, call);
        }
      }
    } while (changed_);
    for (const ir::Node* parameter : unknown_) known_.erase(parameter);
    return std::move(known_);
  }

 private:
  void pass_on(const ir::Node& node, const Call& call) {
    const ir::Graph* function = find_function(module_, call.function.name);
    if (function == nullptr) return;
    const ir::Graph* body = node.is("while") ? loop_body(node) : nullptr;
    for (std::size_t i = 0; i < function->parameters.size(); ++i) {
      const ir::Node* parameter = function->parameters[i];
      if (unknown_.contains(parameter)) continue;
      const std::size_t operand = i + static_cast<std::size_t>(call.first_operand);
      const bool changes = node.is("while") && (body == nullptr || !is_invariant(*body, i));
      if (operand >= node.inputs.size() || changes || type_of(node.inputs[operand]).dtype == DataType::kVariant) {
        make_unknown(parameter);
        continue;
      }
      const ir::Node* source = behind_identities(node.inputs[operand]).node;
      if (source->is("read_variable") && !source->inputs.empty()) source = behind_identities(source->inputs[0]).node;
      if (source->is("parameter") && !known_.contains(source) && !unknown_.contains(source)) continue;  // still open
      const Known value = is_fed(node.inputs[operand]) ? Known{} : known_value(node.inputs[operand], frozen_, known_);
      const bool of_unknown = unknown_.contains(source) || !value;
      const auto [it, fresh] = of_unknown ? std::make_pair(known_.end(), false) : known_.try_emplace(parameter, value);
      changed_ |= fresh;
      if (of_unknown || !same(it->second, value)) make_unknown(parameter);
    }
  }

  const ir::Graph* loop_body(const ir::Node& loop) const {
    for (const Call& call : calls_of(loop)) {
      if (call.attribute == "body") return find_function(module_, call.function.name);
    }
    return nullptr;
  }

  // A signature may feed any tensor, a constant's among them.
  bool is_fed(ir::Value value) const {
    while (!fed_.contains(value.node)) {
      if (!value.node->is("identity") || value.index >= static_cast<int>(value.node->inputs.size())) return false;
      value = value.node->inputs[static_cast<std::size_t>(value.index)];
    }
    return true;
  }

  void make_unknown(const ir::Node* parameter) { changed_ |= unknown_.insert(parameter).second; }

  const ir::Module& module_;
  const std::unordered_set<const ir::Node*>& frozen_;
  KnownArguments known_;
  std::unordered_set<const ir::Node*> unknown_;
  std::unordered_set<const ir::Node*> fed_;
  bool changed_ = false;
};

}  // namespace

std::vector<Call> calls_of(const ir::Node& node) {
  std::vector<Call> calls;
  const auto add = [&](std::string_view attribute, int first_operand) {
    const ir::AttrValue* value = node.attrs.find(attribute);
    if (value == nullptr) return;
    if (const auto* one = std::get_if<ir::FunctionRef>(value)) calls.push_back({*one, attribute, first_operand});
    if (const auto* many = std::get_if<std::vector<ir::FunctionRef>>(value)) {
      for (const ir::FunctionRef& function : *many) calls.push_back({function, attribute, first_operand});
    }
  };
  if (node.is("while")) {
    add("body", 0);
    add("cond", 0);
  } else if (node.is("if")) {
    add("then_branch", 1);
    add("else_branch", 1);
  } else if (node.is("case")) {
    add("branches", 1);
  } else if (node.is("call")) {
    add("f", 0);
  }
  return calls;
}

ir::Graph* find_function(const ir::Module& module, const std::string& name) {
  const auto it = module.functions.find(name);
  return it == module.functions.end() ? nullptr : it->second.get();
}

ir::Value behind_identities(ir::Value value) {
  while (value.node->is("identity") && value.index < static_cast<int>(value.node->inputs.size())) {
    value = value.node->inputs[static_cast<std::size_t>(value.index)];
  }
  return value;
}

bool is_invariant(const ir::Graph& body, std::size_t index) {
  if (index >= body.outputs.size() || index >= body.parameters.size()) return false;
  return behind_identities(body.outputs[index]).node == body.parameters[index];
}

Known known_value(const ir::Value& value, const std::unordered_set<const ir::Node*>& frozen, const KnownArguments& arguments) {
  const ir::Value source = behind_identities(value);
  const ir::Node& node = *source.node;
  Known known;
  if (node.is("parameter")) {
    const auto it = arguments.find(&node);
    return it == arguments.end() ? known : it->second;
  }
  if (node.is("const")) {
    Tensor constant = node.attr_or<Tensor>("value", {});
    if (can_be_constant(constant)) known.constant = std::move(constant);
  } else if (node.is("read_variable") && !node.inputs.empty()) {
    known = known_value(node.inputs[0], frozen, arguments);
    known.constant = {};
  } else if (frozen.contains(&node)) {  // a handle, or a TF1 variable, which is read by an identity
    known.variable = variable_name(node);
  }
  return known;
}

KnownArguments known_arguments(const ir::Module& module, const std::unordered_set<const ir::Node*>& frozen) {
  return Arguments(module, frozen).find();
}

}  // namespace tenon::partition
