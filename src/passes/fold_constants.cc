// read_variable(frozen) -> const; add(const, const) -> const; shape(x[2,3]) -> const.
#include <algorithm>
#include <limits>

#include "ir/eval_context.h"
#include "ops/inference.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

bool has_objects(const ir::Node& node) {
  return std::any_of(node.outputs.begin(), node.outputs.end(), [](const ir::ValueType& type) {
    return type.dtype == DataType::kResource || type.dtype == DataType::kVariant || type.dtype == DataType::kInvalid;
  });
}

// Values that the caller knows become const nodes.
void materialize(Editor& editor, const FoldOptions& options) {
  if (!options.constant) return;
  for (ir::Node* node : editor.order()) {
    if (node->is("const") || node->outputs.size() != 1 || has_objects(*node) || node->op->is(ir::kSource)) continue;
    Tensor value = options.constant(node->output());
    if (!value.valid()) continue;
    node->control_inputs.clear();
    editor.become_constant(node, std::move(value));
  }
}

// The value inference found, or the sizes when all are numbers.
Tensor known_value(ops::Facts& facts, ir::Value value) {
  if (const Tensor* tensor = facts.constant(value)) return *tensor;
  const ir::ValueType& type = type_of(value);
  if (!type.shape.known_rank() || type.shape.rank() > 1) return {};
  const auto dims = facts.dims(value);
  if (!dims || !std::all_of(dims->begin(), dims->end(), [](Dim d) { return d.known(); })) return {};
  if (type.shape.rank() == 0 && dims->size() != 1) return {};
  const Shape shape = type.shape.rank() == 0 ? Shape{} : Shape{static_cast<std::int64_t>(dims->size())};
  Tensor result(type.dtype, shape);
  const auto fill = [&](auto elements) {
    for (std::size_t i = 0; i < elements.size(); ++i) {
      using T = typename decltype(elements)::value_type;
      const std::int64_t size = (*dims)[i].size();
      if (size > std::numeric_limits<T>::max()) return Tensor();
      elements[i] = static_cast<T>(size);
    }
    return result;
  };
  if (type.dtype == DataType::kInt32) return fill(result.flat<std::int32_t>());
  if (type.dtype == DataType::kInt64) return fill(result.flat<std::int64_t>());
  return {};
}

// True when the results' sizes are known and small, or not much larger than the operands.
bool worth_evaluating(const ir::Node& node, const FoldOptions& options) {
  std::int64_t operands = 0, results = 0;
  for (const ir::Value& input : node.inputs) {
    const Tensor* tensor = constant_of(input);
    if (tensor == nullptr) return false;
    operands += static_cast<std::int64_t>(tensor->byte_size());
  }
  for (const ir::ValueType& type : node.outputs) {
    const auto elements = type.shape.num_elements();
    std::int64_t bytes = 0;
    if (!elements || __builtin_mul_overflow(*elements, static_cast<std::int64_t>(dtype_size(type.dtype)), &bytes)) return false;
    if (__builtin_add_overflow(results, bytes, &results)) return false;
  }
  return results <= std::max(options.max_bytes, 4 * operands);
}

std::vector<Tensor> evaluate(const ir::Node& node) {
  std::vector<Tensor> inputs, outputs(node.outputs.size());
  for (const ir::Value& input : node.inputs) inputs.push_back(*constant_of(input));
  try {
    ir::EvalContext ctx(node, inputs, outputs, nullptr, nullptr);
    node.op->evaluate(ctx);
  } catch (const Error&) {
    outputs.clear();  // the error is the model's only if the node is ever run
  }
  return outputs;
}

void fold_node(Editor& editor, ir::Node* node, ops::Facts& facts, const FoldOptions& options) {
  if (node->op->traits != ir::kPure || node->is("const") || node->outputs.empty() || has_objects(*node)) return;
  std::vector<Tensor> values;
  for (std::size_t i = 0; i < node->outputs.size(); ++i) {
    values.push_back(known_value(facts, node->output(static_cast<int>(i))));
  }
  const auto valid = [](const Tensor& t) { return t.valid(); };
  if (!std::all_of(values.begin(), values.end(), valid)) {
    if (node->op->evaluate == nullptr || !worth_evaluating(*node, options)) return;
    values = evaluate(*node);
    if (values.empty() || !std::all_of(values.begin(), values.end(), valid)) return;
  }
  if (values.size() == 1) {
    node->control_inputs.clear();
    editor.become_constant(node, std::move(values[0]));
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    editor.replace(node->output(static_cast<int>(i)), editor.constant(std::move(values[i]), node->name));
  }
}

}  // namespace

bool fold_constants(ir::Graph& graph, const FoldOptions& options, SymbolSource& symbols) {
  Editor editor(graph);
  materialize(editor, options);
  ops::InferenceOptions inference;
  ops::Facts facts(symbols, inference);
  ops::infer(graph, facts, inference);
  for (ir::Node* node : editor.order()) {
    // A node that something waits for or that waits for others keeps its place; only its users change.
    if (!editor.released(node) && node->control_inputs.empty()) fold_node(editor, node, facts, options);
  }
  editor.release_unused();
  return editor.finish();
}

}  // namespace tenon::passes
