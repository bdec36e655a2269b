#include "passes/editor.h"

#include <algorithm>
#include <cmath>

#include "ops/registry.h"

namespace tenon::passes {

Editor::Editor(ir::Graph& graph) : graph_(graph) {
  for (const auto& node : graph.nodes()) {
    for (std::size_t i = 0; i < node->inputs.size(); ++i) add_use(node->inputs[i], {node.get(), static_cast<int>(i)});
    for (const ir::Node* control : node->control_inputs) pinned_.insert(control);
  }
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) add_use(graph.outputs[i], {nullptr, static_cast<int>(i)});
  for (const ir::Node* node : graph.control_outputs) pinned_.insert(node);
}

bool Editor::finish() {
  if (!released_.empty()) graph_.erase_unless([&](const ir::Node& node) { return !released_.contains(&node); });
  released_.clear();
  return changed_;
}

const std::vector<Editor::Use>& Editor::uses(ir::Value value) const {
  static const std::vector<Use> kNone;
  const auto it = uses_.find(value);
  return it == uses_.end() ? kNone : it->second.items;
}

namespace {

constexpr std::size_t kLongList = 64;

ir::Value place_key(const ir::Node* consumer, int index) { return {const_cast<ir::Node*>(consumer), index}; }

}  // namespace

void Editor::UseList::add(Use use) {
  items.push_back(use);
  if (items.size() < kLongList) return;
  if (places.empty()) {
    for (std::size_t i = 0; i < items.size(); ++i) places.emplace(place_key(items[i].consumer, items[i].index), i);
  } else {
    places.emplace(place_key(use.consumer, use.index), items.size() - 1);
  }
}

// The last use takes the place of the one that goes.
void Editor::UseList::remove(const ir::Node* consumer, int index) {
  std::size_t place = 0;
  if (places.empty()) {
    while (place < items.size() && !(items[place].consumer == consumer && items[place].index == index)) ++place;
  } else {
    const auto it = places.find(place_key(consumer, index));
    place = it == places.end() ? items.size() : it->second;
  }
  if (place >= items.size()) return;
  items[place] = items.back();
  items.pop_back();
  if (places.empty()) return;
  places.erase(place_key(consumer, index));
  if (place < items.size()) places[place_key(items[place].consumer, items[place].index)] = place;
}

ir::Node* Editor::sole_user(ir::Value value) const {
  const auto& list = uses(value);
  return list.size() == 1 ? list[0].consumer : nullptr;
}

bool Editor::absorbable(const ir::Node* node) const {
  return node->op->traits == ir::kPure && !pinned_.contains(node) && node->control_inputs.empty();
}

void Editor::drop_use(ir::Value value, const ir::Node* consumer, int index) { uses_[value].remove(consumer, index); }

void Editor::set_input(ir::Node* node, std::size_t index, ir::Value value) {
  const ir::Value before = node->inputs[index];
  if (before == value) return;
  changed_ = true;
  node->inputs[index] = value;
  add_use(value, {node, static_cast<int>(index)});
  drop_use(before, node, static_cast<int>(index));
  release_if_unused(before.node);
}

void Editor::replace(ir::Value from, ir::Value to, const ir::Node* except) {
  if (from == to) return;
  changed_ = true;
  const std::vector<Use> all = std::move(uses_[from].items);
  uses_[from] = {};
  for (const Use& use : all) {
    if (use.consumer != nullptr && use.consumer == except) {
      add_use(from, use);
      continue;
    }
    if (use.consumer != nullptr) {
      use.consumer->inputs[static_cast<std::size_t>(use.index)] = to;
    } else {
      graph_.outputs[static_cast<std::size_t>(use.index)] = to;
    }
    add_use(to, use);
  }
  release_if_unused(from.node);
}

ir::Node* Editor::add(std::string_view op, const std::string& name, std::vector<ir::Value> inputs, ir::Attrs attrs, ir::ValueType type) {
  changed_ = true;
  ir::Node* node = graph_.add(ops::op(op), name, std::move(inputs), std::move(attrs));
  for (std::size_t i = 0; i < node->inputs.size(); ++i) add_use(node->inputs[i], {node, static_cast<int>(i)});
  node->outputs[0] = std::move(type);
  return node;
}

ir::Value Editor::constant(Tensor tensor, const std::string& name) {
  ir::Attrs attrs;
  ir::ValueType type{tensor.dtype(), tensor.shape()};
  attrs.set("value", std::move(tensor));
  return add("const", name, {}, std::move(attrs), std::move(type))->output();
}

