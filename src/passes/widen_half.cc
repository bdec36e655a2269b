// float16 and bfloat16 arithmetic -> float32 between casts.
#include <algorithm>
#include <array>

#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

bool is_narrow(DataType dtype) { return dtype == DataType::kFloat16 || dtype == DataType::kBFloat16; }
bool is_narrow(ir::Value value) { return is_narrow(type_of(value).dtype); }

// Moves elements and computes nothing: stays as it is between values that are narrow anyway.
bool only_moves(const ir::Node& node) {
  static constexpr std::array<std::string_view, 24> kOps = {
      "identity",          "reshape",        "squeeze",        "expand_dims",    "transpose", "concat",
      "concat_axis_first", "pack",           "unpack",         "split",          "split_v",   "slice",
      "strided_slice",     "gather",         "gather_nd",      "tile",           "reverse",   "broadcast_to",
      "space_to_batch",    "batch_to_space", "space_to_depth", "depth_to_space", "roll",      "ensure_shape"};
  return std::ranges::any_of(kOps, [&](std::string_view op) { return node.is(op); });
}

// What the bits are, or which number comes next, is not the same in float32.
bool is_bound_to_its_type(const ir::Node& node) {
  if (node.is("loop")) return true;  // its body is a graph of its own
  return node.is("cast") || node.is("bitcast") || node.is("next_after") || node.is("const") || node.is("parameter");
}

class Widening {
 public:
  explicit Widening(ir::Graph& graph) : editor_(graph) {}

  bool run() {
    for (ir::Node* node : editor_.order()) {
      if (wanted(*node)) widen(node);
    }
    editor_.release_unused();
    return editor_.finish();
  }

 private:
  bool wanted(const ir::Node& node) const {
    if (node.op->traits != ir::kPure || is_bound_to_its_type(node)) return false;
    if (std::ranges::none_of(node.inputs, [](ir::Value v) { return is_narrow(v); })) return false;
    return !only_moves(node) || std::ranges::any_of(node.inputs, [&](ir::Value v) { return wide_.contains(v); });
  }

  void widen(ir::Node* node) {
    // Comparisons and positions see the numbers that a narrow type would have held.
    const bool decides = std::ranges::any_of(
        node->outputs, [](const ir::ValueType& type) { return !is_narrow(type.dtype) && type.dtype != DataType::kFloat32; });
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      if (is_narrow(node->inputs[i])) editor_.set_input(node, i, decides ? cast_of(node->inputs[i]) : wide(node->inputs[i]));
    }
    widen_attributes(*node);
    for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) {
      ir::ValueType& type = node->outputs[static_cast<std::size_t>(i)];
      if (!is_narrow(type.dtype)) continue;
      const ir::ValueType narrow = type;
      type.dtype = DataType::kFloat32;
      if (editor_.uses(node->output(i)).empty()) continue;
      ir::Node* cast = add_cast(node->output(i), node->name + "/narrow", narrow.dtype);
      editor_.replace(node->output(i), cast->output(), cast);
      wide_[cast->output()] = node->output(i);
    }
  }

  static void widen_attributes(ir::Node& node) {
    const ir::Attrs before = node.attrs;
    for (const auto& [name, value] : before) {
      if (const auto* one = std::get_if<DataType>(&value); one != nullptr && is_narrow(*one))
        node.attrs.set(name, DataType::kFloat32);
      if (const auto* list = std::get_if<std::vector<DataType>>(&value)) {
        std::vector<DataType> types = *list;
        std::ranges::replace_if(
            types, [](DataType type) { return is_narrow(type); }, DataType::kFloat32);
        node.attrs.set(name, std::move(types));
      }
    }
  }

  ir::Value wide(ir::Value narrow) {
    const auto found = wide_.find(narrow);
    return found != wide_.end() ? found->second : cast_of(narrow);
  }

  ir::Value cast_of(ir::Value narrow) {
    ir::Value& made = casts_[narrow];
    if (made.node == nullptr) made = add_cast(narrow, narrow.node->name + "/wide", DataType::kFloat32)->output();
    return made;
  }

  ir::Node* add_cast(ir::Value value, const std::string& name, DataType to) {
    ir::Attrs attrs;
    attrs.set("DstT", to);
    return editor_.add("cast", name, {value}, std::move(attrs), {to, shape_of(value)});
  }

  Editor editor_;
  std::unordered_map<ir::Value, ir::Value, ir::ValueHash> wide_;   // what was narrow -> the float32 value before the cast
  std::unordered_map<ir::Value, ir::Value, ir::ValueHash> casts_;  // narrow -> cast to float32
};

}  // namespace

bool widen_half(ir::Graph& graph) { return Widening(graph).run(); }

}  // namespace tenon::passes
