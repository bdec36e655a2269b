// Builds small graphs, compiles them, sends the plan through its bytes, runs it, and evaluates the graph by the reference.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "ir/eval_context.h"
#include "ops/inference.h"
#include "ops/registry.h"

namespace tenon::test {

class GraphBuilder {
 public:
  GraphBuilder() : graph_(std::make_unique<ir::Graph>("test")) {}

  ir::Value parameter(DataType dtype, PartialShape shape, std::string name = "x") {
    ir::Attrs attrs;
    attrs.set("dtype", dtype);
    attrs.set("shape", shape);
    ir::Node* node = graph_->add(ops::op("parameter"), std::move(name), {}, std::move(attrs));
    node->outputs[0] = {dtype, std::move(shape)};
    graph_->parameters.push_back(node);
    return node->output();
  }
  ir::Value constant(Tensor value, std::string name = "c") {
    ir::Attrs attrs;
    const ir::ValueType type{value.dtype(), value.shape()};
    attrs.set("value", std::move(value));
    ir::Node* node = graph_->add(ops::op("const"), std::move(name), {}, std::move(attrs));
    node->outputs[0] = type;
    return node->output();
  }
  ir::Value op(std::string_view op, std::vector<ir::Value> inputs, ir::Attrs attrs = {}, int outputs = 1) {
    return graph_->add(ops::op(op), std::string(op), std::move(inputs), std::move(attrs), outputs)->output();
  }
  std::unique_ptr<ir::Graph> finish(std::vector<ir::Value> outputs) {
    graph_->outputs = std::move(outputs);
    SymbolSource symbols;
    ops::InferenceOptions options;
    ops::Facts facts(symbols, options);
    ops::infer(*graph_, facts, options);
    return std::move(graph_);
  }

 private:
  std::unique_ptr<ir::Graph> graph_;
};

inline ir::Attrs attrs(std::initializer_list<std::pair<std::string, ir::AttrValue>> list) {
  ir::Attrs result;
  for (const auto& [name, value] : list) result.set(name, value);
  return result;
}

inline Tensor random_tensor(Shape shape, unsigned seed, float scale = 1) {
  Tensor tensor(DataType::kFloat32, std::move(shape));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  for (float& v : tensor.flat<float>()) v = uniform(generator);
  return tensor;
}

// What the graph's outputs are by the reference kernels.
inline std::vector<Tensor> reference(const ir::Graph& graph, const std::vector<Tensor>& inputs) {
  std::unordered_map<ir::Value, Tensor, ir::ValueHash> values;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[{graph.parameters[i], 0}] = inputs[i];
  for (ir::Node* node : graph.topological_order()) {
    if (node->is("parameter")) continue;
    std::vector<Tensor> operands, results(node->outputs.size());
    for (const ir::Value& input : node->inputs) operands.push_back(values.at(input));
    ir::EvalContext ctx(*node, operands, results, nullptr, nullptr);
    node->op->evaluate(ctx);
    for (std::size_t i = 0; i < results.size(); ++i) values[{node, static_cast<int>(i)}] = results[i];
  }
  std::vector<Tensor> outputs;
  for (const ir::Value& output : graph.outputs) outputs.push_back(values.at(output));
  return outputs;
}

inline plan::Engine build(const ir::Graph& graph, CompileOptions options = {}) {
  Segment segment;
  segment.name = "TRTEngineOp_000_000";
  segment.graph = ir::clone(graph);
  return make_cpu_backend()->compile(segment, options);
}

// Loads from the plan's bytes.
inline std::unique_ptr<Executable> load(const plan::Engine& engine, int threads = 2) {
  auto bytes = std::make_shared<const std::string>(plan::serialize(engine));
  DeviceOptions device;
  device.team = std::make_shared<SharedTeam>(threads);
  NoWeights none;
  return make_cpu_backend()->load(plan::parse(*bytes, bytes), none, device);
}

inline std::vector<Tensor> run(Executable& executable, const std::vector<Tensor>& inputs, std::size_t outputs) {
  std::vector<TensorView> views;
  for (const Tensor& input : inputs) views.push_back(TensorView::of(input));
  std::vector<Tensor> results(outputs);
  TensorAllocator allocator(results);
  executable.run(views, allocator, nullptr);
  return results;
}

inline void expect_near(const Tensor& found, const Tensor& wanted, double tolerance = 1e-4) {
  ASSERT_EQ(found.dtype(), wanted.dtype());
  ASSERT_EQ(found.shape(), wanted.shape());
  if (found.dtype() != DataType::kFloat32) {
    EXPECT_EQ(std::memcmp(found.data(), wanted.data(), found.byte_size()), 0);
    return;
  }
  const auto a = found.flat<float>(), b = wanted.flat<float>();
  double scale = 1;
  for (float v : b) {
    if (std::isfinite(v)) scale = std::max(scale, static_cast<double>(std::fabs(v)));
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(b[i]) && std::isnan(a[i])) continue;
    if (a[i] == b[i]) continue;
    ASSERT_NEAR(a[i], b[i], tolerance * scale) << "element " << i << " of " << wanted.describe();
  }
}

inline void expect_same_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.byte_size()), 0);
}

// The engine gives what the reference gives.
inline void check(const ir::Graph& graph, const std::vector<Tensor>& inputs, double tolerance = 1e-4, CompileOptions options = {}) {
  const auto executable = load(build(graph, std::move(options)));
  const auto found = run(*executable, inputs, graph.outputs.size());
  const auto wanted = reference(graph, inputs);
  for (std::size_t i = 0; i < wanted.size(); ++i) expect_near(found[i], wanted[i], tolerance);
}

// The kernels that the engine uses, in order.
inline std::vector<std::string> kernels(const ir::Graph& graph, const std::vector<Tensor>& inputs) {
  const auto executable = load(build(graph));
  std::vector<TensorView> views;
  for (const Tensor& input : inputs) views.push_back(TensorView::of(input));
  std::vector<std::string> names;
  for (const LayerTime& layer : executable->layers(views)) names.push_back(layer.kernel);
  return names;
}

}  // namespace tenon::test
