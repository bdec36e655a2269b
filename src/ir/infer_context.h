// What an op's infer() sees: the types of its operands, constants among them, and where the results go.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "ir/graph.h"

namespace tenon::ir {

// Knowledge about the graph that shape inference gathers; implemented by ops/inference.cc.
class InferFacts {
 public:
  virtual ~InferFacts() = default;
  // The operand's value when it is known before running, else null.
  virtual const Tensor* constant(Value value) = 0;
  // An integer vector (or scalar, as rank-1 shape of one) read as sizes: numbers and symbols; nothing when unknown. A size of -1
  // is Dim symbol only when it stands for an unknown; a literal -1 yields nothing for that position's vector.
  virtual std::optional<std::vector<Dim>> dims(Value value) = 0;
  virtual void set_dims(Value value, std::vector<Dim> dims) = 0;
  virtual SymbolSource& symbols() = 0;
  // The result types of a function for these arguments; empty when the function is unknown.
  virtual std::vector<ValueType> function_types(const FunctionRef& function) = 0;
};

class InferContext {
 public:
  InferContext(Node& node, InferFacts& facts) : node_(node), facts_(facts) {}

  const Node& node() const { return node_; }
  const Attrs& attrs() const { return node_.attrs; }
  int num_inputs() const { return static_cast<int>(node_.inputs.size()); }
  int num_outputs() const { return static_cast<int>(node_.outputs.size()); }
  // Throws kInvalidModel when the node has fewer operands.
  const ValueType& input(int i) const;
  DataType input_dtype(int i) const { return input(i).dtype; }
  const PartialShape& input_shape(int i) const { return input(i).shape; }
  // The operand's value when it is known, else null. Valid until infer() returns.
  const Tensor* constant(int i) const;
  // The elements of a known integer operand (int32 or int64) of rank 0 or 1; nothing when unknown.
  std::optional<std::vector<std::int64_t>> constant_integers(int i) const;
  // A rank-0 or rank-1 integer operand read as sizes, symbols included (the result of Shape, Pack, …); nothing when unknown.
  std::optional<std::vector<Dim>> dims(int i) const;
  // The same for any value that was inferred before this node.
  const Tensor* constant(Value value) const { return facts_.constant(value); }
  std::optional<std::vector<Dim>> dims(Value value) const { return facts_.dims(value); }
  Dim fresh() { return facts_.symbols().fresh(); }
  PartialShape fresh_shape(int rank) { return facts_.symbols().fresh_shape(rank); }
  std::vector<ValueType> function_types(const FunctionRef& function) { return facts_.function_types(function); }

  // Grows or shrinks the node's outputs; needed only by ops whose number of outputs an attribute decides.
  void set_num_outputs(int count);
  void set_output(int i, DataType dtype, PartialShape shape);
  // States the elements of integer output i as sizes.
  void set_dims(int i, std::vector<Dim> dims) { facts_.set_dims({&node_, i}, std::move(dims)); }

  // kInvalidModel, prefixed with the node's description.
  template <class... Args>
  [[noreturn]] void fail_node(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidModel, "{}: {}", node_.describe(), fmt::format(format, std::forward<Args>(args)...));
  }
  // Throws unless the node has between `least` and `most` operands.
  void expect_inputs(int least, int most) const;
  void expect_inputs(int count) const { expect_inputs(count, count); }
  // Throws unless the rank of operand i is unknown or `rank`.
  void expect_rank(int i, int rank) const;

 private:
  Node& node_;
  InferFacts& facts_;
};

// The shape two operands have after NumPy broadcasting. Throws via ctx when known sizes clash.
PartialShape broadcast_shapes(InferContext& ctx, const PartialShape& a, const PartialShape& b);
// What is known when both are known to describe one tensor. Throws via ctx on a clash.
PartialShape merge_shapes(InferContext& ctx, const PartialShape& a, const PartialShape& b);
// An axis in [-rank, rank) as [0, rank); throws via ctx otherwise.
int normalize_axis(const InferContext& ctx, std::int64_t axis, int rank);

}  // namespace tenon::ir
