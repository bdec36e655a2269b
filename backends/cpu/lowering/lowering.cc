#include "backends/cpu/lowering/lowering.h"

#include <unordered_set>

#include "base/error.h"

namespace tenon::cpu {

std::vector<std::int64_t> PlanContext::integers(int i) const {
  const Place& place = operand(i);
  if (place.constant == nullptr) {
    fail(ErrorCode::kUnsupported, "{}: operand {} must be known before running, but it depends on data", node_->describe(), i);
  }
  std::vector<std::int64_t> values;
  if (place.dtype == DataType::kInt32) {
    for (const auto v : place.constant->flat<std::int32_t>()) values.push_back(v);
  } else if (place.dtype == DataType::kInt64) {
    for (const auto v : place.constant->flat<std::int64_t>()) values.push_back(v);
  } else {
    fail(ErrorCode::kUnsupported, "{}: operand {} must be int32 or int64, found {}", node_->describe(), i, dtype_name(place.dtype));
  }
  return values;
}

Verdict require_float32(const ir::Node& node, int operands) {
  for (int i = 0; i < operands && i < static_cast<int>(node.inputs.size()); ++i) {
    const ir::Value& input = node.inputs[static_cast<std::size_t>(i)];
    const DataType dtype = input.node->outputs[static_cast<std::size_t>(input.index)].dtype;
    if (dtype != DataType::kFloat32) {
      return Verdict::no(fmt::format("{} needs float32 operands, operand {} is {}", node.op->name, i,
                                     dtype == DataType::kInvalid ? "of unknown dtype" : dtype_name(dtype)));
    }
  }
  return Verdict::yes();
}

Verdict require_rank(const ir::Node& node, int operand, int rank) {
  const ir::Value& input = node.inputs[static_cast<std::size_t>(operand)];
  const PartialShape& shape = input.node->outputs[static_cast<std::size_t>(input.index)].shape;
  if (!shape.known_rank() || shape.rank() == rank) return Verdict::yes();
  return Verdict::no(fmt::format("{} needs an operand of rank {}, found {}", node.op->name, rank, shape.to_string()));
}

Verdict require_known(const ir::Node& node, int operand, std::string_view what) {
  constexpr std::size_t kLimit = 200;
  std::unordered_set<const ir::Node*> seen;
  std::vector<const ir::Node*> work = {node.inputs[static_cast<std::size_t>(operand)].node};
  while (!work.empty()) {
    const ir::Node* at = work.back();
    work.pop_back();
    if (!seen.insert(at).second || at->is("shape") || at->is("shape_n") || at->is("size") || at->is("rank")) continue;
    if (at->is("read_variable")) continue;
    const bool source = at->op->is(ir::kSource);
    if (source && !at->outputs.empty() && (at->outputs[0].dtype == DataType::kInt32 || at->outputs[0].dtype == DataType::kInt64)) continue;
    if (source || at->op->traits != ir::kPure || seen.size() > kLimit) {
      return Verdict::no(fmt::format("{} depends on data (on {}): an engine needs it to follow from shapes", what, at->describe()));
    }
    for (const ir::Value& input : at->inputs) work.push_back(input.node);
  }
  return Verdict::yes();
}

}  // namespace tenon::cpu
