#include "ops/inference.h"

#include <algorithm>

#include "ir/eval_context.h"

namespace tenon::ops {
namespace {

std::optional<std::vector<Dim>> read_dims(const Tensor& tensor) {
  if (tensor.rank() > 1) return std::nullopt;
  std::vector<Dim> dims;
  const auto append = [&](auto values) {
    for (auto v : values) {
      if (v < 0) return false;
      dims.emplace_back(static_cast<std::int64_t>(v));
    }
    return true;
  };
  if (tensor.dtype() == DataType::kInt32 && append(tensor.flat<std::int32_t>())) return dims;
  if (tensor.dtype() == DataType::kInt64 && append(tensor.flat<std::int64_t>())) return dims;
  return std::nullopt;
}

// Evaluates a pure node when every operand is known and the results are small.
void fold(ir::Node& node, Facts& facts, const InferenceOptions& options) {
  if (node.op->traits != ir::kPure || node.op->evaluate == nullptr || node.is("const") || node.outputs.empty()) return;
  for (const ir::ValueType& type : node.outputs) {
    if (type.dtype == DataType::kResource || type.dtype == DataType::kVariant) return;
    const auto elements = type.shape.num_elements();
    if (elements && *elements > options.max_constant_elements) return;
  }
  std::vector<Tensor> inputs;
  for (const ir::Value& input : node.inputs) {
    const Tensor* value = facts.constant(input);
    if (value == nullptr || value->num_elements() > options.max_constant_elements) return;
    inputs.push_back(*value);
  }
  std::vector<Tensor> outputs(node.outputs.size());
  try {
    ir::EvalContext ctx(node, inputs, outputs, nullptr, nullptr);
    node.op->evaluate(ctx);
  } catch (const Error&) {
    return;  // the error is the model's only if the node is ever run
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid()) continue;
    node.outputs[i] = {outputs[i].dtype(), outputs[i].shape()};
    facts.set_constant({&node, static_cast<int>(i)}, outputs[i]);
  }
}

// Where inference knows less than what the node said before (a signature's shape, the caller's binding), that is kept. Symbols
// from `first_fresh` on were made up just now and say less than any symbol before; others come from the operands and say more.
void keep_known(ir::Node& node, const std::vector<ir::ValueType>& before, std::int64_t first_fresh) {
  for (std::size_t i = 0; i < std::min(before.size(), node.outputs.size()); ++i) {
    ir::ValueType& now = node.outputs[i];
    if (now.dtype == DataType::kInvalid) now.dtype = before[i].dtype;
    if (!before[i].shape.known_rank()) continue;
    if (!now.shape.known_rank()) {
      now.shape = before[i].shape;
    } else if (now.shape.rank() == before[i].shape.rank()) {
      for (int d = 0; d < now.shape.rank(); ++d) {
        const Dim dim = now.shape[d];
        if (!dim.known() && (dim.symbol_id() >= first_fresh || before[i].shape[d].known())) now.shape[d] = before[i].shape[d];
      }
    }
  }
}

}  // namespace

const Tensor* Facts::constant(ir::Value value) {
  const auto it = constants_.find(value);
  if (it != constants_.end()) return it->second.valid() ? &it->second : nullptr;
  Tensor tensor;
  if (value.node->is("const")) {
    tensor = value.node->attr<Tensor>("value");
  } else if (options_.constant) {
    tensor = options_.constant(value);
  }
  if (!tensor.valid()) return nullptr;
  return &(constants_[value] = std::move(tensor));
}

std::optional<std::vector<Dim>> Facts::dims(ir::Value value) {
  if (const Tensor* tensor = constant(value)) return read_dims(*tensor);
  const auto it = dims_.find(value);
  if (it == dims_.end()) return std::nullopt;
  return it->second;
}

std::vector<ir::ValueType> Facts::function_types(const ir::FunctionRef& function) {
  return options_.function_types ? options_.function_types(function) : std::vector<ir::ValueType>{};
}

void infer_node(ir::Node& node, Facts& facts, const InferenceOptions& options) {
  std::vector<ir::ValueType> before;
  if (options.keep_known || options.tolerate_errors) before = node.outputs;
  const std::int64_t first_fresh = facts.symbols().count();
  ir::InferContext ctx(node, facts);
  try {
    node.op->infer(ctx);
  } catch (const Error& error) {
    if (options.tolerate_errors) {
      node.outputs = std::move(before);
      return;
    }
    const std::string text = error.what();
    if (text.find(node.name) != std::string::npos) throw;
    throw Error(error.code(), node.describe() + ": " + text);
  }
  if (options.keep_known) keep_known(node, before, first_fresh);
  fold(node, facts, options);
}

void skip_used_symbols(const ir::Graph& graph, SymbolSource& symbols) {
  std::int64_t last = -1;
  const auto see = [&](const PartialShape& shape) {
    if (!shape.known_rank()) return;
    for (Dim dim : shape.dims()) last = std::max(last, dim.known() ? -1 : dim.symbol_id());
  };
  for (const auto& node : graph.nodes()) {
    for (const ir::ValueType& type : node->outputs) see(type.shape);
    const ir::AttrValue* stated = node->op->is(ir::kSource) ? node->attrs.find("shape") : nullptr;
    if (stated != nullptr && std::holds_alternative<PartialShape>(*stated)) see(std::get<PartialShape>(*stated));
  }
  symbols.skip(last);
}

void infer(ir::Graph& graph, Facts& facts, const InferenceOptions& options) {
  skip_used_symbols(graph, facts.symbols());
  for (ir::Node* node : graph.topological_order()) infer_node(*node, facts, options);
}

}  // namespace tenon::ops
