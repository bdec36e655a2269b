#include "partition/function_types.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "partition/trip_count.h"

namespace tenon::partition {
namespace {

// Rounds until a loop's types hold for every iteration, and calls that widen a function's types; after that they are unknown.
constexpr int kMostRounds = 10;
constexpr int kMostVisits = 30;
constexpr int kMostNesting = 100;

// Of a tensor list.
struct ListType {
  PartialShape element;
  Dim rows;
};

class Typing {
 public:
  using FindFunction = std::function<ir::Graph*(const std::string&)>;

  Typing(FindFunction find, const KnownArguments& known, SymbolSource& symbols, bool first_call)
      : find_(std::move(find)), known_(known), symbols_(symbols), first_call_(first_call) {
    inference_.tolerate_errors = true;
  }

  // The types of the graph's nodes, producers first, and of what they call.
  void infer_graph(ir::Graph& graph, ops::Facts& facts) {
    for (ir::Node* node : graph.topological_order()) {
      ops::infer_node(*node, facts, inference_);
      look(*node, facts);
    }
  }

  // The types stay; functions get theirs from them.
  void infer_called(const ir::Graph& graph, ops::Facts& facts) {
    for (ir::Node* node : graph.topological_order()) look(*node, facts);
  }

  TripCounts trips;

 private:
  ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs.at(static_cast<std::size_t>(value.index)); }

  void look(ir::Node& node, ops::Facts& facts) {
    follow_lists(node, facts);
    const std::vector<Call> calls = calls_of(node);
    for (const Call& call : calls) enter(node, call, facts);
    if (!node.is("while") || calls.size() != 2) return;
    const ir::Graph* body = find_(calls[0].function.name);
    const ir::Graph* condition = find_(calls[1].function.name);
    if (body == nullptr || condition == nullptr) return;
    if (const auto count = first_call_ ? count_trips(node, *condition, *body, facts) : std::nullopt) trips.emplace(&node, *count);
    if (first_call_) set_loop_results(node, *body);
  }

  // Lists hold tensors of one shape here. Only those that nobody changes do so for certain.
  void follow_lists(ir::Node& node, ops::Facts& facts) {
    const auto list = [&](std::size_t operand) {
      const auto it = operand < node.inputs.size() ? lists_.find(node.inputs[operand]) : lists_.end();
      return it == lists_.end() ? nullptr : &it->second;
    };
    if (node.is("tensor_list_from_tensor") && !node.inputs.empty()) {
      const PartialShape& shape = type_of(node.inputs[0]).shape;
      if (shape.known_rank() && shape.rank() > 0) {
        const std::vector<Dim> dims(shape.dims().begin(), shape.dims().end());
        lists_[node.output()] = {PartialShape(std::vector<Dim>(dims.begin() + 1, dims.end())), dims[0]};
      }
    } else if (node.is("identity")) {
      for (std::size_t i = 0; i < node.inputs.size() && i < node.outputs.size(); ++i) {
        if (const ListType* type = list(i)) lists_[{&node, static_cast<int>(i)}] = ListType(*type);
      }
    } else if (node.is("tensor_list_get_item")) {
      if (const ListType* type = list(0)) refine(node.outputs.at(0).shape, type->element);
    } else if (first_call_) {
      follow_changing_lists(node, facts, list(0));
    }
  }

  void follow_changing_lists(ir::Node& node, ops::Facts& facts, const ListType* list) {
    if (node.is("tensor_list_reserve") && node.inputs.size() == 2) {
      const Tensor* count = facts.constant(node.inputs[1]);
      const bool known = count != nullptr && count->dtype() == DataType::kInt32 && count->num_elements() == 1 && count->flat<std::int32_t>()[0] >= 0;
      lists_[node.output()] = {{}, known ? Dim(count->flat<std::int32_t>()[0]) : symbols_.fresh()};
    } else if (node.is("tensor_list_set_item") && list != nullptr && node.inputs.size() == 3) {
      lists_[node.output()] = {type_of(node.inputs[2]).shape, list->rows};
    } else if (node.is("tensor_list_stack") && list != nullptr && list->element.known_rank()) {
      std::vector<Dim> dims{list->rows};
      dims.insert(dims.end(), list->element.dims().begin(), list->element.dims().end());
      refine(node.outputs.at(0).shape, PartialShape(std::move(dims)));
    }
  }

