// The graph: nodes that own their attributes and name their operands; typed values; one graph per function.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/attributes.h"
#include "ir/op_def.h"
#include "tensor/partial_shape.h"

namespace tenon::ir {

class Node;

// One output of a node.
struct Value {
  Node* node = nullptr;
  int index = 0;
  bool operator==(const Value&) const = default;
  explicit operator bool() const noexcept { return node != nullptr; }
};

struct ValueHash {
  std::size_t operator()(const Value& v) const noexcept {
    return std::hash<const void*>()(v.node) * 31 + static_cast<std::size_t>(v.index);
  }
};

struct ValueType {
  DataType dtype = DataType::kInvalid;  // kInvalid: not known
  PartialShape shape;
  std::string to_string() const;
};

// Where a node came from, for reports, per-layer times and the exporter.
struct Origin {
  std::string op_type;                     // TensorFlow's op type
  std::string device;                      // as in the file
  std::string_view node_def;               // the NodeDef's bytes, name and inputs as before inlining; empty when synthesized
  std::shared_ptr<const void> keep_alive;  // what node_def points into
  std::vector<std::string> merged;         // names of the source nodes that a pass folded into this one
};

class Node {
 public:
  int id = 0;  // unique in its graph, in order of creation
  std::string name;
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<Value> inputs;
  std::vector<Node*> control_inputs;
  std::vector<ValueType> outputs;
  Origin origin;

  Value output(int index = 0) { return {this, index}; }
  template <class T>
  T attr(std::string_view key) const {
    return attrs.get<T>(key);
  }
  template <class T>
  T attr_or(std::string_view key, T fallback) const {
    return attrs.get_or<T>(key, std::move(fallback));
  }
  bool is(std::string_view op_name) const noexcept { return op->name == op_name; }
  // `Conv2D "block1/conv"`: how messages name a node.
  std::string describe() const;
};

class Graph {
 public:
  explicit Graph(std::string name = {}) : name_(std::move(name)) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const std::string& name() const noexcept { return name_; }
  // A new node with `num_outputs` outputs of unknown type. A taken name gets a suffix "_1", "_2", ….
  Node* add(const OpDef& op, std::string name, std::vector<Value> inputs = {}, Attrs attrs = {}, int num_outputs = 1);
  // In order of creation.
  const std::vector<std::unique_ptr<Node>>& nodes() const noexcept { return nodes_; }
  Node* find(std::string_view name) const;
  std::size_t size() const noexcept { return nodes_.size(); }

  // A function's arguments (nodes of op "parameter", in order) and results, and nodes that must run besides.
  std::vector<Node*> parameters;
  std::vector<Value> outputs;
  std::vector<Node*> control_outputs;

  // Producers before consumers, ties by id. Edges that close a loop of TF1 frames (next_iteration -> merge) are ignored.
  // Throws kInvalidModel naming a node of the cycle if there is another one.
  std::vector<Node*> topological_order() const;
  // Redirects every use of `from` (operands and graph outputs) to `to`.
  void replace_uses(Value from, Value to);
  // Removes nodes for which keep(node) is false; no kept node may use a removed one.
  template <class Keep>
  void erase_unless(Keep&& keep);
  // Removes what no output, control output, parameter or stateful node needs.
  void remove_dead_nodes();

 private:
  std::string name_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unordered_map<std::string, Node*> by_name_;
  std::unordered_map<std::string, int> next_suffix_;
  int next_id_ = 0;
};

// A copy of the graph; `copies`, when given, receives old node -> new node.
std::unique_ptr<Graph> clone(const Graph& graph, std::unordered_map<const Node*, Node*>* copies = nullptr);

// Every use of every value of a graph: computed once, not kept up to date.
class Uses {
 public:
  struct Use {
    Node* consumer;  // null: the graph's output `index`
    int index;
  };
  explicit Uses(const Graph& graph);
  const std::vector<Use>& of(Value value) const;
  // Consumers that name the node as a control input.
  const std::vector<Node*>& control_of(const Node* node) const;
  int count(Value value) const { return static_cast<int>(of(value).size()); }

 private:
  std::unordered_map<Value, std::vector<Use>, ValueHash> uses_;
  std::unordered_map<const Node*, std::vector<Node*>> control_;
};

template <class Keep>
void Graph::erase_unless(Keep&& keep) {
  std::vector<std::unique_ptr<Node>> kept;
  kept.reserve(nodes_.size());
  for (auto& node : nodes_) {
    if (keep(static_cast<const Node&>(*node))) {
      kept.push_back(std::move(node));
    } else {
      by_name_.erase(node->name);
    }
  }
  nodes_ = std::move(kept);
}

}  // namespace tenon::ir
