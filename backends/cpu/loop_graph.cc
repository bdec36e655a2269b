#include "backends/cpu/loop_graph.h"

#include <algorithm>
#include <unordered_set>

#include "backends/cpu/freeze.h"
#include "backends/cpu/lowering/lowering.h"
#include "backends/cpu/lowering/loop.h"
#include "base/error.h"
#include "ir/print.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "passes/pipeline.h"

namespace tenon::cpu {
namespace {

// Constants of a body with more elements stay outside, where they are packed or mapped.
constexpr std::int64_t kMostInside = 16;

// Why a loop stays as it is; caught by lower_loops.
struct CannotLower {
  std::string reason;
};

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs.at(static_cast<std::size_t>(value.index)); }

ir::Value through_identities(ir::Value value) {
  while (value.node->is("identity") && static_cast<std::size_t>(value.index) < value.node->inputs.size()) {
    value = value.node->inputs[static_cast<std::size_t>(value.index)];
  }
  return value;
}

bool is_plain(DataType dtype) {
  return dtype != DataType::kInvalid && dtype != DataType::kString && dtype != DataType::kResource && dtype != DataType::kVariant;
}

ir::Node* add_constant(ir::Graph& graph, const std::string& name, Tensor value) {
  ir::Attrs attrs;
  const ir::ValueType type{value.dtype(), value.shape()};
  attrs.set("value", std::move(value));
  ir::Node* node = graph.add(ops::op("const"), name, {}, std::move(attrs));
  node->outputs[0] = type;
  return node;
}

void set_type(ir::Node& parameter, const ir::ValueType& type) {
  parameter.attrs.set("dtype", type.dtype);
  parameter.attrs.set("shape", type.shape);
  parameter.outputs[0] = type;
}

// What a tensor list of the outer graph stands for.
struct List {
  ir::Value rows;    // the tensor whose rows are its elements, or
  ir::Value length;  // how many elements it will have
};

enum class Role { kState, kInvariant, kVariable, kRead, kWritten };

// A list that the body fills: the operand's number, and the body's values that say which row becomes what.
struct Written {
  std::size_t operand;
  ir::Value index, value;
};

class LoopLowering {
 public:
  LoopLowering(ir::Graph& graph, const ir::Module& module, WeightsProvider& weights, SymbolSource& symbols)
      : graph_(graph), module_(module), weights_(weights), symbols_(symbols), facts_(symbols, options_) {}

  void run() {
    for (ir::Node* node : graph_.topological_order()) {
      if (node->is("while")) {
        lower(*node);
      } else if (!follow_list(*node)) {
        ops::infer_node(*node, facts_, options_);
        continue;
      }
      gone_.insert(node);
    }
    for (const auto& node : graph_.nodes()) std::erase_if(node->control_inputs, [&](const ir::Node* n) { return gone_.contains(n); });
    graph_.erase_unless([&](const ir::Node& node) { return !gone_.contains(&node); });
    graph_.remove_dead_nodes();
    for (const auto& [made, name] : names_) made->name = name;
  }