void Editor::become(ir::Node* node, std::string_view op, std::vector<ir::Value> inputs, ir::Attrs attrs,
                    std::span<ir::Node* const> absorbed) {
  changed_ = true;
  for (const ir::Node* other : absorbed) {
    if (other == node || other->is("const")) continue;
    node->origin.merged.push_back(other->name);
    node->origin.merged.insert(node->origin.merged.end(), other->origin.merged.begin(), other->origin.merged.end());
  }
  const std::vector<ir::Value> before = std::move(node->inputs);
  node->op = &ops::op(op);
  node->inputs = std::move(inputs);
  node->attrs = std::move(attrs);
  for (std::size_t i = 0; i < node->inputs.size(); ++i) add_use(node->inputs[i], {node, static_cast<int>(i)});
  for (std::size_t i = 0; i < before.size(); ++i) drop_use(before[i], node, static_cast<int>(i));
  for (const ir::Value& value : before) release_if_unused(value.node);
}

void Editor::become_constant(ir::Node* node, Tensor tensor) {
  ir::Attrs attrs;
  node->outputs[0] = {tensor.dtype(), tensor.shape()};
  attrs.set("value", std::move(tensor));
  become(node, "const", {}, std::move(attrs));
}

void Editor::release_if_unused(ir::Node* start) {
  std::vector<ir::Node*> work{start};
  while (!work.empty()) {
    ir::Node* node = work.back();
    work.pop_back();
    if (released_.contains(node) || pinned_.contains(node) || node->op->is(ir::kStateful)) continue;
    if (std::find(graph_.parameters.begin(), graph_.parameters.end(), node) != graph_.parameters.end()) continue;
    bool used = false;
    for (std::size_t i = 0; i < node->outputs.size(); ++i) used |= !uses(node->output(static_cast<int>(i))).empty();
    if (used) continue;
    changed_ = true;
    released_.insert(node);
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      drop_use(node->inputs[i], node, static_cast<int>(i));
      work.push_back(node->inputs[i].node);
    }
  }
}

void Editor::release_unused() {
  std::vector<ir::Node*> nodes;
  for (const auto& node : graph_.nodes()) nodes.push_back(node.get());
  for (ir::Node* node : nodes) release_if_unused(node);
}

bool same_shape(const PartialShape& a, const PartialShape& b) { return a.known_rank() && a == b; }

std::int64_t last_dim(ir::Value value) {
  const PartialShape& shape = shape_of(value);
  if (!shape.known_rank() || shape.rank() == 0 || !shape[shape.rank() - 1].known()) return -1;
  return shape[shape.rank() - 1].size();
}

const Tensor* constant_of(ir::Value value) {
  if (value.node == nullptr || !value.node->is("const")) return nullptr;
  const ir::AttrValue* attr = value.node->attrs.find("value");
  return attr == nullptr ? nullptr : std::get_if<Tensor>(attr);
}

std::optional<float> scalar_of(ir::Value value) {
  const Tensor* tensor = constant_of(value);
  if (tensor == nullptr || tensor->dtype() != DataType::kFloat32 || tensor->num_elements() != 1) return std::nullopt;
  return tensor->flat<float>()[0];
}

bool is_scalar(ir::Value value, float wanted) {
  const auto found = scalar_of(value);
  return found && std::fabs(*found - wanted) <= 1e-6f * std::fabs(wanted);
}

std::optional<std::vector<std::int64_t>> integers_of(ir::Value value) {
  const Tensor* tensor = constant_of(value);
  if (tensor == nullptr || tensor->rank() > 1) return std::nullopt;
  if (tensor->dtype() == DataType::kInt32) {
    const auto values = tensor->flat<std::int32_t>();
    return std::vector<std::int64_t>(values.begin(), values.end());
  }
  if (tensor->dtype() == DataType::kInt64) {
    const auto values = tensor->flat<std::int64_t>();
    return std::vector<std::int64_t>(values.begin(), values.end());
  }
  return std::nullopt;
}

std::optional<std::vector<float>> channels_of(ir::Value value, int rank, std::int64_t channels) {
  const Tensor* tensor = constant_of(value);
  if (tensor == nullptr || tensor->dtype() != DataType::kFloat32 || tensor->rank() > rank) return std::nullopt;
  if (channels < 1 || channels > kMostChannels) return std::nullopt;
  const auto values = tensor->flat<float>();
  if (values.size() == 1) return std::vector<float>(static_cast<std::size_t>(channels), values[0]);
  if (tensor->num_elements() != channels || tensor->dim(tensor->rank() - 1) != channels) return std::nullopt;
  return std::vector<float>(values.begin(), values.end());
}

Tensor float_vector(std::span<const float> values) { return Tensor::vector<float>(values); }

Tensor int_vector(std::span<const std::int64_t> values) { return Tensor::vector<std::int64_t>(values); }

std::optional<std::vector<std::int64_t>> reshape_target(const PartialShape& shape) {
  if (!shape.known_rank()) return std::nullopt;
  std::vector<std::int64_t> target;
  int unknown = 0;
  bool zero = false;
  for (Dim d : shape.dims()) {
    target.push_back(d.known() ? d.size() : -1);
    unknown += d.known() ? 0 : 1;
    zero |= d == Dim(0);
  }
  if (unknown > 1 || (unknown == 1 && zero)) return std::nullopt;
  return target;
}

}  // namespace tenon::passes
