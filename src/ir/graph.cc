#include "ir/graph.h"

#include <algorithm>
#include <queue>

#include "base/error.h"

namespace tenon::ir {
namespace {

bool closes_loop(const Node& producer, const Node& consumer) {
  return producer.is("next_iteration") && consumer.is("merge");
}

}  // namespace

std::string ValueType::to_string() const {
  return std::string(dtype == DataType::kInvalid ? "?" : dtype_name(dtype)) + shape.to_string();
}

std::string Node::describe() const {
  return (origin.op_type.empty() ? std::string(op->name) : origin.op_type) + " \"" + name + "\"";
}

Node* Graph::add(const OpDef& op, std::string name, std::vector<Value> inputs, Attrs attrs, int num_outputs) {
  if (by_name_.contains(name)) {
    int& suffix = next_suffix_[name];
    std::string candidate;
    do {
      candidate = name + "_" + std::to_string(++suffix);
    } while (by_name_.contains(candidate));
    name = std::move(candidate);
  }
  auto node = std::make_unique<Node>();
  node->id = next_id_++;
  node->name = std::move(name);
  node->op = &op;
  node->inputs = std::move(inputs);
  node->attrs = std::move(attrs);
  node->outputs.resize(static_cast<std::size_t>(num_outputs));
  Node* raw = node.get();
  by_name_.emplace(raw->name, raw);
  nodes_.push_back(std::move(node));
  return raw;
}

Node* Graph::find(std::string_view name) const {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : it->second;
}

std::vector<Node*> Graph::topological_order() const {
  // Edges by producer, all in one array: hashing nodes would be what passes over large graphs spend their time with.
  const auto count = static_cast<std::size_t>(next_id_);
  std::vector<int> pending(count, 0);
  std::vector<std::size_t> first(count + 1, 0);
  const auto each_edge = [&](auto&& visit) {
    for (const auto& node : nodes_) {
      const auto depend = [&](const Node* producer) {
        if (!closes_loop(*producer, *node)) visit(static_cast<std::size_t>(producer->id), node.get());
      };
      for (const Value& input : node->inputs) depend(input.node);
      for (const Node* control : node->control_inputs) depend(control);
    }
  };
  each_edge([&](std::size_t producer, const Node* consumer) {
    TENON_CHECK(producer < count);
    ++first[producer + 1];
    ++pending[static_cast<std::size_t>(consumer->id)];
  });
  for (std::size_t i = 0; i < count; ++i) first[i + 1] += first[i];
  std::vector<Node*> consumers(first[count]);
  std::vector<std::size_t> next(first.begin(), first.end() - 1);
  each_edge([&](std::size_t producer, Node* consumer) { consumers[next[producer]++] = consumer; });

  const auto later = [](const Node* a, const Node* b) { return a->id > b->id; };
  std::priority_queue<Node*, std::vector<Node*>, decltype(later)> ready(later);
  for (const auto& node : nodes_) {
    if (pending[static_cast<std::size_t>(node->id)] == 0) ready.push(node.get());
  }
  std::vector<Node*> order;
  order.reserve(nodes_.size());
  while (!ready.empty()) {
    Node* node = ready.top();
    ready.pop();
    order.push_back(node);
    const auto id = static_cast<std::size_t>(node->id);
    for (std::size_t i = first[id]; i < first[id + 1]; ++i) {
      if (--pending[static_cast<std::size_t>(consumers[i]->id)] == 0) ready.push(consumers[i]);
    }
  }
  if (order.size() != nodes_.size()) {
    for (const auto& node : nodes_) {
      if (pending[static_cast<std::size_t>(node->id)] > 0) {
        fail(ErrorCode::kInvalidModel, "graph \"{}\" has a cycle through node \"{}\"", name_, node->name);
      }
    }
  }
  return order;
}

void Graph::replace_uses(Value from, Value to) {
  for (const auto& node : nodes_) std::replace(node->inputs.begin(), node->inputs.end(), from, to);
  std::replace(outputs.begin(), outputs.end(), from, to);
}

void Graph::remove_dead_nodes() {
  std::vector<bool> live(static_cast<std::size_t>(next_id_), false);
  std::vector<const Node*> work;
  const auto mark = [&](const Node* node) {
    const auto id = static_cast<std::size_t>(node->id);
    if (!live[id]) {
      live[id] = true;
      work.push_back(node);
    }
  };
  for (const Value& value : outputs) mark(value.node);
  for (const Node* node : control_outputs) mark(node);
  for (const Node* node : parameters) mark(node);
  for (const auto& node : nodes_) {
    if (node->op->is(kStateful)) mark(node.get());
  }
  while (!work.empty()) {
    const Node* node = work.back();
    work.pop_back();
    for (const Value& input : node->inputs) mark(input.node);
    for (const Node* control : node->control_inputs) mark(control);
  }
  erase_unless([&](const Node& node) { return live[static_cast<std::size_t>(node.id)]; });
}

std::unique_ptr<Graph> clone(const Graph& graph, std::unordered_map<const Node*, Node*>* copies) {
  std::unordered_map<const Node*, Node*> local;
  auto& map = copies ? *copies : local;
  auto copy = std::make_unique<Graph>(graph.name());
  for (const auto& node : graph.nodes()) {
    Node* made = copy->add(*node->op, node->name, {}, node->attrs, static_cast<int>(node->outputs.size()));
    made->outputs = node->outputs;
    made->origin = node->origin;
    map[node.get()] = made;
  }
  const auto mapped = [&](const Value& v) { return Value{map.at(v.node), v.index}; };
  for (const auto& node : graph.nodes()) {
    Node* made = map.at(node.get());
    for (const Value& input : node->inputs) made->inputs.push_back(mapped(input));
    for (const Node* control : node->control_inputs) made->control_inputs.push_back(map.at(control));
  }
  for (const Node* parameter : graph.parameters) copy->parameters.push_back(map.at(parameter));
  for (const Value& output : graph.outputs) copy->outputs.push_back(mapped(output));
  for (const Node* node : graph.control_outputs) copy->control_outputs.push_back(map.at(node));
  return copy;
}

Uses::Uses(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    for (std::size_t i = 0; i < node->inputs.size(); ++i) uses_[node->inputs[i]].push_back({node.get(), static_cast<int>(i)});
    for (const Node* control : node->control_inputs) control_[control].push_back(node.get());
  }
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) uses_[graph.outputs[i]].push_back({nullptr, static_cast<int>(i)});
}

const std::vector<Uses::Use>& Uses::of(Value value) const {
  static const std::vector<Use> kNone;
  const auto it = uses_.find(value);
  return it == uses_.end() ? kNone : it->second;
}

const std::vector<Node*>& Uses::control_of(const Node* node) const {
  static const std::vector<Node*> kNone;
  const auto it = control_.find(node);
  return it == control_.end() ? kNone : it->second;
}

}  // namespace tenon::ir
