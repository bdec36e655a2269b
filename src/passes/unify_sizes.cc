// add(x[s0,4], y[s1,4]) -> s1 becomes s0: unknown sizes of two inputs that meet in an element-wise op are taken as equal.
#include <algorithm>

#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

// Symbols of the parameters and which of them are taken as equal: the smallest number stands for all.
class Classes {
 public:
  explicit Classes(const ir::Graph& graph) {
    for (const ir::Node* parameter : graph.parameters) {
      const PartialShape& shape = parameter->outputs[0].shape;
      if (!shape.known_rank()) continue;
      for (Dim dim : shape.dims()) {
        if (!dim.known()) parent_.emplace(dim.symbol_id(), dim.symbol_id());
      }
    }
  }

  bool join(Dim a, Dim b) {
    if (a.known() || b.known() || !parent_.contains(a.symbol_id()) || !parent_.contains(b.symbol_id())) return false;
    const std::int64_t x = find(a.symbol_id()), y = find(b.symbol_id());
    if (x == y) return false;
    parent_[std::max(x, y)] = std::min(x, y);
    return true;
  }

  Dim representative(Dim dim) {
    if (dim.known() || !parent_.contains(dim.symbol_id())) return dim;
    return Dim::symbol(find(dim.symbol_id()));
  }

 private:
  std::int64_t find(std::int64_t symbol) {
    while (parent_.at(symbol) != symbol) symbol = parent_[symbol] = parent_.at(parent_.at(symbol));
    return symbol;
  }
  std::unordered_map<std::int64_t, std::int64_t> parent_;
};

bool is_elementwise(const ir::Node& node) {
  static constexpr std::string_view kOps[] = {"add", "sub", "mul", "div", "maximum", "minimum", "squared_difference", "select_v2"};
  return std::any_of(std::begin(kOps), std::end(kOps), [&](std::string_view op) { return node.is(op); });
}

bool join_operands(const ir::Node& node, Classes& classes) {
  bool changed = false;
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    const PartialShape &a = shape_of(node.inputs[0]), &b = shape_of(node.inputs[i]);
    if (!a.known_rank() || !b.known_rank()) continue;
    for (int back = 1; back <= std::min(a.rank(), b.rank()); ++back) changed |= classes.join(a[a.rank() - back], b[b.rank() - back]);
  }
  return changed;
}

}  // namespace

bool unify_sizes(ir::Graph& graph) {
  Classes classes(graph);
  bool changed = false;
  for (const auto& node : graph.nodes()) {
    if (is_elementwise(*node)) changed |= join_operands(*node, classes);
  }
  if (!changed) return false;
  const auto rewrite = [&](PartialShape& shape) {
    if (!shape.known_rank()) return;
    for (Dim& dim : shape.dims()) dim = classes.representative(dim);
  };
  for (const auto& node : graph.nodes()) {
    for (ir::ValueType& type : node->outputs) rewrite(type.shape);
  }
  for (ir::Node* parameter : graph.parameters) {
    if (parameter->attrs.has("shape")) parameter->attrs.set("shape", parameter->outputs[0].shape);
  }
  return true;
}

}  // namespace tenon::passes
