#include "backends/cpu/loops.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "backends/cpu/loop_graph.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "passes/unroll_loops.h"

namespace tenon::cpu {
namespace {

// Zeros for variables whose values play no part.
class StandIns : public WeightsProvider {
 public:
  explicit StandIns(const std::map<std::string, ir::ValueType>& types) : types_(types) {}
  Tensor variable(const std::string& name) override {
    const ir::ValueType& type = types_.at(name);
    if (!type.shape.fully_known() || dtype_size(type.dtype) == 0) fail(ErrorCode::kUnsupported, "a variable's shape is not known");
    Tensor zeros(type.dtype, type.shape.to_shape());
    if (zeros.byte_size() > 0) std::memset(zeros.data(), 0, zeros.byte_size());
    return zeros;
  }

 private:
  const std::map<std::string, ir::ValueType>& types_;
};

// The loop alone in a graph: constants and tensor lists before it are copied, everything else is a parameter.
class Trial {
 public:
  explicit Trial(const ir::Node& loop) : graph_(std::make_unique<ir::Graph>("trial")) {
    std::vector<ir::Value> inputs;
    for (const ir::Value& input : loop.inputs) inputs.push_back(copy(input));
    ir::Node* made = graph_->add(*loop.op, loop.name, std::move(inputs), loop.attrs, static_cast<int>(loop.outputs.size()));
    made->outputs = loop.outputs;
    for (int i = 0; i < static_cast<int>(loop.outputs.size()); ++i) {
      const DataType dtype = loop.outputs[static_cast<std::size_t>(i)].dtype;
      if (dtype != DataType::kVariant && dtype != DataType::kResource) graph_->outputs.push_back(made->output(i));
    }
    for (int i = 0; i < static_cast<int>(loop.outputs.size()); ++i) {
      if (loop.outputs[static_cast<std::size_t>(i)].dtype == DataType::kVariant) add_stack(made->output(i));
    }
  }

  // Whether the backend runs what unrolling, or else lowering, makes of the loop.
  Verdict check(const ir::Module& module, bool unrolled) {
    SymbolSource symbols;
    for (std::int64_t i = 0; i < module.symbols.count(); ++i) symbols.fresh();
    StandIns stand_ins(variables_);
    const Verdict possible = unrolled ? passes::unroll_loops(*graph_, module, symbols) : lower_loops(graph_, module, stand_ins, symbols);
    if (!possible) return possible;
    state_variables();
    ops::InferenceOptions options;
    ops::Facts facts(symbols, options);
    ops::infer(*graph_, facts, options);
    for (const auto& node : graph_->nodes()) {
      if (node->op->is(ir::kSource) || node->is("const") || node->is("read_variable") || follows_from_shapes(*node)) continue;
      const Lowering* lowering = find_lowering(node->op->name);
      if (lowering == nullptr) return Verdict::no(fmt::format("the CPU backend has no kernel for {} in the loop", node->op->name));
      if (auto verdict = lowering->supports(*node); !verdict) return Verdict::no(node->describe() + " in the loop: " + verdict.reason());
    }
    return Verdict::yes();
  }

 private:
  static bool is_constant(const ir::Node& node, int depth = 0) {
    if (node.is("const")) return true;
    if (node.op->traits != ir::kPure || node.inputs.empty() || depth > 20) return false;
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](const ir::Value& v) { return is_constant(*v.node, depth + 1); });
  }

  ir::Value copy(const ir::Value& value) {
    const ir::Node& node = *value.node;
    if (!is_constant(node) && !passes::makes_tensor_list(node)) return parameter(value);
    ir::Node*& made = copies_[&node];
    if (made == nullptr) {
      std::vector<ir::Value> inputs;
      for (const ir::Value& input : node.inputs) inputs.push_back(copy(input));
      made = graph_->add(*node.op, node.name, std::move(inputs), node.attrs, static_cast<int>(node.outputs.size()));
      made->outputs = node.outputs;
    }
    return made->output(value.index);
  }

  ir::Value parameter(const ir::Value& value) {
    const ir::ValueType& type = value.node->outputs[static_cast<std::size_t>(value.index)];
    ir::Attrs attrs;
    attrs.set("dtype", type.dtype);
    attrs.set("shape", type.shape);
    ir::Node* made = graph_->add(ops::op("parameter"), "operand", {}, std::move(attrs));
    made->outputs[0] = type;
    graph_->parameters.push_back(made);
    const ir::Node* handle = value.node;
    while (handle->is("identity") && !handle->inputs.empty()) handle = handle->inputs[0].node;
    if (type.dtype == DataType::kResource) {
      const bool argument = handle->is("parameter");  // of the function that the loop stands in
      const std::string variable = std::to_string(variables_.size());
      made->attrs.set("variable", variable);
      variables_[variable] = {argument ? DataType::kInvalid : handle->attr_or<DataType>("dtype", DataType::kInvalid),
                              handle->attr_or<PartialShape>(argument ? "variable_shape" : "shape", {})};
      variable_shapes_[made] = variables_[variable].shape;
    }
    return made->output();
  }

  // Lists that the loop fills are stacked behind it.
  void add_stack(const ir::Value& list) {
    if (!list.node->inputs.at(static_cast<std::size_t>(list.index)).node->is("tensor_list_reserve")) return;
    ir::Attrs value;
    value.set("value", Tensor::scalar<std::int32_t>(-1));
    ir::Node* shape = graph_->add(ops::op("const"), "element_shape", {}, std::move(value));
    ir::Node* stack = graph_->add(ops::op("tensor_list_stack"), "stack", {list, shape->output()});
    stack->attrs.set("element_dtype", DataType::kFloat32);
    graph_->outputs.push_back(stack->output());
  }

  // What the loop reads from variables has their shape.
  void state_variables() {
    for (const auto& node : graph_->nodes()) {
      if (!node->is("read_variable") || node->inputs.empty()) continue;
      const auto it = variable_shapes_.find(node->inputs[0].node);
      if (it != variable_shapes_.end()) node->outputs[0].shape = it->second;
    }
  }

  std::unique_ptr<ir::Graph> graph_;
  std::unordered_map<const ir::Node*, ir::Node*> copies_;
  std::unordered_map<const ir::Node*, PartialShape> variable_shapes_;
  std::map<std::string, ir::ValueType> variables_;
};

}  // namespace

Verdict supports_loop(const ir::Node& loop, const ir::Module& module) {
  if (!loop.is("while")) return Verdict::no("only loops run in an engine");
  const Verdict unrolled = Trial(loop).check(module, true);
  if (unrolled) return Verdict::yes();
  const Verdict lowered = Trial(loop).check(module, false);
  return lowered ? Verdict::yes() : Verdict::no(fmt::format("the loop cannot be unrolled ({}), nor run as a step ({})", unrolled.reason(), lowered.reason()));
}

}  // namespace tenon::cpu
