#include "passes/unroll_loops.h"

#include <map>
#include <optional>

#include "base/error.h"
#include "ops/inference.h"
#include "ops/registry.h"

namespace tenon::passes {
namespace {

constexpr int kMostIterations = 1024;
constexpr std::size_t kMostNodes = 40000;
constexpr int kMostNesting = 8;

// Why a loop stays a loop; caught by unroll_loops.
struct CannotUnroll {
  std::string reason;
};

// A tensor list whose length is known: its elements, where they were written.
using List = std::vector<ir::Value>;

// What a value of a function is in the unrolled graph.
struct State {
  ir::Value value;
  std::shared_ptr<const List> list;  // instead of a value, for tensor lists
};

class Unroller {
 public:
  Unroller(ir::Graph& graph, const ir::Module& module, SymbolSource& symbols)
      : graph_(graph), module_(module), facts_(symbols, options_) {}

  void run() {
    const std::vector<ir::Node*> order = graph_.topological_order();
    for (ir::Node* node : order) {
      if (!node->is("while") && !makes_tensor_list(*node) && !reads_list(*node)) {
        ops::infer_node(*node, facts_, options_);
        continue;
      }
      std::vector<State> operands;
      for (const ir::Value& input : node->inputs) operands.push_back(state_of(input));
      deliver(*node, node->is("while") ? unroll(*node, operands, 0) : run_list_op(*node, node->name, operands));
      gone_.push_back(node);
    }
    graph_.erase_unless([&](const ir::Node& node) { return std::find(gone_.begin(), gone_.end(), &node) == gone_.end(); });
    graph_.remove_dead_nodes();
  }

 private:
  static bool reads_list(const ir::Node& node) { return reads_tensor_list(node); }

  State state_of(const ir::Value& value) const {
    const auto it = lists_.find(value);
    return it == lists_.end() ? State{value, nullptr} : State{{}, it->second};
  }

  // Makes the results of a node of the graph known under their old values.
  void deliver(ir::Node& node, const std::vector<State>& results) {
    for (std::size_t i = 0; i < results.size() && i < node.outputs.size(); ++i) {
      const ir::Value old{&node, static_cast<int>(i)};
      if (results[i].list) {
        lists_[old] = results[i].list;
      } else {
        graph_.replace_uses(old, results[i].value);
      }
    }
  }

  const ir::Graph& function(const ir::Node& loop, std::string_view attribute) const {
    const auto name = loop.attr<ir::FunctionRef>(attribute).name;
    const auto it = module_.functions.find(name);
    if (it == module_.functions.end()) throw CannotUnroll{"function \"" + name + "\" does not exist"};
    return *it->second;
  }

  std::vector<State> unroll(const ir::Node& loop, std::vector<State> states, int depth) {
    if (depth > kMostNesting) throw CannotUnroll{"loops are nested too deeply"};
    const ir::Graph& cond = function(loop, "cond");
    const ir::Graph& body = function(loop, "body");
    for (int i = 0; i < kMostIterations; ++i) {
      const std::vector<State> goes_on = inline_function(cond, loop.name, states, depth);
      if (goes_on.size() != 1 || goes_on[0].list) throw CannotUnroll{"its condition is not one value"};
      const Tensor* value = facts_.constant(goes_on[0].value);
      if (value == nullptr || value->dtype() != DataType::kBool || value->num_elements() != 1) {
        throw CannotUnroll{"how often it runs depends on data"};
      }
      if (!value->flat<bool>()[0]) return states;
      states = inline_function(body, loop.name, states, depth);
    }
    throw CannotUnroll{"it runs too often to be unrolled"};
  }

