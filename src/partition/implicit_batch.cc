#include "partition/implicit_batch.h"

#include <algorithm>

#include "partition/partition.h"

namespace tenon::partition {
namespace {

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs[static_cast<std::size_t>(value.index)]; }
const PartialShape& shape_of(const ir::Value& value) { return type_of(value).shape; }

bool takes_shape(const ir::Node& node) {
  return node.is("shape") || node.is("shape_n") || node.is("size") || node.is("rank");
}

bool is_plain(const ir::Node& node) {
  return node.op->traits == ir::kPure && node.op->evaluate != nullptr && !node.inputs.empty() && !node.outputs.empty() &&
         std::ranges::all_of(node.outputs, [](const ir::ValueType& type) {
           return type.dtype != DataType::kString && type.dtype != DataType::kResource && type.dtype != DataType::kVariant;
         });
}

// A known batch may be the unknown one of a call where rows are taken together: concat(x[-1,4], y[8,4]).
bool may_be_the_batch(const ir::Node& node, const ir::Value& input) {
  if (!shape_of(input)[0].known() || shape_of(input)[0].size() == 1 || !pairs_rows(node)) return false;
  return std::ranges::all_of(node.inputs, [&](const ir::Value& other) {
    return !shape_of(other).known_rank() || shape_of(other).rank() <= shape_of(input).rank();
  });
}

}  // namespace

void ImplicitBatch::note_inputs(const ir::Node& node) {
  for (const ir::Value& input : node.inputs) {
    const PartialShape& shape = shape_of(input);
    if (!input.node->inputs.empty() || is_constant_(input) || !shape.known_rank() || shape.rank() == 0 || shape[0].known())
      continue;
    if (std::ranges::find(given_, shape[0]) == given_.end()) given_.push_back(shape[0]);
  }
}

// Makes two batches one where they are equal or inputs of the graph have them, whose unknown batches are taken for equal.
bool ImplicitBatch::join(const Dim& a, const Dim& b) {
  if (classes_.same(a, b)) return true;
  const auto is_given = [&](const Dim& dim) {
    return std::ranges::any_of(given_, [&](const Dim& known) { return equal_.same(known, dim); });
  };
  if (!is_given(a) || !is_given(b)) return false;
  classes_.unite(a.symbol_id(), b.symbol_id());
  equal_.unite(a.symbol_id(), b.symbol_id());
  return true;
}

bool ImplicitBatch::add(const ir::Node& node, std::string& reason) {
  note_inputs(node);
  if (add_sizes(node, reason)) return true;
  if (!reason.empty()) return false;
  const auto needs_no_batch = [&](const ir::Value& value) { return is_constant_(value) || is_sizes(*value.node); };
  const std::optional<Dim> moved = moved_batch(node);
  std::optional<Dim> batch = moved ? moved : batch_of(node, needs_no_batch, reason);
  const bool is_first_sizes = !node.inputs.empty() && is_sizes(*node.inputs[0].node);
  if (!moved && (!batch || is_first_sizes)) {  // concat(zeros, x), split(axis, x): x decides
    const bool is_first_data = !node.inputs.empty() && !needs_no_batch(node.inputs[0]);
    if (const auto other = is_first_data ? std::nullopt : data_batch(node)) {
      batch = other;
      reason.clear();
    }
  }
  if (!batch) return false;
  for (const ir::Value& input : node.inputs) {
    if (is_sizes(*input.node) && !join(batch_.at(input.node), *batch) && !joins(node, input, *batch)) {
      reason = "implicit batch mode: it reads sizes of a tensor with another batch";
      return false;
    }
  }
  batch_[&node] = *batch;
  if (moves_batch(node, *batch)) {
    moved_[&node] = *batch;
    return true;
  }
  equal_.add(node, needs_no_batch);
  classes_.add(node, needs_no_batch);
  follow_sizes(node, *batch);
  return true;
}

bool ImplicitBatch::add_loop_part(const ir::Node& node, std::string& reason) {
  note_inputs(node);
  std::optional<Dim> batch;
  for (const ir::Value& input : node.inputs) {
    if (is_constant_(input) || type_of(input).dtype == DataType::kResource || any_batch_.contains(input.node)) continue;
    const std::optional<Dim> own = is_sizes(*input.node) ? batch_.at(input.node) : own_batch(input);
    if (!own || (batch && !join(*batch, *own))) {
      reason = own ? "implicit batch mode: its inputs have different batches" : "implicit batch mode: an input has no batch";
      return false;
    }
    batch = own;
  }
  if (!batch) {
    any_batch_.insert(&node);
  } else {
    batch_[&node] = moved_[&node] = *batch;
  }
  return true;
}

// True when the node was taken as arithmetic on sizes. False with a reason when it is that and cannot be taken.
bool ImplicitBatch::add_sizes(const ir::Node& node, std::string& reason) {
  if (!is_plain(node)) return false;
  std::optional<Dim> batch;
  for (const ir::Value& input : node.inputs) {
    if (is_constant_(input)) continue;
    std::optional<Dim> own;
    if (is_sizes(*input.node)) {
      own = batch_.at(input.node);
    } else if (takes_shape(node)) {
      own = own_batch(input);
    }
    if (!own) return false;
    if (batch && !join(*batch, *own)) {
      reason = "implicit batch mode: it reads sizes of tensors with different batches";
      return false;
    }
    batch = own;
  }
  if (!batch) return false;
  batch_[&node] = *batch;
  sizes_.insert(&node);
  return true;
}

