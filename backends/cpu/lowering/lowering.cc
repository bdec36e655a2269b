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

namespace {

constexpr std::size_t kMostNodes = 300;  // of a chain of arithmetic on sizes

bool is_shape_op(const ir::Node& node) { return node.is("shape") || node.is("shape_n") || node.is("size") || node.is("rank"); }

// A state of a loop differs from round to round: no size can come from it.
bool is_size_input(const ir::Node& node) {
  return node.op->is(ir::kSource) && !node.outputs.empty() && !node.attr_or<bool>(kLoopState, false) &&
         (node.outputs[0].dtype == DataType::kInt32 || node.outputs[0].dtype == DataType::kInt64);
}

// The first node behind `start` that is neither a shape nor a constant nor pure; null when there is none.
const ir::Node* find_data(const std::vector<ir::Value>& start, bool sizes_may_be_inputs) {
  std::unordered_set<const ir::Node*> seen;
  std::vector<const ir::Node*> work;
  for (const ir::Value& value : start) work.push_back(value.node);
  while (!work.empty()) {
    const ir::Node* at = work.back();
    work.pop_back();
    if (!seen.insert(at).second || is_shape_op(*at) || at->is("read_variable")) continue;
    if (sizes_may_be_inputs && is_size_input(*at)) continue;
    if (at->op->traits != ir::kPure || seen.size() > kMostNodes) return at;
    for (const ir::Value& input : at->inputs) work.push_back(input.node);
  }
  return nullptr;
}

}  // namespace

Verdict require_known(const ir::Node& node, int operand, std::string_view what) {
  const ir::Node* data = find_data({node.inputs.at(static_cast<std::size_t>(operand))}, true);
  if (data == nullptr) return Verdict::yes();
  return Verdict::no(fmt::format("{} depends on data (on {}): an engine needs it to follow from shapes", what, data->describe()));
}

bool follows_from_shapes(const ir::Node& node) {
  if (node.op->traits != ir::kPure || node.op->evaluate == nullptr) return false;
  for (const ir::ValueType& type : node.outputs) {
    if (type.dtype == DataType::kString || type.dtype == DataType::kResource || type.dtype == DataType::kVariant) return false;
    constexpr std::int64_t kMostElements = 4096;
    const auto elements = type.shape.num_elements();
    if (elements && *elements > kMostElements) return false;
  }
  return find_data(node.inputs, false) == nullptr;
}

}  // namespace tenon::cpu
