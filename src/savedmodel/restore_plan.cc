#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <iterator>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "savedmodel/variables.h"

namespace tenon::saved {
namespace {

constexpr std::array<std::string_view, 3> kVariableOps = {"VarHandleOp", "VariableV2", "Variable"};
constexpr std::array<std::string_view, 2> kCallOps = {"StatefulPartitionedCall", "PartitionedCall"};
constexpr int kMaxCallDepth = 64;
// Identities and calls that one value may pass through.
constexpr int kMaxHops = 100;

template <std::size_t N>
bool is_one_of(std::string_view op, const std::array<std::string_view, N>& ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

// The graph, or one call of a function.
struct Scope {
  std::unordered_map<std::string_view, const NodeDef*> nodes;
  const Scope* caller = nullptr;
  std::unordered_map<std::string_view, std::string_view> arguments;  // name -> the caller's tensor
};

struct Value {
  const Scope* scope = nullptr;
  const NodeDef* node = nullptr;
  int output = 0;
};

struct TensorName {
  std::string_view node;
  int output = 0;
};

// "node", "node:1", in functions "node:output_arg:0".
TensorName split_tensor(std::string_view tensor) {
  TensorName name{tensor.substr(0, tensor.find(':')), 0};
  if (name.node.size() == tensor.size()) return name;
  const std::string_view digits = tensor.substr(tensor.rfind(':') + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), name.output);
  return name;
}

bool is_control(std::string_view input) { return input.starts_with('^'); }

class RestoreWalker {
 public:
  explicit RestoreWalker(const MetaGraph& meta_graph) : meta_graph_(meta_graph) {
    budget_ = 1000;
    for (const FunctionDef& function : meta_graph.graph.functions) {
      functions_.emplace(function.name, &function);
      budget_ += 4 * function.nodes.size();
    }
    budget_ += 4 * meta_graph.graph.nodes.size();
    scopes_.push_back(make_scope(meta_graph.graph.nodes));
  }

  RestorePlan run() {
    if (meta_graph_.saver && !meta_graph_.saver->restore_op.empty()) {
      visit_ancestors(split_tensor(meta_graph_.saver->restore_op).node);
    }
    return std::move(plan_);
  }

 private:
  const Scope& graph() const { return scopes_.front(); }

  static Scope make_scope(const std::vector<NodeDef>& nodes) {
    Scope scope;
    for (const NodeDef& node : nodes) scope.nodes.emplace(node.name, &node);
    return scope;
  }

  // Everything that running a node of the graph runs.
  void visit_ancestors(std::string_view root) {
    std::vector<std::string_view> open{root};
    std::unordered_set<std::string_view> seen{root};
    while (!open.empty()) {
      const auto found = graph().nodes.find(open.back());
      open.pop_back();
      if (found == graph().nodes.end()) continue;
      for (const std::string& input : found->second->inputs) {
        const std::string_view producer = split_tensor(is_control(input) ? std::string_view(input).substr(1) : input).node;
        if (seen.insert(producer).second) open.push_back(producer);
      }
      visit(graph(), *found->second, 0);
    }
  }

  void visit(const Scope& scope, const NodeDef& node, int depth) {
    if (budget_ == 0) return give_up(node);
    --budget_;
    if (is_one_of(node.op, kCallOps)) {
      visit_call(scope, node, depth);
    } else if (node.op == "AssignVariableOp" || node.op == "Assign") {
      visit_assign(scope, node);
    } else if (node.op == "LookupTableImportV2" || node.op == "LookupTableImport") {
      visit_table_import(scope, node);
    } else if (node.op != "Identity") {
      refuse_restored_inputs(scope, node);
    }
  }

  void visit_call(const Scope& scope, const NodeDef& node, int depth) {
    const AttrValue* attr = find_attr(node.attrs, "f");
    const auto* reference = attr == nullptr ? nullptr : attr->get_if<std::shared_ptr<const FunctionRef>>();
    const auto found = reference == nullptr ? functions_.end() : functions_.find((*reference)->name);
    if (found == functions_.end() || depth >= kMaxCallDepth) return give_up(node);
    const FunctionDef& function = *found->second;
    Scope& inner = scopes_.emplace_back(make_scope(function.nodes));
    inner.caller = &scope;
    for (std::size_t i = 0; i < std::min(function.input_args.size(), node.inputs.size()); ++i) {
      if (!is_control(node.inputs[i])) inner.arguments.emplace(function.input_args[i].name, node.inputs[i]);
    }
    for (const NodeDef& body_node : function.nodes) visit(inner, body_node, depth + 1);
  }

