// Type and shape inference over a graph, with symbols for unknown sizes and evaluation of what is constant.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "ir/infer_context.h"

namespace tenon::ops {

struct InferenceOptions {
  // Types of a function's results; empty when unknown.
  std::function<std::vector<ir::ValueType>(const ir::FunctionRef&)> function_types;
  // A value that is constant although no const node says so (a frozen variable's); invalid tensor: none.
  std::function<Tensor(ir::Value)> constant;
  // Results with more elements are not evaluated to learn constants.
  std::int64_t max_constant_elements = 1 << 16;
  // Types already on the graph's values are kept where inference knows less.
  bool keep_known = true;
  // A node whose operands cannot be keeps outputs of unknown shape instead of making infer() throw: it fails when it is run.
  bool tolerate_errors = false;
};

// What inference found besides the types on the nodes.
class Facts : public ir::InferFacts {
 public:
  Facts(SymbolSource& symbols, InferenceOptions options) : symbols_(symbols), options_(std::move(options)) {}

  const Tensor* constant(ir::Value value) override;
  std::optional<std::vector<Dim>> dims(ir::Value value) override;
  void set_dims(ir::Value value, std::vector<Dim> dims) override { dims_[value] = std::move(dims); }
  SymbolSource& symbols() override { return symbols_; }
  std::vector<ir::ValueType> function_types(const ir::FunctionRef& function) override;
  void set_constant(ir::Value value, Tensor tensor) { constants_[value] = std::move(tensor); }

 private:
  SymbolSource& symbols_;
  InferenceOptions options_;
  std::unordered_map<ir::Value, Tensor, ir::ValueHash> constants_;
  std::unordered_map<ir::Value, std::vector<Dim>, ir::ValueHash> dims_;
};

// Fresh symbols will differ from those that the graph has.
void skip_used_symbols(const ir::Graph& graph, SymbolSource& symbols);

// Sets the types of every node's outputs, producers first. Pure nodes whose operands are all constant and whose results are
// small are evaluated and remembered in `facts`. Throws kInvalidModel for a node whose operands cannot be.
void infer(ir::Graph& graph, Facts& facts, const InferenceOptions& options);
void infer_node(ir::Node& node, Facts& facts, const InferenceOptions& options);

}  // namespace tenon::ops