  std::vector<State> inline_function(const ir::Graph& function, const std::string& prefix, const std::vector<State>& arguments, int depth) {
    if (function.parameters.size() != arguments.size()) throw CannotUnroll{"a function has another number of arguments"};
    std::unordered_map<ir::Value, State, ir::ValueHash> states;
    for (std::size_t i = 0; i < arguments.size(); ++i) states[{function.parameters[i], 0}] = arguments[i];
    for (ir::Node* node : function.topological_order()) {
      if (node->is("parameter") || node->is("no_op")) continue;
      std::vector<State> operands;
      for (const ir::Value& input : node->inputs) operands.push_back(states.at(input));
      const std::vector<State> results = run_node(*node, prefix + "/" + node->name, operands, depth);
      for (std::size_t i = 0; i < results.size(); ++i) states[{node, static_cast<int>(i)}] = results[i];
    }
    std::vector<State> results;
    for (const ir::Value& output : function.outputs) results.push_back(states.at(output));
    return results;
  }

  std::vector<State> run_node(const ir::Node& node, const std::string& name, const std::vector<State>& operands, int depth) {
    if (node.is("identity")) return operands;
    if (node.is("while")) return unroll(node, operands, depth + 1);
    if (makes_tensor_list(node) || reads_list(node) || node.is("tensor_list_set_item") || node.is("tensor_list_push_back")) {
      return run_list_op(node, name, operands);
    }
    if (node.is("const")) return {{constant(node, name), nullptr}};
    const bool reads_variable = node.is("read_variable") || node.is("resource_gather");
    if (node.op->traits != ir::kPure && !reads_variable) throw CannotUnroll{node.describe() + " has state"};
    std::vector<ir::Value> inputs;
    for (const State& operand : operands) {
      if (operand.list) throw CannotUnroll{node.describe() + " uses a tensor list"};
      inputs.push_back(operand.value);
    }
    return made(add(*node.op, name, std::move(inputs), node));
  }

  static std::vector<State> made(ir::Node* node) {
    std::vector<State> results;
    for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) results.push_back({node->output(i), nullptr});
    return results;
  }

  ir::Node* add(const ir::OpDef& op, const std::string& name, std::vector<ir::Value> inputs, const ir::Node& source) {
    ir::Node* node = graph_.add(op, name, std::move(inputs), source.attrs, static_cast<int>(source.outputs.size()));
    node->origin = source.origin;
    return finish(node);
  }

  ir::Node* finish(ir::Node* node) {
    if (graph_.size() > kMostNodes) throw CannotUnroll{"unrolling it would make too many nodes"};
    ops::infer_node(*node, facts_, options_);
    return node;
  }

  ir::Node* add(std::string_view op, const std::string& name, std::vector<ir::Value> inputs, ir::Attrs attrs, int outputs) {
    return finish(graph_.add(ops::op(op), name, std::move(inputs), std::move(attrs), outputs));
  }

  // One node for all copies of a constant.
  ir::Value constant(const ir::Node& node, const std::string& name) {
    ir::Node*& copy = constants_[&node];
    if (copy == nullptr) copy = add(*node.op, name, {}, node);
    return copy->output();
  }

  std::int64_t known_integer(const State& state) {
    const Tensor* value = state.list ? nullptr : facts_.constant(state.value);
    if (value != nullptr && value->num_elements() == 1) {
      if (value->dtype() == DataType::kInt32) return value->flat<std::int32_t>()[0];
      if (value->dtype() == DataType::kInt64) return value->flat<std::int64_t>()[0];
    }
    throw CannotUnroll{"an index into a tensor list depends on data"};
  }

  static const List& list_of(const std::vector<State>& operands) {
    if (operands.empty() || !operands[0].list) throw CannotUnroll{"a tensor list comes from outside"};
    return *operands[0].list;
  }

  std::size_t position(const State& index, const List& list) {
    const std::int64_t at = known_integer(index);
    if (at < 0 || at >= static_cast<std::int64_t>(list.size())) throw CannotUnroll{"an index lies outside its tensor list"};
    return static_cast<std::size_t>(at);
  }