  // Sizes that `better` knows, where the shape has none.
  static void refine(PartialShape& shape, const PartialShape& better) {
    if (!better.known_rank()) return;
    if (!shape.known_rank()) {
      shape = better;
      return;
    }
    if (shape.rank() != better.rank()) return;
    for (int i = 0; i < shape.rank(); ++i) {
      if (!shape[i].known()) shape[i] = better[i];
    }
  }

  void enter(const ir::Node& node, const Call& call, ops::Facts& facts) {
    ir::Graph* function = find_(call.function.name);
    if (function == nullptr || inside_.contains(function) || inside_.size() > kMostNesting) return;
    const bool fresh = visits_[function]++ == 0;
    if (!fresh && first_call_) return;
    const bool widened = pass_types(node, call, *function, fresh);
    if (!fresh && !widened) return;
    inside_.insert(function);
    infer_function(node, call, *function, facts);
    for (int round = 0; node.is("while") && call.attribute == "body" && !first_call_ && widen_by_results(*function, round); ++round) {
      infer_function(node, call, *function, facts);
    }
    inside_.erase(function);
  }

  // Returns whether an argument's type has changed.
  bool pass_types(const ir::Node& node, const Call& call, ir::Graph& function, bool fresh) {
    const bool too_often = visits_[&function] > kMostVisits;
    const ir::Graph* body = node.is("while") ? find_(node.attr<ir::FunctionRef>("body").name) : nullptr;
    bool widened = false;
    for (std::size_t i = 0; i < function.parameters.size(); ++i) {
      const std::size_t operand = i + static_cast<std::size_t>(call.first_operand);
      ir::ValueType type = operand < node.inputs.size() ? node.inputs[operand].node->outputs.at(static_cast<std::size_t>(node.inputs[operand].index))
                                                        : ir::ValueType{};
      // The condition sees what the body makes of it.
      if (body != nullptr && call.attribute == "cond" && !first_call_ && i < body->parameters.size()) type = body->parameters[i]->outputs.at(0);
      if (too_often) type.shape = {};
      if (type.dtype == DataType::kResource) {
        widened |= pass_handle(node.inputs[operand], *function.parameters[i], fresh);
        continue;
      }
      widened |= widen(*function.parameters[i], type.shape, fresh);
      widened |= pass_list(node, operand, *function.parameters[i], body == nullptr || is_invariant(*body, i), fresh);
    }
    return widened;
  }

  // What handles of variables lead to has one shape, whoever changes it; reads find it on the parameter.
  static bool pass_handle(const ir::Value& operand, ir::Node& parameter, bool fresh) {
    const ir::Node& handle = *behind_identities(operand).node;
    PartialShape shape;
    if (handle.is("var_handle")) shape = handle.attr_or<PartialShape>("shape", {});
    if (handle.is("parameter")) shape = handle.attr_or<PartialShape>("variable_shape", {});
    if (!fresh && shape != parameter.attr_or<PartialShape>("variable_shape", {})) shape = {};
    const bool changed = shape != parameter.attr_or<PartialShape>("variable_shape", {});
    parameter.attrs.set("variable_shape", shape);
    return !fresh && changed;
  }

  // Returns whether less is known of the list than before.
  bool pass_list(const ir::Node& node, std::size_t operand, ir::Node& parameter, bool invariant, bool fresh) {
    const auto it = operand < node.inputs.size() ? lists_.find(node.inputs[operand]) : lists_.end();
    const bool known = it != lists_.end() && (invariant || first_call_);
    if (fresh && known) {
      const ListType list = it->second;
      lists_[parameter.output()] = list;
      return false;
    }
    const auto own = lists_.find(parameter.output());
    if (own == lists_.end() || (known && own->second.element == it->second.element)) return false;
    lists_.erase(own);
    return true;
  }

  bool widen(ir::Node& parameter, const PartialShape& shape, bool fresh) {
    PartialShape& own = parameter.outputs.at(0).shape;
    if (parameter.outputs[0].dtype == DataType::kResource) return false;  // pass_handle() looked at it
    if (fresh) {
      own = shape;
    } else if (!join(own, shape)) {
      return false;
    }
    parameter.attrs.set("shape", own);
    return true;
  }

