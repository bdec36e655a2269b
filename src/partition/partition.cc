#include "partition/partition.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "ops/registry.h"
#include "ops/tensorflow_ops.h"
#include "partition/group_graph.h"
#include "partition/implicit_batch.h"

namespace tenon::partition {
namespace {

using NodeSet = std::unordered_set<const ir::Node*>;

bool is_uncounted(const ir::Node& node) {
  const std::string& op = node.origin.op_type;
  return op == "Identity" || op == "IdentityN" || op == "Snapshot" || op == "StopGradient";
}

// A function whose every value has a name in TensorFlow's way can be written again.
bool can_be_written(const ir::Graph& function) {
  return std::all_of(function.nodes().begin(), function.nodes().end(), [](const auto& node) {
    const bool known = node->is("parameter") || node->is("trt_engine_op") || ops::TensorflowOp::find(node->origin.op_type) != nullptr;
    return known && !node->op->is(ir::kControlFlow);
  });
}

// What all graphs of a model share.
struct Shared {
  Shared(const ir::Module& m, const Backend& b, const PartitionOptions& o)
      : module(m), backend(b), options(o), frozen(frozen_variables(m)), arguments(known_arguments(m, frozen)) {}

  // A converted model that is converted again holds engines already; theirs keep their names.
  std::string free_name() {
    std::string name;
    do {
      name = fmt::format("TRTEngineOp_{:03}_{:03}", options.graph_number, next_name++);
    } while (taken_names.contains(name));
    return name;
  }

  void find_taken_names() {
    const auto take = [&](const ir::Graph& graph) {
      for (const auto& node : graph.nodes()) {
        const std::size_t last = node->name.rfind("TRTEngineOp_");
        if (last != std::string::npos) taken_names.insert(node->name.substr(last));
      }
    };
    take(*module.main);
    for (const auto& [name, function] : module.functions) take(*function);
  }

  const ir::Module& module;
  const Backend& backend;
  const PartitionOptions& options;
  const NodeSet frozen;
  const KnownArguments arguments;
  std::set<std::string> taken_names;
  int next_name = 0;
};

class Partitioner {
 public:
  Partitioner(Shared& shared, const ir::Graph& graph, Partition& result)
      : shared_(shared),
        module_(shared.module),
        graph_(graph),
        is_main_(&graph == shared.module.main.get()),
        backend_(shared.backend),
        options_(shared.options),
        uses_(graph),
        result_(result) {}

  std::vector<SegmentPlan> lone_nodes(const std::function<bool(const ir::Node&)>& wanted) {
    wanted_ = &wanted;
    find_needed();
    classify();
    std::vector<SegmentPlan> plans;
    for (ir::Node* node : order_) {
      if (!candidate_.contains(node) || loop_members_.contains(node) || !wanted(*node)) continue;
      SegmentPlan plan = make_plan({node});
      plan.name = node->name;
      plan.outputs.clear();
      for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) plan.outputs.push_back(node->output(i));
      if (!plan.inputs.empty()) plans.push_back(std::move(plan));
    }
    return plans;
  }

  // Adds the graph's segments and reasons to the result.
  void run() {
    find_needed();
    find_initializing();
    classify();
    if (options_.minimum_segment_size != -1) {
      group();
      // A node that cannot have its inputs from outside stays native, which gives other groups, and maybe other such nodes.
      constexpr int kMostRounds = 50;
      for (int round = 0; round < kMostRounds && options_.implicit_batch && leave_misplaced(); ++round) group();
    }
    collect();
  }

  // The functions that native nodes run.
  std::vector<const ir::Graph*> called() const {
    std::vector<const ir::Graph*> functions;
    for (const ir::Node* node : order_) {
      if (loop_members_.contains(node) || initializing_.contains(node) || node->is("call")) continue;
      const std::vector<Call> calls = calls_of(*node);
      const auto cannot = [&](const Call& call) {
        const ir::Graph* function = find_function(module_, call.function.name);
        return function == nullptr || (call.function.attrs && call.function.attrs->size() > 0) || !can_be_written(*function);
      };
      if (calls.empty() || std::any_of(calls.begin(), calls.end(), cannot)) continue;
      result_.callers.insert(node);
      for (const Call& call : calls) functions.push_back(find_function(module_, call.function.name));
    }
    return functions;
  }

