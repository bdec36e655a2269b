#include "partition/batch.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace tenon::partition {
namespace {

const PartialShape& shape_of(const ir::Value& value) { return value.node->outputs[static_cast<std::size_t>(value.index)].shape; }

bool broadcasts(std::string_view op) {
  static constexpr std::array kOps = {"Add", "AddV2", "Mul", "Sub", "Div", "FloorDiv", "RealDiv", "Minimum", "Maximum", "Pow", "BiasAdd",
                                      "SquaredDifference", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"};
  return std::ranges::find(kOps, op) != kOps.end();
}

// Element-wise ops beyond those: the first operand decides, the others have its batch or one element for all of it.
bool is_elementwise(std::string_view op) {
  static constexpr std::array kOps = {"AddN", "Select", "SelectV2", "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual",
                                      "LogicalAnd", "LogicalOr", "FloorMod", "Mod", "TruncateDiv", "DivNoNan", "MulNoNan", "Xdivy", "Xlogy",
                                      "Atan2", "ClipByValue"};
  return broadcasts(op) || std::ranges::find(kOps, op) != kOps.end();
}

bool is_gather(std::string_view op) { return op == "Gather" || op == "GatherV2" || op == "ResourceGather"; }

// Positions of the operands that decide.
std::vector<std::size_t> deciding(const ir::Node& node, const std::function<bool(const ir::Value&)>& is_constant) {
  const std::string& op = node.origin.op_type;
  if (op == "Conv2DBackpropInput" || op == "Conv3DBackpropInputV2") return {2};
  // Rows of a constant table: the batch is that of the numbers that choose them.
  if (is_gather(op) && node.inputs.size() > 1 && is_constant(node.inputs[0])) return {1};
  if (!broadcasts(op)) return {0};
  std::vector<std::size_t> all(node.inputs.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

}  // namespace

std::optional<Dim> batch_of(const ir::Node& node, const std::function<bool(const ir::Value&)>& is_constant, std::string& reason) {
  for (const ir::Value& input : node.inputs) {
    const ir::ValueType& type = input.node->outputs[static_cast<std::size_t>(input.index)];
    if (type.dtype == DataType::kResource || is_constant(input)) continue;
    if (!type.shape.known_rank()) return reason = "implicit batch mode: an input has unknown rank", std::nullopt;
    if (type.shape.rank() == 0) return reason = "implicit batch mode: an input is a scalar", std::nullopt;
  }
  const PartialShape* leading = nullptr;
  for (const std::size_t i : deciding(node, is_constant)) {
    if (i >= node.inputs.size()) continue;
    const PartialShape& shape = shape_of(node.inputs[i]);
    if (!shape.known_rank()) return reason = "implicit batch mode: an input has unknown rank", std::nullopt;
    if (leading == nullptr || shape.rank() > leading->rank()) {
      leading = &shape;
      continue;
    }
    if (shape.rank() < leading->rank() || shape.rank() == 0) continue;
    const Dim one = (*leading)[0], other = shape[0];
    if (one == other) continue;
    if (one.known() && other.known()) {
      if (other.size() > one.size()) leading = &shape;
    } else if (!one.known() && !other.known()) {
      continue;  // taken for equal; a call finds out
    } else if (!other.known() && one.known() && one.size() <= 1) {
      leading = &shape;
    } else if (!(other.known() && other.size() <= 1)) {
      return reason = "implicit batch mode: its inputs have different batches", std::nullopt;
    }
  }
  if (leading == nullptr || leading->rank() < 2) {
    return reason = "implicit batch mode requires input shape with at least two dimensions", std::nullopt;
  }
  return (*leading)[0];
}

bool pairs_rows(const ir::Node& node) {
  const std::string& op = node.origin.op_type;
  return is_elementwise(op) || op == "ConcatV2" || op == "Concat";
}

void BatchClasses::add(const ir::Node& node, const std::function<bool(const ir::Value&)>& is_constant) {
  if (!is_elementwise(node.origin.op_type)) return;
  int rank = -1;
  const auto each_operand = [&](auto&& use) {
    for (const ir::Value& input : node.inputs) {
      if (!is_constant(input) && shape_of(input).known_rank()) use(shape_of(input));
    }
  };
  each_operand([&](const PartialShape& shape) { rank = std::max(rank, shape.rank()); });
  if (rank < 1) return;
  Dim first = 0;
  const auto tie = [&](const PartialShape& shape) {
    if (shape.rank() != rank || shape[0].known()) return;
    if (!first.known()) unite(first.symbol_id(), shape[0].symbol_id());
    first = shape[0];
  };
  each_operand(tie);
  for (const ir::ValueType& output : node.outputs) {
    if (output.shape.known_rank()) tie(output.shape);
  }
}

std::int64_t BatchClasses::root(std::int64_t symbol) const {
  for (auto it = parent_.find(symbol); it != parent_.end(); it = parent_.find(symbol)) symbol = it->second;
  return symbol;
}

void BatchClasses::unite(std::int64_t a, std::int64_t b) {
  a = root(a);
  b = root(b);
  if (a != b) parent_[std::max(a, b)] = std::min(a, b);
}

bool BatchClasses::same(const Dim& a, const Dim& b) const {
  if (a.known() || b.known()) return a == b;
  return root(a.symbol_id()) == root(b.symbol_id());
}

}  // namespace tenon::partition