  // Forgets what `shape` has otherwise; returns whether it forgot anything.
  bool join(PartialShape& own, const PartialShape& shape) {
    if (!own.known_rank()) return false;
    if (!shape.known_rank() || shape.rank() != own.rank()) {
      own = {};
      return true;
    }
    bool changed = false;
    for (int d = 0; d < own.rank(); ++d) {
      if (own[d] == shape[d] || (!own[d].known() && made_up_.contains(own[d].symbol_id()))) continue;
      own[d] = symbols_.fresh();
      made_up_.insert(own[d].symbol_id());
      changed = true;
    }
    return changed;
  }

  bool widen_by_results(ir::Graph& body, int round) {
    bool widened = false;
    for (std::size_t i = 0; i < body.parameters.size() && i < body.outputs.size(); ++i) {
      PartialShape after = type_of(body.outputs[i]).shape;
      if (round >= kMostRounds && !is_invariant(body, i)) after = {};
      widened |= widen(*body.parameters[i], after, false);
    }
    return widened;
  }

  void infer_function(const ir::Node& node, const Call& call, ir::Graph& function, ops::Facts& caller) {
    ops::Facts facts(symbols_, inference_);
    for (std::size_t i = 0; i < function.parameters.size(); ++i) {
      ir::Node* parameter = function.parameters[i];
      const auto known = known_.find(parameter);
      if (known != known_.end() && known->second.constant.valid() && small(known->second.constant)) {
        facts.set_constant(parameter->output(), known->second.constant);
      }
      const std::size_t operand = i + static_cast<std::size_t>(call.first_operand);
      if (!first_call_ || operand >= node.inputs.size() || (node.is("while") && !invariant_of_loop(node, i))) continue;
      if (const Tensor* value = caller.constant(node.inputs[operand]); value != nullptr && small(*value)) facts.set_constant(parameter->output(), *value);
    }
    forget(function);
    infer_graph(function, facts);
  }

  bool small(const Tensor& tensor) const { return tensor.num_elements() <= inference_.max_constant_elements; }

  bool invariant_of_loop(const ir::Node& loop, std::size_t index) const {
    const ir::Graph* body = find_(loop.attr<ir::FunctionRef>("body").name);
    return body != nullptr && is_invariant(*body, index);
  }

  // Types from before say too much or too little.
  static void forget(ir::Graph& function) {
    for (const auto& node : function.nodes()) {
      if (node->is("parameter")) continue;
      for (ir::ValueType& type : node->outputs) type.shape = {};
    }
  }

  void set_loop_results(ir::Node& loop, const ir::Graph& body) {
    for (std::size_t i = 0; i < loop.outputs.size() && i < body.outputs.size(); ++i) {
      refine(loop.outputs[i].shape, type_of(body.outputs[i]).shape);
      if (const auto it = lists_.find(body.outputs[i]); it != lists_.end()) lists_[{&loop, static_cast<int>(i)}] = ListType(it->second);
    }
  }

  const FindFunction find_;
  const KnownArguments& known_;
  SymbolSource& symbols_;
  const bool first_call_;
  ops::InferenceOptions inference_;
  std::unordered_map<ir::Value, ListType, ir::ValueHash> lists_;
  std::unordered_map<const ir::Graph*, int> visits_;
  std::set<const ir::Graph*> inside_;
  std::set<std::int64_t> made_up_;  // symbols that stand for any size
};

}  // namespace

void infer_functions(ir::Module& module, const KnownArguments& known) {
  Typing typing([&](const std::string& name) { return find_function(module, name); }, known, module.symbols, false);
  ops::InferenceOptions options;
  ops::Facts facts(module.symbols, options);
  typing.infer_called(*module.main, facts);
}

TripCounts infer_first_calls(ir::Graph& main, const std::map<std::string, std::unique_ptr<ir::Graph>>& functions, const KnownArguments& known,
                             SymbolSource& symbols) {
  const auto find = [&](const std::string& name) {
    const auto it = functions.find(name);
    return it == functions.end() ? nullptr : it->second.get();
  };
  Typing typing(find, known, symbols, true);
  ops::InferenceOptions options;
  options.tolerate_errors = true;
  ops::Facts facts(symbols, options);
  typing.infer_graph(main, facts);
  return std::move(typing.trips);
}

}  // namespace tenon::partition
