// The pipeline on very large graphs: its time grows with their size, not with the square of it.
#include <gtest/gtest.h>

#include <chrono>

#include "ir/verify.h"
#include "ops/registry.h"
#include "passes/pipeline.h"

namespace tenon::passes {
namespace {

ir::Node* add_parameter(ir::Graph& graph, const PartialShape& shape) {
  ir::Attrs attrs;
  attrs.set("dtype", DataType::kFloat32);
  attrs.set("shape", shape);
  ir::Node* parameter = graph.add(ops::op("parameter"), "x", {}, attrs);
  graph.parameters.push_back(parameter);
  return parameter;
}

ir::Value add_constant(ir::Graph& graph, Tensor value) {
  ir::Attrs attrs;
  attrs.set("value", std::move(value));
  return graph.add(ops::op("const"), "c", {}, attrs)->output();
}

double seconds_to_optimize(ir::Graph& graph) {
  const auto start = std::chrono::steady_clock::now();
  SymbolSource symbols;
  optimize(graph, {}, symbols);
  ir::verify(graph);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One constant that every node uses, one value that every node uses.
TEST(Scale, ManyUsersOfOneValue) {
  ir::Graph graph;
  ir::Node* x = add_parameter(graph, {Dim::symbol(0), 4});
  const ir::Value c = add_constant(graph, Tensor::scalar<float>(2.0f));
  ir::Value sum = x->output();
  for (int i = 0; i < 10000; ++i) {
    ir::Node* product = graph.add(ops::op("mul"), "m", {c, x->output()});
    ir::Node* root = graph.add(ops::op("rsqrt"), "r", {product->output()});
    sum = graph.add(ops::op("add"), "s", {sum, root->output()})->output();
  }
  graph.outputs = {sum};
  EXPECT_LT(seconds_to_optimize(graph), 20);
}

TEST(Scale, LongChain) {
  ir::Graph graph;
  ir::Value value = add_parameter(graph, {Dim::symbol(0), 4})->output();
  const ir::Value c = add_constant(graph, Tensor::scalar<float>(1.5f));
  for (int i = 0; i < 20000; ++i) {
    value = graph.add(ops::op("identity"), "i", {value})->output();
    value = graph.add(ops::op("mul"), "m", {value, c})->output();
  }
  graph.outputs = {value};
  EXPECT_LT(seconds_to_optimize(graph), 20);
}

}  // namespace
}  // namespace tenon::passes