  std::vector<State> run_list_op(const ir::Node& node, const std::string& name, const std::vector<State>& operands) {
    if (node.is("tensor_list_from_tensor")) return {{{}, unstacked(name, operands.at(0))}};
    if (node.is("tensor_list_reserve")) {
      const std::int64_t count = known_integer(operands.at(1));
      if (count < 0 || count > kMostIterations) throw CannotUnroll{"a tensor list is too long"};
      return {{{}, std::make_shared<const List>(static_cast<std::size_t>(count))}};
    }
    const List& list = list_of(operands);
    if (node.is("tensor_list_stack")) return {{stacked(node, name, list), nullptr}};
    if (node.is("tensor_list_get_item")) {
      const ir::Value item = list[position(operands.at(1), list)];
      if (!item) throw CannotUnroll{"an element of a tensor list is read before it is written"};
      return {{item, nullptr}};
    }
    if (node.is("tensor_list_set_item")) {
      auto changed = std::make_shared<List>(list);
      (*changed)[position(operands.at(1), list)] = operands.at(2).value;
      return {{{}, std::move(changed)}};
    }
    if (node.is("tensor_list_push_back")) {
      auto changed = std::make_shared<List>(list);
      changed->push_back(operands.at(1).value);
      return {{{}, std::move(changed)}};
    }
    throw CannotUnroll{node.describe() + " is not unrolled"};
  }

  std::shared_ptr<const List> unstacked(const std::string& name, const State& tensor) {
    if (tensor.list) throw CannotUnroll{"a tensor list holds tensor lists"};
    const ir::ValueType& type = tensor.value.node->outputs[static_cast<std::size_t>(tensor.value.index)];
    if (!type.shape.known_rank() || type.shape.rank() == 0 || !type.shape[0].known()) throw CannotUnroll{"the length of a tensor list is not known"};
    const std::int64_t count = type.shape[0].size();
    if (count > kMostIterations) throw CannotUnroll{"a tensor list is too long"};
    ir::Attrs attrs;
    attrs.set("num", count);
    attrs.set("axis", std::int64_t{0});
    ir::Node* unpack = add("unpack", name, {tensor.value}, std::move(attrs), static_cast<int>(count));
    auto list = std::make_shared<List>();
    for (int i = 0; i < static_cast<int>(count); ++i) list->push_back(unpack->output(i));
    return list;
  }

  // Elements that were never written are zero, as large as those that were.
  ir::Value stacked(const ir::Node& node, const std::string& name, const List& list) {
    const auto written = std::find_if(list.begin(), list.end(), [](const ir::Value& item) { return static_cast<bool>(item); });
    if (written == list.end()) throw CannotUnroll{"a tensor list is stacked that was never written"};
    std::vector<ir::Value> items;
    for (const ir::Value& item : list) items.push_back(item ? item : add("zeros_like", name, {*written}, {}, 1)->output());
    ir::Attrs attrs;
    attrs.set("axis", std::int64_t{0});
    ir::Node* pack = add("pack", name, std::move(items), std::move(attrs), 1);
    pack->origin = node.origin;
    return pack->output();
  }

  ir::Graph& graph_;
  const ir::Module& module_;
  ops::InferenceOptions options_;
  ops::Facts facts_;
  std::unordered_map<ir::Value, std::shared_ptr<const List>, ir::ValueHash> lists_;
  std::map<const ir::Node*, ir::Node*> constants_;
  std::vector<const ir::Node*> gone_;
};

}  // namespace

bool makes_tensor_list(const ir::Node& node) { return node.is("tensor_list_from_tensor") || node.is("tensor_list_reserve"); }

bool reads_tensor_list(const ir::Node& node) { return node.is("tensor_list_stack") || node.is("tensor_list_get_item"); }

Verdict unroll_loops(ir::Graph& graph, const ir::Module& module, SymbolSource& symbols) {
  try {
    Unroller(graph, module, symbols).run();
    return Verdict::yes();
  } catch (const CannotUnroll& problem) {
    return Verdict::no(problem.reason);
  } catch (const std::out_of_range&) {
    return Verdict::no("a function is malformed");
  } catch (const Error& error) {
    return Verdict::no(error.what());
  }
}

}  // namespace tenon::passes