 private:
  // True for a node that only handles lists.
  bool follow_list(ir::Node& node) {
    if (node.is("tensor_list_from_tensor")) {
      lists_[node.output()] = {node.inputs.at(0), {}};
      return true;
    }
    if (node.is("tensor_list_reserve")) {
      lists_[node.output()] = {{}, node.inputs.at(1)};
      return true;
    }
    const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](const ir::Value& v) { return lists_.contains(v); });
    if (!reads) return false;
    const List list = lists_.at(node.inputs.at(0));
    if (node.is("identity") && node.inputs.size() == 1) {
      lists_[node.output()] = list;
    } else if (node.is("tensor_list_stack") && list.rows) {
      graph_.replace_uses(node.output(), list.rows);
    } else {
      throw CannotLower{node.describe() + " uses a tensor list outside the loop"};
    }
    return true;
  }

  const ir::Graph& function(const ir::Node& loop, std::string_view attribute) const {
    const auto it = module_.functions.find(loop.attr<ir::FunctionRef>(attribute).name);
    if (it == module_.functions.end()) throw CannotLower{"a function of the loop does not exist"};
    if (it->second->parameters.size() != loop.inputs.size()) throw CannotLower{"a function has another number of arguments"};
    return *it->second;
  }

  void check_pure(const ir::Graph& body) const {
    for (const auto& node : body.nodes()) {
      const bool harmless = node->op->traits == ir::kPure || node->op->is(ir::kSource) || node->is("no_op") || node->is("read_variable") ||
                            node->is("resource_gather") || node->is("resource_gather_nd") || node->is("tensor_list_get_item") ||
                            node->is("tensor_list_set_item");
      if (!harmless) throw CannotLower{node->describe() + " has state"};
    }
  }

  std::vector<Role> roles(const ir::Node& loop, const ir::Graph& body) const {
    std::vector<Role> result;
    for (std::size_t i = 0; i < loop.inputs.size(); ++i) {
      const bool invariant = through_identities(body.outputs.at(i)) == ir::Value{body.parameters[i], 0};
      const DataType dtype = type_of(loop.inputs[i]).dtype;
      const auto list = lists_.find(loop.inputs[i]);
      if (dtype == DataType::kResource && invariant) {
        result.push_back(Role::kVariable);
      } else if (list != lists_.end() && invariant && list->second.rows) {
        result.push_back(Role::kRead);
      } else if (list != lists_.end() && !invariant && list->second.length) {
        result.push_back(Role::kWritten);
      } else if (is_plain(dtype)) {
        result.push_back(invariant ? Role::kInvariant : Role::kState);
      } else {
        throw CannotLower{fmt::format("operand {} of the loop is {}", i, dtype_name(dtype))};
      }
    }
    return result;
  }

  // Every use of a list in the body is the one that its role permits.
  static void check_list(const ir::Graph& body, const ir::Uses& uses, std::size_t operand, const ir::Node* writer) {
    std::vector<ir::Value> work = {{body.parameters[operand], 0}};
    while (!work.empty()) {
      const ir::Value value = work.back();
      work.pop_back();
      for (const ir::Uses::Use& use : uses.of(value)) {
        if (use.consumer == nullptr ? writer == nullptr && static_cast<std::size_t>(use.index) == operand : use.consumer == writer) continue;
        if (use.consumer != nullptr && use.consumer->is("identity")) {
          work.push_back(use.consumer->output(use.index));
        } else if (writer != nullptr || use.consumer == nullptr || !use.consumer->is("tensor_list_get_item") || use.index != 0) {
          throw CannotLower{"a tensor list is used in a way that no loop of an engine has"};
        }
      }
    }
  }

  static Written written(const ir::Graph& body, const ir::Uses& uses, std::size_t operand) {
    const ir::Node* set = through_identities(body.outputs[operand]).node;
    const bool simple = set->is("tensor_list_set_item") && set->inputs.size() == 3 &&
                        through_identities(set->inputs[0]) == ir::Value{body.parameters[operand], 0} &&
                        !set->attr_or<bool>("resize_if_index_out_of_bounds", false);
    if (!simple) throw CannotLower{"a tensor list is not written one element a round"};
    check_list(body, uses, operand, set);
    for (const ir::Uses::Use& use : uses.of({const_cast<ir::Node*>(set), 0})) {
      if (use.consumer != nullptr && !use.consumer->is("identity")) throw CannotLower{"a tensor list is read while it is written"};
    }
    return {operand, set->inputs[1], set->inputs[2]};
  }

  // The value of an outer tensor that is the same in every run; invalid for others.
  Tensor constant_of(const ir::Value& outer) {
    const ir::Value value = through_identities(outer);
    if (value.node->is("const")) return value.node->attr<Tensor>("value");
    if (value.node->is("parameter") && type_of(value).dtype != DataType::kResource) {  // see Segment
      if (value.node->attrs.has("variable")) return weights_.variable(value.node->attr<std::string>("variable"));
      return value.node->attr_or<Tensor>("constant", {});
    }
    const ir::Node* handle = value.node->is("read_variable") ? through_identities(value.node->inputs.at(0)).node : nullptr;
    const bool frozen = handle != nullptr && handle->is("parameter") && handle->attrs.has("variable");
    return frozen ? weights_.variable(handle->attr<std::string>("variable")) : Tensor();
  }

  // A function as a graph of tensors: `kept` operands are its parameters, others are gone.
  std::unique_ptr<ir::Graph> tensors_only(const ir::Node& loop, const ir::Graph& function, const std::vector<Role>& roles,
                                          const std::vector<std::size_t>& kept, const std::vector<ir::Value>& outputs) {
    std::unordered_map<const ir::Node*, ir::Node*> copies;
    auto graph = ir::clone(function, &copies);
    graph->control_outputs.clear();
    for (const auto& node : graph->nodes()) node->control_inputs.clear();
    graph->outputs.clear();
    for (const ir::Value& output : outputs) graph->outputs.push_back({copies.at(output.node), output.index});
    for (std::size_t i = 0; i < roles.size(); ++i) adapt_parameter(*graph, *graph->parameters[i], loop.inputs[i], roles[i]);
    read_rows(*graph);
    erase_unneeded(*graph);
    freeze_variables(*graph, weights_);
    std::vector<ir::Node*> parameters;
    for (const std::size_t i : kept) {
      ir::Node* parameter = copies.at(function.parameters[i]);
      if (roles[i] == Role::kState) parameter->attrs.set(kLoopState, true);
      parameter->attrs.set("index", static_cast<std::int64_t>(parameters.size()));
      parameters.push_back(parameter);
    }
    graph->parameters = std::move(parameters);
    erase_unneeded(*graph);
    optimize(*graph);
    return graph;
  }

  void adapt_parameter(ir::Graph& graph, ir::Node& parameter, const ir::Value& outer, Role role) {
    if (role == Role::kWritten) return;
    if (role == Role::kVariable) {
      const ir::Node* handle = through_identities(outer).node;
      if (!handle->attrs.has("variable")) throw CannotLower{"a variable of the loop may change"};
      parameter.attrs.set("variable", handle->attr<std::string>("variable"));
      set_type(parameter, {DataType::kResource, PartialShape(Shape{})});
      return;
    }
    set_type(parameter, type_of(role == Role::kRead ? lists_.at(outer).rows : outer));
    if (role != Role::kInvariant) return;
    if (Tensor value = constant_of(outer); value.valid()) {
      graph.replace_uses(parameter.output(), add_constant(graph, parameter.name + "/value", std::move(value))->output());
    }
  }

  // tensor_list_get_item(list, i) -> gather(rows, i)
  static void read_rows(ir::Graph& graph) {
    std::vector<ir::Node*> readers;
    for (const auto& node : graph.nodes()) {
      if (node->is("tensor_list_get_item")) readers.push_back(node.get());
    }
    if (readers.empty()) return;
    ir::Node* axis = add_constant(graph, "row_axis", Tensor::scalar<std::int32_t>(0));
    for (ir::Node* reader : readers) {
      ir::Attrs attrs;
      attrs.set("batch_dims", std::int64_t{0});
      std::vector<ir::Value> inputs = {through_identities(reader->inputs.at(0)), reader->inputs.at(1), axis->output()};
      ir::Node* gather = graph.add(ops::op("gather"), reader->name + "/row", std::move(inputs), std::move(attrs));
      gather->origin = reader->origin;
      graph.replace_uses(reader->output(), gather->output());
    }
  }

  static void erase_unneeded(ir::Graph& graph) {
    std::unordered_set<const ir::Node*> needed(graph.parameters.begin(), graph.parameters.end());
    std::vector<const ir::Node*> work;
    for (const ir::Value& output : graph.outputs) work.push_back(output.node);
    while (!work.empty()) {
      const ir::Node* node = work.back();
      work.pop_back();
      needed.insert(node);
      for (const ir::Value& input : node->inputs) {
        if (!needed.contains(input.node)) work.push_back(input.node);
      }
    }
    graph.erase_unless([&](const ir::Node& node) { return needed.contains(&node); });
  }

  void optimize(ir::Graph& graph) {
    ops::InferenceOptions options;
    options.keep_known = false;
    ops::Facts facts(symbols_, options);
    ops::infer(graph, facts, options);
    passes::optimize(graph, passes::PipelineOptions{}, symbols_);
    for (ir::Node* parameter : graph.parameters) parameter->attrs.set("shape", parameter->outputs[0].shape);
    for (const auto& node : graph.nodes()) {
      if (node->is("const") || node->op->is(ir::kSource) || follows_from_shapes(*node)) continue;
      const Lowering* lowering = find_lowering(node->op->name);
      if (lowering == nullptr || lowering->lower == nullptr) {
        throw CannotLower{fmt::format("the CPU backend has no kernel for {} in the loop", node->op->name)};
      }
      if (auto verdict = lowering->supports(*node); !verdict) throw CannotLower{node->describe() + " in the loop: " + verdict.reason()};
    }
  }

  // Large constants of the body become operands of the loop.
  std::vector<ir::Value> take_out_constants(ir::Graph& body, const std::string& loop) {
    std::vector<ir::Value> outside;
    std::vector<ir::Node*> constants;
    for (const auto& node : body.nodes()) {
      if (node->is("const") && node->attr<Tensor>("value").num_elements() > kMostInside) constants.push_back(node.get());
    }
    for (ir::Node* constant : constants) {
      outside.push_back(add_constant(graph_, loop + "/" + constant->name, constant->attr<Tensor>("value"))->output());
      ir::Node* parameter = body.add(ops::op("parameter"), constant->name + "/outside");
      set_type(*parameter, constant->outputs[0]);
      parameter->attrs.set("index", static_cast<std::int64_t>(body.parameters.size()));
      body.parameters.push_back(parameter);
      body.replace_uses(constant->output(), parameter->output());
    }
    erase_unneeded(body);
    return outside;
  }

  // Names are unique in an engine: they are keys of packed weights.
  static std::string text_of(ir::Graph& graph, const std::string& prefix) {
    for (const auto& node : graph.nodes()) {
      node->name.insert(0, prefix);
      node->origin.node_def = {};
    }
    ir::PrintOptions exact;
    exact.max_inline = std::numeric_limits<std::int64_t>::max();
    return ir::print(graph, exact);
  }

  void lower(ir::Node& loop) {
    const ir::Graph& body_function = function(loop, "body");
    const ir::Graph& cond_function = function(loop, "cond");
    if (body_function.outputs.size() != loop.inputs.size() || cond_function.outputs.size() != 1) {
      throw CannotLower{"a function of the loop has another number of results"};
    }
    check_pure(body_function);
    check_pure(cond_function);
    const std::vector<Role> parts = roles(loop, body_function);
    const ir::Uses body_uses(body_function), cond_uses(cond_function);
    std::vector<std::size_t> kept, states, invariants;
    std::vector<Written> lists;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const bool is_list = parts[i] == Role::kWritten || parts[i] == Role::kRead;
      if (is_list && cond_uses.count({cond_function.parameters[i], 0}) != 0) throw CannotLower{"its condition reads a tensor list"};
      if (parts[i] == Role::kState) states.push_back(i);
      if (parts[i] == Role::kInvariant || parts[i] == Role::kRead) invariants.push_back(i);
      if (parts[i] == Role::kRead) check_list(body_function, body_uses, i, nullptr);
      if (parts[i] == Role::kWritten) lists.push_back(written(body_function, body_uses, i));
    }
    kept = states;
    kept.insert(kept.end(), invariants.begin(), invariants.end());
    std::vector<ir::Value> results;
    for (const std::size_t i : states) results.push_back(body_function.outputs[i]);
    for (const Written& list : lists) results.insert(results.end(), {list.index, list.value});
    const auto body = tensors_only(loop, body_function, parts, kept, results);
    const auto cond = tensors_only(loop, cond_function, parts, kept, cond_function.outputs);

    std::vector<ir::Value> operands;
    for (const std::size_t i : states) operands.push_back(loop.inputs[i]);
    for (const Written& list : lists) operands.push_back(lists_.at(loop.inputs[list.operand]).length);
    for (const std::size_t i : invariants) operands.push_back(parts[i] == Role::kRead ? lists_.at(loop.inputs[i]).rows : loop.inputs[i]);
    for (const ir::Value& constant : take_out_constants(*body, loop.name)) operands.push_back(constant);
    ir::Attrs attrs;
    attrs.set("states", static_cast<std::int64_t>(states.size()));
    attrs.set("lists", static_cast<std::int64_t>(lists.size()));
    attrs.set("body", text_of(*body, loop.name + "/body/"));
    attrs.set("cond", text_of(*cond, loop.name + "/cond/"));
    ir::Node* made = graph_.add(loop_op(), loop.name + "/loop", std::move(operands), std::move(attrs),
                                static_cast<int>(states.size() + lists.size()));
    made->origin = loop.origin;
    names_.emplace_back(made, loop.name);
    ops::infer_node(*made, facts_, options_);
    for (std::size_t s = 0; s < states.size(); ++s) replace(loop, states[s], made->output(static_cast<int>(s)));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] == Role::kInvariant || parts[i] == Role::kVariable) replace(loop, i, loop.inputs[i]);
    }
    for (std::size_t l = 0; l < lists.size(); ++l) {
      lists_[loop.output(static_cast<int>(lists[l].operand))] = {made->output(static_cast<int>(states.size() + l)), {}};
    }
    for (const std::size_t i : invariants) {
      if (parts[i] == Role::kRead) lists_[loop.output(static_cast<int>(i))] = lists_.at(loop.inputs[i]);
    }
  }

  void replace(ir::Node& loop, std::size_t result, const ir::Value& by) { graph_.replace_uses(loop.output(static_cast<int>(result)), by); }

  ir::Graph& graph_;
  const ir::Module& module_;
  WeightsProvider& weights_;
  SymbolSource& symbols_;
  ops::InferenceOptions options_;
  ops::Facts facts_;
  std::unordered_map<ir::Value, List, ir::ValueHash> lists_;
  std::unordered_set<const ir::Node*> gone_;
  std::vector<std::pair<ir::Node*, std::string>> names_;  // that the loops' nodes get when the old ones are gone
};

}  // namespace

Verdict lower_loops(std::unique_ptr<ir::Graph>& graph, const ir::Module& module, WeightsProvider& weights, SymbolSource& symbols) {
  try {
    LoopLowering(*graph, module, weights, symbols).run();
    graph = ir::clone(*graph);  // whose nodes are found under the names that they have now
    return Verdict::yes();
  } catch (const CannotLower& problem) {
    return Verdict::no(problem.reason);
  } catch (const std::out_of_range&) {
    return Verdict::no("a function is malformed");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory) throw;
    return Verdict::no(error.what());
  }
}

}  // namespace tenon::cpu