// The batch that a value belongs to, when that can be told.
std::optional<Dim> ImplicitBatch::own_batch(const ir::Value& value) const {
  if (const auto found = moved_.find(value.node); found != moved_.end()) return found->second;
  if (shape_of(value).known_rank() && shape_of(value).rank() > 0) return shape_of(value)[0];
  return std::nullopt;
}

// Of an operand that has its batch elsewhere than in dimension 0.
std::optional<Dim> ImplicitBatch::moved_batch(const ir::Node& node) const {
  for (const ir::Value& input : node.inputs) {
    if (const auto found = moved_.find(input.node); found != moved_.end()) return found->second;
  }
  return std::nullopt;
}

// An element-wise op on a tensor that has the sizes of one of another unknown batch (a mask of ones, say) takes the two
// batches for one, as it does with those of two inputs.
bool ImplicitBatch::joins(const ir::Node& node, const ir::Value& sizes, const Dim& batch) {
  const Dim other = batch_.at(sizes.node);
  const PartialShape& shape = shape_of(sizes);
  if (!pairs_rows(node) || batch.known() || other.known()) return false;
  if (!shape.known_rank() || shape.rank() < 2 || shape[0].known()) return false;
  equal_.unite(batch.symbol_id(), other.symbol_id());
  classes_.unite(batch.symbol_id(), other.symbol_id());
  return true;
}

// Whether results have the batch elsewhere than in dimension 0.
bool ImplicitBatch::moves_batch(const ir::Node& node, const Dim& batch) const {
  const bool from_moved = moved_batch(node).has_value();
  return std::ranges::any_of(node.outputs, [&](const ir::ValueType& type) {
    if (!type.shape.known_rank() || type.shape.rank() == 0) return from_moved;
    if (classes_.same(type.shape[0], batch)) return false;
    if (from_moved) return true;
    return !batch.known() &&
           std::ranges::any_of(type.shape.dims(), [&](const Dim& dim) { return classes_.same(dim, batch); });
  });
}

// Dimension 0 of the first operand that has a batch.
std::optional<Dim> ImplicitBatch::data_batch(const ir::Node& node) const {
  for (const ir::Value& input : node.inputs) {
    if (is_constant_(input) || is_sizes(*input.node)) continue;
    if (shape_of(input).known_rank() && shape_of(input).rank() >= 2) return shape_of(input)[0];
  }
  return std::nullopt;
}

// What was brought to a computed shape belongs to the batch that it was computed from.
void ImplicitBatch::follow_sizes(const ir::Node& node, const Dim& batch) {
  if (batch.known() || std::ranges::none_of(node.inputs, [&](const ir::Value& v) { return is_sizes(*v.node); })) return;
  for (const ir::ValueType& type : node.outputs) {
    if (!type.shape.known_rank() || type.shape.rank() == 0) continue;
    const Dim first = type.shape[0];
    if (first.known() || classes_.same(first, batch)) continue;
    classes_.unite(first.symbol_id(), batch.symbol_id());
    made_from_sizes_.insert(first.symbol_id());
  }
}

// Whether a value from outside can have the batch of a node that reads it.
bool ImplicitBatch::fits(const ir::Node& node, const ir::Value& input, const std::vector<ir::Value>& inputs) const {
  if (!shape_of(input).known_rank() || shape_of(input).rank() == 0) return false;
  const Dim own = shape_of(input)[0], batch = batch_.at(&node);
  const bool moved = moved_batch(node).has_value();
  if (moved_.contains(input.node))
    return std::ranges::all_of(inputs, [&](const ir::Value& other) { return equal_.same(own, shape_of(other)[0]); });
  if (moved || is_sizes(*input.node)) return equal_.same(own, batch);
  if (own.known() != batch.known()) return may_be_the_batch(node, input);
  if (own.known()) return own == batch;
  if (!is_made_from_sizes(own)) return equal_.same(own, batch) || !is_made_from_sizes(batch);
  return std::ranges::all_of(inputs, [&](const ir::Value& other) { return equal_.same(own, shape_of(other)[0]); });
}

std::vector<const ir::Node*> ImplicitBatch::misplaced(const SegmentPlan& plan) const {
  std::unordered_set<ir::Value, ir::ValueHash> data;
  std::vector<ir::Value> with_batch;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const ir::Value& input = plan.inputs[i];
    if (type_of(input).dtype == DataType::kResource || plan.known[i]) continue;
    data.insert(input);
    if (shape_of(input).known_rank() && shape_of(input).rank() > 0 && !is_sizes(*input.node)) with_batch.push_back(input);
  }
  std::vector<const ir::Node*> found;
  for (const ir::Node* node : plan.nodes) {
    if (std::ranges::any_of(node->inputs,
                            [&](const ir::Value& v) { return data.contains(v) && !fits(*node, v, with_batch); })) {
      found.push_back(node);
    }
  }
  return found;
}

}  // namespace tenon::partition
