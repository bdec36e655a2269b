#include "backends/cpu/through_passes.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "passes/pipeline.h"

namespace tenon::cpu {
namespace {

bool is_rewritten(const ir::Node& node) {
  constexpr std::array kAlways = {"einsum", "fused_batch_norm"};
  if (std::any_of(kAlways.begin(), kAlways.end(), [&](const char* name) { return node.is(name); })) return true;
  const auto is_half = [](const ir::Value& value) {
    const DataType dtype = value.node->outputs.at(static_cast<std::size_t>(value.index)).dtype;
    return dtype == DataType::kFloat16 || dtype == DataType::kBFloat16;
  };
  if (std::any_of(node.inputs.begin(), node.inputs.end(), is_half)) return true;
  const ir::AttrValue* format = node.attrs.find("data_format");
  const std::string* text = format ? std::get_if<std::string>(format) : nullptr;
  return text != nullptr && (*text == "NCHW" || *text == "NCDHW");
}

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs.at(static_cast<std::size_t>(value.index)); }

bool derives_from_constants(const ir::Node& node, int depth = 0) {
  constexpr int kDeepest = 30;
  if (node.is("const") || node.is("read_variable")) return true;
  if (node.op->traits != ir::kPure || node.inputs.empty() || depth > kDeepest) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](const ir::Value& v) { return derives_from_constants(*v.node, depth + 1); });
}

// A small constant keeps its value; another value that will be constant is made of zeros; the rest are parameters.
ir::Value stand_in(ir::Graph& graph, const ir::Value& operand) {
  const ir::ValueType& type = type_of(operand);
  ir::Attrs attrs;
  if (operand.node->is("const")) {
    attrs.set("value", operand.node->attr<Tensor>("value"));
  } else if (derives_from_constants(*operand.node) && type.shape.fully_known() && dtype_size(type.dtype) > 0) {
    Tensor zeros(type.dtype, type.shape.to_shape());
    std::memset(zeros.data(), 0, zeros.byte_size());
    attrs.set("value", std::move(zeros));
  }
  if (attrs.has("value")) {
    ir::Node* made = graph.add(ops::op("const"), "constant", {}, std::move(attrs));
    made->outputs[0] = type;
    return made->output();
  }
  attrs.set("dtype", type.dtype);
  attrs.set("shape", type.shape);
  ir::Node* made = graph.add(ops::op("parameter"), "operand", {}, std::move(attrs));
  made->outputs[0] = type;
  graph.parameters.push_back(made);
  return made->output();
}

}  // namespace

Verdict supports_through_passes(const ir::Node& node) {
  if (!is_rewritten(node)) return Verdict::no({});
  ir::Graph graph("trial");
  SymbolSource symbols;
  for (const ir::Value& input : node.inputs) {
    const DataType dtype = type_of(input).dtype;
    if (dtype == DataType::kString || dtype == DataType::kResource || dtype == DataType::kVariant || dtype == DataType::kInvalid) {
      return Verdict::no("an operand's dtype does not run in an engine");
    }
    if (!type_of(input).shape.known_rank()) continue;
    for (const Dim& dim : type_of(input).shape.dims()) {
      while (symbols.count() <= dim.symbol_id()) symbols.fresh();
    }
  }
  std::vector<ir::Value> inputs;
  for (const ir::Value& input : node.inputs) inputs.push_back(stand_in(graph, input));
  ir::Node* copy = graph.add(*node.op, node.name, std::move(inputs), node.attrs, static_cast<int>(node.outputs.size()));
  copy->outputs = node.outputs;
  copy->origin.op_type = node.origin.op_type;
  graph.outputs.push_back(copy->output());
  try {
    ops::InferenceOptions options;
    ops::Facts facts(symbols, options);
    ops::infer(graph, facts, options);
    passes::optimize(graph, passes::PipelineOptions{}, symbols);
  } catch (const Error& error) {
    return Verdict::no(error.what());
  }
  for (const auto& made : graph.nodes()) {
    if (made->is("const") || made->is("parameter") || follows_from_shapes(*made)) continue;
    const Lowering* lowering = find_lowering(made->op->name);
    if (lowering == nullptr || lowering->lower == nullptr) {
      return Verdict::no(fmt::format("this form of {} does not run in an engine", node.origin.op_type.empty() ? std::string(node.op->name) : node.origin.op_type));
    }
    if (auto verdict = lowering->supports(*made); !verdict) return verdict;
  }
  return Verdict::yes();
}

}  // namespace tenon::cpu