  // Follows a tensor through identities and out of function bodies; no node when it ends nowhere.
  Value resolve(const Scope& start, std::string_view tensor) const {
    const Scope* scope = &start;
    for (int hop = 0; hop < kMaxHops; ++hop) {
      const TensorName name = split_tensor(tensor);
      if (const auto found = scope->nodes.find(name.node); found != scope->nodes.end()) {
        const NodeDef& node = *found->second;
        if (node.op != "Identity" || node.inputs.empty()) return {scope, &node, name.output};
        tensor = node.inputs.front();
      } else if (const auto argument = scope->arguments.find(name.node); argument != scope->arguments.end()) {
        tensor = argument->second;
        scope = scope->caller;
      } else {
        break;
      }
    }
    return {};
  }

  Value input(const Scope& scope, const NodeDef& node, std::size_t index) const {
    if (index >= node.inputs.size() || is_control(node.inputs[index])) return {};
    return resolve(scope, node.inputs[index]);
  }

  struct Restored {
    std::string key;
    std::string spec;
  };

  const std::vector<std::string>& constant_strings(const Scope& scope, const NodeDef& node, std::size_t index) {
    static const std::vector<std::string> kNone;
    const Value value = input(scope, node, index);
    if (value.node == nullptr || value.node->op != "Const") return kNone;
    const auto [cached, is_new] = strings_.try_emplace(value.node);
    if (is_new) {
      const Tensor tensor = value.node->tensor_attr("value").decode();
      if (tensor.dtype() == DataType::kString) {
        cached->second.assign(tensor.flat<std::string>().begin(), tensor.flat<std::string>().end());
      }
    }
    return cached->second;
  }

  // What RestoreV2 puts out, when the value is its output.
  std::optional<Restored> restored(const Value& value) {
    if (value.node == nullptr || value.node->op != "RestoreV2" || value.output < 0) return std::nullopt;
    const std::vector<std::string>& keys = constant_strings(*value.scope, *value.node, 1);
    const std::vector<std::string>& specs = constant_strings(*value.scope, *value.node, 2);
    const auto index = static_cast<std::size_t>(value.output);
    if (index >= keys.size() || index >= specs.size()) return std::nullopt;
    return Restored{keys[index], specs[index]};
  }

  void visit_assign(const Scope& scope, const NodeDef& node) {
    const Value target = input(scope, node, 0);
    const std::optional<Restored> source = restored(input(scope, node, 1));
    if (target.scope != &graph() || !is_one_of(target.node->op, kVariableOps) || !source) return give_up(node);
    plan_.targets.push_back({RestoreTarget::Kind::kVariable, target.node->name, source->key, source->spec, {}});
  }

  void visit_table_import(const Scope& scope, const NodeDef& node) {
    const Value table = input(scope, node, 0);
    const std::optional<Restored> keys = restored(input(scope, node, 1));
    const std::optional<Restored> values = restored(input(scope, node, 2));
    if (table.scope != &graph() || !keys || !values) return give_up(node);
    plan_.targets.push_back({RestoreTarget::Kind::kTable, table.node->name, keys->key, {}, values->key});
  }

  void refuse_restored_inputs(const Scope& scope, const NodeDef& node) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Value value = input(scope, node, i);
      if (value.node != nullptr && value.node->op == "RestoreV2") return give_up(node);
    }
  }

  void give_up(const NodeDef& node) { plan_.unresolved.push_back(node.name); }

  const MetaGraph& meta_graph_;
  std::unordered_map<std::string_view, const FunctionDef*> functions_;
  std::deque<Scope> scopes_;
  std::unordered_map<const NodeDef*, std::vector<std::string>> strings_;
  std::size_t budget_ = 0;  // nodes that may still be looked at: calls may nest into a number without end
  RestorePlan plan_;
};

void add_by_name(const MetaGraph& meta_graph, const Bundle& bundle, RestorePlan& plan) {
  std::unordered_set<std::string_view> reached;
  for (const RestoreTarget& target : plan.targets) reached.insert(target.node);
  std::vector<RestoreTarget> added;
  for (const NodeDef& node : meta_graph.graph.nodes) {
    if (!is_one_of(node.op, kVariableOps) || reached.contains(node.name)) continue;
    const AttrValue* attr = find_attr(node.attrs, "shared_name");
    const std::string* shared_name = attr == nullptr ? nullptr : attr->get_if<std::string>();
    for (const std::string* key : {shared_name, &node.name}) {
      if (key == nullptr || bundle.find(*key) == nullptr) continue;
      added.push_back({RestoreTarget::Kind::kVariable, node.name, *key, {}, {}});
      break;
    }
  }
  std::move(added.begin(), added.end(), std::back_inserter(plan.targets));
}

}  // namespace

RestorePlan plan_restore(const MetaGraph& meta_graph, const Bundle* bundle) {
  RestorePlan plan = RestoreWalker(meta_graph).run();
  if (bundle != nullptr) add_by_name(meta_graph, *bundle, plan);
  return plan;
}

}  // namespace tenon::saved
