// Changes a graph while keeping track of who uses what; the base of every pass.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"

namespace tenon::passes {

class Editor {
 public:
  struct Use {
    ir::Node* consumer;  // null: the graph's output `index`
    int index;
  };

  explicit Editor(ir::Graph& graph);
  // Erases what was released. True when anything changed. Call it last.
  bool finish();

  ir::Graph& graph() noexcept { return graph_; }
  // Producers first. Computed now; holds released nodes too if it was taken before they were.
  std::vector<ir::Node*> order() const { return graph_.topological_order(); }
  bool released(const ir::Node* node) const { return released_.contains(node); }
  const std::vector<Use>& uses(ir::Value value) const;
  // The node that alone uses the value, and once; null otherwise, also when the value is an output of the graph.
  ir::Node* sole_user(ir::Value value) const;
  // True when the node may be folded into its only user: pure, and nothing waits for it by a control edge nor it for others.
  bool absorbable(const ir::Node* node) const;

  void set_input(ir::Node* node, std::size_t index, ir::Value value);
  // Every user of `from` but `except` uses `to` instead. A producer that nobody needs any more is released, and so are its
  // producers.
  void replace(ir::Value from, ir::Value to, const ir::Node* except = nullptr);
  // A new node with one output of this type.
  ir::Node* add(std::string_view op, const std::string& name, std::vector<ir::Value> inputs, ir::Attrs attrs, ir::ValueType type);
  ir::Value constant(Tensor tensor, const std::string& name);
  // Turns a node into another op in place: its name, users and types stay. `absorbed` are the nodes whose work it now does
  // besides; their names go to its origin.
  void become(ir::Node* node, std::string_view op, std::vector<ir::Value> inputs, ir::Attrs attrs,
              std::span<ir::Node* const> absorbed = {});
  void become_constant(ir::Node* node, Tensor tensor);
  // Releases nodes that nobody needs, from the start on.
  void release_unused();

 private:
  // The uses of one value. Where there are many, a table finds one of them without a search.
  struct UseList {
    std::vector<Use> items;
    std::unordered_map<ir::Value, std::size_t, ir::ValueHash> places;  // consumer and operand -> index; only for long lists
    void add(Use use);
    void remove(const ir::Node* consumer, int index);
  };

  void add_use(ir::Value value, Use use) { uses_[value].add(use); }
  void drop_use(ir::Value value, const ir::Node* consumer, int index);
  void release_if_unused(ir::Node* node);

  ir::Graph& graph_;
  std::unordered_map<ir::Value, UseList, ir::ValueHash> uses_;
  std::unordered_set<const ir::Node*> pinned_;  // named by control edges or control outputs
  std::unordered_set<const ir::Node*> released_;
  bool changed_ = false;
};

// The value's type.
inline const ir::ValueType& type_of(ir::Value value) { return value.node->outputs[static_cast<std::size_t>(value.index)]; }
inline const PartialShape& shape_of(ir::Value value) { return type_of(value).shape; }
inline bool is_float(ir::Value value) { return type_of(value).dtype == DataType::kFloat32; }
// Shapes that are certainly equal: known rank, same numbers and symbols.
bool same_shape(const PartialShape& a, const PartialShape& b);
// The last dim when it is a known number, else -1.
std::int64_t last_dim(ir::Value value);

// The tensor of a const node, else null.
const Tensor* constant_of(ir::Value value);
// The number a float32 constant of one element holds.
std::optional<float> scalar_of(ir::Value value);
// True for a float32 constant scalar of this value, to 1e-6 relative.
bool is_scalar(ir::Value value, float wanted);
// The elements of an integer constant (int32 or int64) of rank 0 or 1.
std::optional<std::vector<std::int64_t>> integers_of(ir::Value value);
// Tables by channel are made for so many channels at most: a type may name any number, without data of that size.
inline constexpr std::int64_t kMostChannels = std::int64_t{1} << 22;
// A float32 constant that varies at most along the last dim when it broadcasts against a value of `rank` dims with `channels` in
// the last: its values for each channel. Nothing for more than kMostChannels.
std::optional<std::vector<float>> channels_of(ir::Value value, int rank, std::int64_t channels);
// The shape as the constant target of a reshape: at most one size may be unknown (-1), and then none may be 0.
std::optional<std::vector<std::int64_t>> reshape_target(const PartialShape& shape);
Tensor float_vector(std::span<const float> values);
Tensor int_vector(std::span<const std::int64_t> values);

// One of the two operands of a commutative node for which test(operand) holds, and the other one.
template <class F>
std::optional<std::pair<ir::Value, ir::Value>> either(const ir::Node& node, F&& test) {
  if (node.inputs.size() != 2) return std::nullopt;
  if (test(node.inputs[0])) return std::pair(node.inputs[0], node.inputs[1]);
  if (test(node.inputs[1])) return std::pair(node.inputs[1], node.inputs[0]);
  return std::nullopt;
}

}  // namespace tenon::passes