 private:
  void find_roots(std::vector<const ir::Node*>& work) {
    if (!is_main_) {
      for (const ir::Node* parameter : graph_.parameters) fed_.insert(parameter);
      for (const ir::Value& output : graph_.outputs) {
        work.push_back(output.node);
        results_.insert(output);
      }
      work.insert(work.end(), graph_.control_outputs.begin(), graph_.control_outputs.end());
      return;
    }
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& output : signature.outputs) {
        if (!output.value) continue;
        work.push_back(output.value.node);
        results_.insert(output.value);
      }
      for (const ir::Binding& input : signature.inputs) {
        if (input.value) fed_.insert(input.value.node);
      }
    }
  }

  void find_needed() {
    std::vector<const ir::Node*> work;
    find_roots(work);
    while (!work.empty()) {
      const ir::Node* node = work.back();
      work.pop_back();
      if (!result_.needed.insert(node).second) continue;
      if (fed_.contains(node)) continue;
      for (const ir::Value& input : node->inputs) work.push_back(input.node);
      for (const ir::Node* control : node->control_inputs) work.push_back(control);
    }
    for (ir::Node* node : graph_.topological_order()) {
      if (result_.needed.contains(node)) order_.push_back(node);
    }
    for (std::size_t i = 0; i < order_.size(); ++i) position_[order_[i]] = static_cast<int>(i);
  }

  // What the initializer runs must stay in the graph.
  void find_initializing() {
    if (!is_main_ || module_.init == nullptr) return;
    std::vector<const ir::Node*> work{module_.init};
    while (!work.empty()) {
      const ir::Node* node = work.back();
      work.pop_back();
      if (!initializing_.insert(node).second) continue;
      for (const ir::Value& input : node->inputs) work.push_back(input.node);
      work.insert(work.end(), node->control_inputs.begin(), node->control_inputs.end());
    }
  }

  bool derives_from_constants(const ir::Node& node) const {
    if (fed_.contains(&node)) return false;
    if (node.is("const")) return true;
    if (node.origin.op_type == "ReadVariableOp") return !node.inputs.empty() && !known(node.inputs[0]).variable.empty();
    if (node.is("identity") && node.inputs.size() == 1 && node.inputs[0].node->is("ref_variable")) {  // how TF1 reads a variable
      return shared_.frozen.contains(node.inputs[0].node);
    }
    if (node.op->traits != ir::kPure || node.op->evaluate == nullptr || node.inputs.empty() || node.outputs.empty()) return false;
    for (const ir::ValueType& type : node.outputs) {
      if (type.dtype == DataType::kResource || type.dtype == DataType::kVariant || type.dtype == DataType::kInvalid) return false;
    }
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](const ir::Value& v) { return constant_.contains(v.node) || is_known_argument(v); });
  }

  Known known(const ir::Value& value) const { return known_value(value, shared_.frozen, shared_.arguments); }

  // What is passed to a function is an input of its segments also when it is known, but nothing to wait for.
  bool is_known_argument(const ir::Value& value) const {
    return value.node->is("parameter") && value.node->outputs[0].dtype != DataType::kResource && shared_.arguments.contains(value.node);
  }

  // Loops that the backend takes, with the tensor lists around them: lists never cross a segment's border.
  void find_loops(const std::set<std::string>& denied) {
    for (const ir::Node* node : order_) {
      if (!node->is("while")) continue;
      NodeSet members = {node};
      std::string reason = why_no_loop(*node, denied, members);
      if (reason.empty()) {
        loop_members_.insert(members.begin(), members.end());
      } else {
        loop_reasons_[node] = std::move(reason);
      }
    }
  }

  std::string why_no_loop(const ir::Node& loop, const std::set<std::string>& denied, NodeSet& members) const {
    for (const ir::Value& input : loop.inputs) {
      const ir::ValueType& type = input.node->outputs[static_cast<std::size_t>(input.index)];
      if (type.dtype == DataType::kResource && known(input).variable.empty()) return "a variable that it reads may change";
      const bool is_list = input.node->outputs[static_cast<std::size_t>(input.index)].dtype == DataType::kVariant;
      if (is_list && !only_used_by(*input.node, loop)) return "a tensor list that it reads is used elsewhere";
      if (is_list) members.insert(input.node);
    }
    for (int i = 0; i < static_cast<int>(loop.outputs.size()); ++i) {
      if (loop.outputs[static_cast<std::size_t>(i)].dtype != DataType::kVariant) continue;
      for (const ir::Uses::Use& use : uses_.of({const_cast<ir::Node*>(&loop), i})) {
        if (use.consumer == nullptr || !result_.needed.contains(use.consumer)) continue;
        if (!use.consumer->is("tensor_list_stack")) return "a tensor list that it makes is not stacked";
        members.insert(use.consumer);
      }
    }
    for (const ir::Node* member : members) {
      if (denied.contains(member->origin.op_type)) return member->origin.op_type + " is on the deny list";
    }
    const Verdict verdict = backend_.supports_loop(loop, module_, options_.precision);
    return verdict ? std::string() : verdict.reason();
  }

  bool only_used_by(const ir::Node& node, const ir::Node& consumer) const {
    const auto& uses = uses_.of({const_cast<ir::Node*>(&node), 0});
    return std::all_of(uses.begin(), uses.end(), [&](const ir::Uses::Use& use) {
      return use.consumer == &consumer || (use.consumer != nullptr && !result_.needed.contains(use.consumer));
    });
  }

  void classify() {
    const std::set<std::string> denied(options_.op_denylist.begin(), options_.op_denylist.end());
    const std::set<std::string> denied_nodes(options_.node_denylist.begin(), options_.node_denylist.end());
    find_loops(denied);
    for (ir::Node* node : order_) {
      if (!denied.contains(node->origin.op_type) && derives_from_constants(*node)) {
        constant_.insert(node);
        continue;
      }
      if (wanted_ != nullptr && !(*wanted_)(*node)) continue;
      std::string reason = denied_nodes.contains(node->name) ? "the node is on the deny list" : why_native(*node, denied);
      if (reason.empty() && options_.implicit_batch) {
        loop_members_.contains(node) ? batch_.add_loop_part(*node, reason) : batch_.add(*node, reason);
      }
      if (reason.empty()) {
        candidate_.insert(node);
      } else {
        result_.native_reasons[node] = std::move(reason);
      }
    }
  }

  std::string why_native(const ir::Node& node, const std::set<std::string>& denied) const {
    if (!is_main_ && node.is("parameter")) return "argument of a function";
    if (fed_.contains(&node) || node.op->is(ir::kSource)) return "input of a signature";
    if (denied.contains(node.origin.op_type)) return "its op type is on the deny list";
    if (initializing_.contains(&node)) return "the initializer runs it too";
    if (node.is("unsupported")) return "Tenon does not implement the op";
    if (node.origin.op_type == "VarHandleOp" || node.is("ref_variable")) return "variables stay in the checkpoint";
    if (node.is("no_op")) return "it only orders others";
    if (node.is("identity") && std::any_of(node.outputs.begin(), node.outputs.end(), [](const ir::ValueType& t) {
          return t.dtype == DataType::kResource || t.dtype == DataType::kVariant;
        })) {
      return "it passes on a resource";
    }
    if (is_main_ && node.is("identity") && is_signature_output(node)) return "it carries the name of a signature's output";
    if (node.op->is(ir::kControlFlow)) return "TF1 control flow is run by the host executor";
    if (loop_members_.contains(&node)) return {};
    if (const auto it = loop_reasons_.find(&node); it != loop_reasons_.end()) return it->second;
    if (node.op->is(ir::kStateful)) return "it has state or runs functions";
    const ir::Node* one[] = {&node};
    const Verdict verdict = backend_.supports(one, options_.precision);
    return verdict ? std::string() : verdict.reason();
  }

  bool is_signature_output(const ir::Node& node) const {
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      if (results_.contains({const_cast<ir::Node*>(&node), i})) return true;
    }
    return false;
  }

  template <class F>
  void for_each_producer(const ir::Node& node, F&& f) const {
    if (fed_.contains(&node)) return;
    for (const ir::Value& input : node.inputs) {
      if (!constant_.contains(input.node)) f(input.node, true);
    }
    for (const ir::Node* control : node.control_inputs) {
      if (!constant_.contains(control)) f(control, false);
    }
  }

  bool same_batch(const ir::Node* a, const ir::Node* b) const { return !options_.implicit_batch || batch_.together(*a, *b); }

  void group() {
    groups_ = GroupGraph(order_.size());
    edges_.clear();
    group_by_level();
    groups_.merge_along(edges_);  // levels part groups that could be one
  }

  // Makes nodes native whose engine would get an input without its batch. True when there were some.
  bool leave_misplaced() {
    bool any = false;
    for (const auto& nodes : grouped()) {
      for (const ir::Node* node : batch_.misplaced(make_plan(nodes))) {
        candidate_.erase(node);
        result_.native_reasons[node] = "implicit batch mode: an input of it would enter an engine without having its batch";
        any = true;
      }
    }
    return any;
  }

  // A node's level counts how often its longest path crosses from candidates to native nodes, or to candidates that must not be
  // with them. Candidates of one level that are connected form a convex group: a path that leaves them arrives at a higher level.
  // Control edges connect too, else two groups could wait for each other.
  void group_by_level() {
    std::vector<int> level(order_.size(), 0);
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const bool candidate = candidate_.contains(order_[i]);
      std::vector<std::pair<int, bool>> producers;  // position, whether a candidate
      for_each_producer(*order_[i], [&](const ir::Node* producer, bool data) {
        const int p = position_.at(producer);
        if (p >= static_cast<int>(i)) return;  // the back edge of a TF1 loop
        const bool from_candidate = candidate_.contains(producer);
        groups_.add_edge(p, static_cast<int>(i));
        producers.emplace_back(p, from_candidate);
        const bool together = candidate && from_candidate && same_batch(producer, order_[i]);
        if (together && data) edges_.emplace_back(p, static_cast<int>(i));
        level[i] = std::max(level[i], level[static_cast<std::size_t>(p)] + (from_candidate && !together ? 1 : 0));
      });
      if (!candidate) continue;
      for (const auto& [p, from_candidate] : producers) {
        if (from_candidate && level[static_cast<std::size_t>(p)] == level[i]) groups_.unite(p, static_cast<int>(i));
      }
    }
  }

  // Candidates that are to be one segment, in the order of their first nodes.
  std::vector<std::vector<ir::Node*>> grouped() {
    std::unordered_map<int, std::size_t> places;
    std::vector<std::vector<ir::Node*>> groups;
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (!candidate_.contains(order_[i])) continue;
      const int group = options_.minimum_segment_size == -1 ? static_cast<int>(i) : groups_.root(static_cast<int>(i));
      const auto [place, is_new] = places.emplace(group, groups.size());
      if (is_new) groups.emplace_back();
      groups[place->second].push_back(order_[i]);
    }
    return groups;
  }

  void collect() {
    for (const auto& nodes : grouped()) {
      SegmentPlan plan = make_plan(nodes);
      const std::string reason = why_dropped(plan);
      if (!reason.empty()) {
        for (const ir::Node* node : plan.nodes) result_.native_reasons[node] = reason;
        continue;
      }
      plan.name = shared_.free_name();
      result_.segments.push_back(std::move(plan));
    }
  }

  std::string why_dropped(const SegmentPlan& plan) const {
    if (options_.minimum_segment_size == -1) return "engines are switched off (minimum segment size -1)";
    const auto counted = [](const std::vector<ir::Node*>& nodes) {
      return std::count_if(nodes.begin(), nodes.end(), [](const ir::Node* n) { return !is_uncounted(*n); });
    };
    // TF1's variables count as what reads a resource variable does; their own reads are identities.
    const auto is_variable = [](const ir::Value& input) { return input.node->is("ref_variable"); };
    const auto effective = counted(plan.nodes) + counted(plan.constants) + std::ranges::count_if(plan.inputs, is_variable);
    if (counted(plan.nodes) == 0) return "a segment of nothing but identities";
    if (effective < options_.minimum_segment_size) {
      return fmt::format("its segment has {} nodes, fewer than the minimum segment size {}", effective, options_.minimum_segment_size);
    }
    if (plan.inputs.empty()) return "its segment has no inputs";
    if (options_.implicit_batch) {
      const auto is_work = [&](const ir::Node* node) { return !is_uncounted(*node) && !batch_.is_sizes(*node); };
      if (std::none_of(plan.nodes.begin(), plan.nodes.end(), is_work)) return "a segment of nothing but arithmetic on sizes";
      if (!batch_.misplaced(plan).empty()) return "implicit batch mode: inputs of its segment have different batches";
    }
    const auto is_list = [](const ir::Value& value) {
      return value.node->outputs[static_cast<std::size_t>(value.index)].dtype == DataType::kVariant;
    };
    if (std::any_of(plan.inputs.begin(), plan.inputs.end(), is_list) || std::any_of(plan.outputs.begin(), plan.outputs.end(), is_list)) {
      return "a tensor list would cross the border of its segment";
    }
    if (plan.outputs.empty()) return "nothing reads the results of its segment";
    return {};
  }

  SegmentPlan make_plan(const std::vector<ir::Node*>& nodes) {
    SegmentPlan plan;
    plan.graph = &graph_;
    plan.nodes = nodes;
    const NodeSet inside(nodes.begin(), nodes.end());
    NodeSet copied;
    std::unordered_set<ir::Value, ir::ValueHash> seen;
    std::vector<ir::Node*> work;
    const auto need = [&](const ir::Value& value) {
      if (inside.contains(value.node)) return;
      if (!constant_.contains(value.node)) {
        if (seen.insert(value).second) plan.inputs.push_back(value);
      } else if (copied.insert(value.node).second) {
        work.push_back(value.node);
      }
    };
    for (const ir::Node* node : nodes) {
      for (const ir::Value& input : node->inputs) need(input);
      while (!work.empty()) {
        ir::Node* constant = work.back();
        work.pop_back();
        plan.constants.push_back(constant);
        for (const ir::Value& input : constant->inputs) need(input);
      }
    }
    std::sort(plan.constants.begin(), plan.constants.end(),
              [&](const ir::Node* a, const ir::Node* b) { return position_.at(a) < position_.at(b); });
    for (const ir::Value& input : plan.inputs) plan.known.push_back(known_to_engine(input, plan));
    for (ir::Node* node : nodes) {
      for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) {
        const ir::Value value = node->output(i);
        bool outside = results_.contains(value);
        for (const ir::Uses::Use& use : uses_.of(value)) {
          outside |= use.consumer != nullptr && result_.needed.contains(use.consumer) && !inside.contains(use.consumer);
        }
        if (outside) plan.outputs.push_back(value);
      }
    }
    return plan;
  }

  Known known_to_engine(const ir::Value& input, const SegmentPlan& plan) const {
    const ir::Node& source = *behind_identities(input).node;
    if (input.node->is("ref_variable")) {  // only constants read a TF1 variable that is frozen; what reads another one is no constant
      const bool read_by_constant = std::any_of(plan.constants.begin(), plan.constants.end(), [&](const ir::Node* n) {
        return std::find(n->inputs.begin(), n->inputs.end(), input) != n->inputs.end();
      });
      return read_by_constant ? known(input) : Known{};
    }
    if (source.origin.op_type == "VarHandleOp" || source.is("parameter")) return known(input);
    return {};
  }

  Shared& shared_;
  const ir::Module& module_;
  const ir::Graph& graph_;
  const bool is_main_;
  const Backend& backend_;
  const PartitionOptions& options_;
  const ir::Uses uses_;
  Partition& result_;
  NodeSet fed_;
  NodeSet constant_;
  NodeSet candidate_;
  ImplicitBatch batch_{[this](const ir::Value& value) { return constant_.contains(value.node); }};  // of candidates, in that mode
  NodeSet loop_members_;
  std::unordered_map<const ir::Node*, std::string> loop_reasons_;
  std::unordered_set<ir::Value, ir::ValueHash> results_;  // what the graph gives to its caller
  std::vector<ir::Node*> order_;
  std::unordered_map<const ir::Node*, int> position_;
  const std::function<bool(const ir::Node&)>* wanted_ = nullptr;  // null: every node is looked at
  NodeSet initializing_;
  GroupGraph groups_{0};
  std::vector<std::pair<int, int>> edges_;  // between candidates
};

