#include "backends/cpu/program.h"

#include <algorithm>
#include <unordered_set>

#include "backends/cpu/lowering/reference.h"
#include "base/error.h"
#include "ir/infer_context.h"

namespace tenon::cpu {
namespace {

void infer_packed_const(ir::InferContext& ctx) {
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), ctx.attrs().get<PartialShape>("shape"));
}

constexpr ir::OpDef kPackedConst{"packed_const", infer_packed_const, nullptr};

// Marks the parameters that reach `value` through anything but shapes.
void collect_parameters(const ir::Value& value, std::unordered_set<const ir::Node*>& seen) {
  std::vector<const ir::Node*> work = {value.node};
  while (!work.empty()) {
    const ir::Node* node = work.back();
    work.pop_back();
    if (!seen.insert(node).second) continue;
    if (node->is("shape") || node->is("shape_n") || node->is("size") || node->is("rank")) continue;
    for (const ir::Value& input : node->inputs) work.push_back(input.node);
  }
}

std::vector<int> find_shape_parameters(const Program& program) {
  std::unordered_set<const ir::Node*> seen;
  for (const ProgramNode& item : program.nodes) {
    const auto& inputs = item.node->inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (item.lowered.unread.has(static_cast<int>(i)) && !item.lowered.packed.has(static_cast<int>(i))) {
        collect_parameters(inputs[i], seen);
      }
    }
  }
  std::vector<int> found;
  for (std::size_t i = 0; i < program.graph->parameters.size(); ++i) {
    const ir::Node* parameter = program.graph->parameters[i];
    const DataType dtype = parameter->outputs.at(0).dtype;
    if ((dtype == DataType::kInt32 || dtype == DataType::kInt64) && seen.contains(parameter)) found.push_back(static_cast<int>(i));
  }
  return found;
}

}  // namespace

const ir::OpDef& packed_const_op() { return kPackedConst; }

bool is_constant_node(const ir::Node& node) { return node.op == &kPackedConst || node.is("const"); }

Program make_program(std::unique_ptr<ir::Graph> graph, WeightSource& weights) {
  Program program;
  program.graph = std::move(graph);
  for (ir::Node* node : program.graph->topological_order()) {
    if (is_constant_node(*node) || node->is("parameter") || node->is("no_op")) continue;
    const Lowering* lowering = find_lowering(node->op->name);
    Lowered lowered = lowering != nullptr && lowering->lower != nullptr && lowering->supports(*node) ? lowering->lower(*node, weights) : lower_reference(*node);
    program.nodes.push_back({node, std::move(lowered)});
  }
  program.shape_parameters = find_shape_parameters(program);
  return program;
}

}  // namespace tenon::cpu
