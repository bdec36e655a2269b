// Runs a graph by its reference kernels on made-up inputs.
#pragma once

#include <vector>

#include "base/error.h"
#include "ir/eval_context.h"

namespace tenon::passes {

// Random but repeatable; even symbols are 2, odd ones 3.
inline Tensor input_for(const ir::Node& parameter, unsigned& random) {
  Shape shape;
  for (Dim dim : parameter.outputs[0].shape.dims()) shape.push_back(dim.known() ? dim.size() : dim.symbol_id() % 2 + 2);
  Tensor tensor(parameter.outputs[0].dtype, shape);
  const auto next = [&] { return random = random * 1664525u + 1013904223u, random >> 16; };
  if (tensor.dtype() == DataType::kFloat32) {
    for (float& v : tensor.flat<float>()) v = static_cast<float>(next() % 2001) / 500.0f - 2.0f;
  } else if (tensor.dtype() == DataType::kInt32) {
    for (std::int32_t& v : tensor.flat<std::int32_t>()) v = static_cast<std::int32_t>(next() % 3);
  } else if (tensor.dtype() == DataType::kFloat16) {
    for (Half& v : tensor.flat<Half>()) v = Half(static_cast<float>(next() % 33) / 8.0f - 2.0f);
  } else if (tensor.dtype() == DataType::kBFloat16) {
    for (BFloat16& v : tensor.flat<BFloat16>()) v = BFloat16(static_cast<float>(next() % 33) / 8.0f - 2.0f);
  } else {
    fail(ErrorCode::kUnsupported, "no input for {}", parameter.describe());
  }
  return tensor;
}

inline std::vector<Tensor> run(const ir::Graph& graph) {
  std::unordered_map<ir::Value, Tensor, ir::ValueHash> values;
  unsigned random = 7;
  for (ir::Node* parameter : graph.parameters) values[parameter->output()] = input_for(*parameter, random);
  for (ir::Node* node : graph.topological_order()) {
    if (node->is("parameter")) continue;
    std::vector<Tensor> inputs, outputs(node->outputs.size());
    for (const ir::Value& input : node->inputs) inputs.push_back(values.at(input));
    ir::EvalContext ctx(*node, inputs, outputs, nullptr, nullptr);
    node->op->evaluate(ctx);
    for (std::size_t i = 0; i < outputs.size(); ++i) values[{node, static_cast<int>(i)}] = outputs[i];
  }
  std::vector<Tensor> results;
  for (const ir::Value& output : graph.outputs) results.push_back(values.at(output));
  return results;
}

}  // namespace tenon::passes