// Leaves all but the largest segments native; of equal ones the first stays.
void keep_largest(Partition& partition, int most) {
  while (most > 0 && partition.segments.size() > static_cast<std::size_t>(most)) {
    const auto size = [](const SegmentPlan& plan) { return plan.nodes.size() + plan.constants.size(); };
    std::size_t smallest = 0;
    for (std::size_t i = 0; i < partition.segments.size(); ++i) {
      if (size(partition.segments[i]) <= size(partition.segments[smallest])) smallest = i;
    }
    dissolve(partition, smallest, fmt::format("there are more segments than the {} engines that TF_TRT_MAX_ALLOWED_ENGINES allows", most));
  }
}

}  // namespace

Partition partition(const ir::Module& module, const Backend& backend, const PartitionOptions& options) {
  if (options.minimum_segment_size <= 0 && options.minimum_segment_size != -1) {
    fail(ErrorCode::kInvalidArgument, "minimum segment size must be positive, or -1 for no engines; it is {}",
         options.minimum_segment_size);
  }
  Shared shared(module, backend, options);
  shared.find_taken_names();
  Partition result;
  std::vector<const ir::Graph*> graphs{module.main.get()};
  std::unordered_set<const ir::Graph*> seen(graphs.begin(), graphs.end());
  for (std::size_t i = 0; i < graphs.size(); ++i) {
    Partitioner partitioner(shared, *graphs[i], result);
    partitioner.run();
    for (const ir::Graph* function : partitioner.called()) {
      if (seen.insert(function).second) graphs.push_back(function);
    }
  }
  result.functions.assign(graphs.begin() + 1, graphs.end());
  keep_largest(result, options.maximum_engines);
  return result;
}

