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

// Positions of the operands that decide.
std::vector<std::size_t> deciding(const ir::Node& node) {
  const std::string& op = node.origin.op_type;
  if (op == "Conv2DBackpropInput" || op == "Conv3DBackpropInputV2") return {2};
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
  for (const std::size_t i : deciding(node)) {
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

}  // namespace tenon::partition