std::vector<SegmentPlan> lone_nodes(const ir::Module& module, const Backend& backend,
                                    const std::function<bool(const ir::Node&)>& wanted) {
  const PartitionOptions options;
  Shared shared(module, backend, options);
  Partition result;
  return Partitioner(shared, *module.main, result).lone_nodes(wanted);
}

void dissolve(Partition& partition, std::size_t segment, const std::string& reason) {
  for (const ir::Node* node : partition.segments.at(segment).nodes) partition.native_reasons[node] = reason;
  partition.segments.erase(partition.segments.begin() + static_cast<std::ptrdiff_t>(segment));
}

Segment extract(const SegmentPlan& plan) {
  Segment segment{plan.name, std::make_unique<ir::Graph>(plan.name)};
  std::unordered_map<ir::Value, ir::Value, ir::ValueHash> values;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const ir::Value& input = plan.inputs[i];
    const ir::ValueType& type = input.node->outputs[static_cast<std::size_t>(input.index)];
    ir::Node* parameter = segment.graph->add(ops::op("parameter"), "TensorRTInputPH_" + std::to_string(i));
    parameter->attrs.set("dtype", type.dtype);
    parameter->attrs.set("shape", type.shape);
    parameter->attrs.set("index", static_cast<std::int64_t>(i));
    parameter->outputs[0] = type;
    const Known& known = plan.known[i];
    if (!known.variable.empty()) parameter->attrs.set("variable", known.variable);
    if (known.constant.valid()) parameter->attrs.set("constant", known.constant);
    segment.graph->parameters.push_back(parameter);
    values[input] = parameter->output();
  }
  const auto copy = [&](const ir::Node* node) {
    std::vector<ir::Value> inputs;
    for (const ir::Value& input : node->inputs) inputs.push_back(values.at(input));
    ir::Node* made =
        segment.graph->add(*node->op, node->name, std::move(inputs), node->attrs, static_cast<int>(node->outputs.size()));
    made->outputs = node->outputs;
    made->origin = node->origin;
    for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) {
      values[{const_cast<ir::Node*>(node), i}] = made->output(i);
    }
  };
  for (const ir::Node* node : plan.constants) copy(node);
  for (const ir::Node* node : plan.nodes) copy(node);
  for (const ir::Value& output : plan.outputs) segment.graph->outputs.push_back(values.at(output));
  return segment;
}

}  // namespace tenon::partition
