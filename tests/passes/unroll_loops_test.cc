#include "passes/unroll_loops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "ir/eval_context.h"
#include "ir/parse.h"
#include "ops/registry.h"

namespace tenon::passes {
namespace {

std::unique_ptr<ir::Graph> parse(std::string_view text) {
  ir::ParseOptions options;
  options.find_op = [](std::string_view name) { return ops::find_op(name); };
  return ir::parse(text, options);
}

// counter < limit
constexpr std::string_view kCond = R"(graph "cond"
n0 = parameter "i" {dtype: int32, index: 0} () -> int32[]
n1 = parameter "x" {dtype: float32, index: 1} () -> float32[2]
n2 = parameter "list" {dtype: variant, index: 2} () -> variant[]
n3 = const "limit" {dtype: int32, value: int32[]{3}} () -> int32[]
n4 = less "less" {} (n0, n3) -> bool[]
parameters (n0, n1, n2)
outputs (n4)
controls ()
end
)";

// x = tanh(x + 1), list[i] = x
constexpr std::string_view kBody = R"(graph "body"
n0 = parameter "i" {dtype: int32, index: 0} () -> int32[]
n1 = parameter "x" {dtype: float32, index: 1} () -> float32[2]
n2 = parameter "list" {dtype: variant, index: 2} () -> variant[]
n3 = const "one" {dtype: int32, value: int32[]{1}} () -> int32[]
n4 = add "next" {} (n0, n3) -> int32[]
n5 = const "step" {dtype: float32, value: float32[]{0.5}} () -> float32[]
n6 = add "sum" {} (n1, n5) -> float32[2]
n7 = tanh "tanh" {} (n6) -> float32[2]
n8 = tensor_list_set_item "set" {element_dtype: float32} (n2, n0, n7) -> variant[]
parameters (n0, n1, n2)
outputs (n4, n7, n8)
controls ()
end
)";

std::string main_text(std::string_view start) {
  return R"(graph "main"
n0 = parameter "x" {dtype: float32, shape: <2>, index: 0} () -> float32[2]
n1 = parameter "n" {dtype: int32, shape: <>, index: 1} () -> int32[]
n2 = const "zero" {dtype: int32, value: int32[]{0}} () -> int32[]
n3 = const "size" {dtype: int32, value: int32[]{4}} () -> int32[]
n4 = const "shape" {dtype: int32, value: int32[1]{2}} () -> int32[1]
n5 = tensor_list_reserve "reserve" {element_dtype: float32} (n4, n3) -> variant[]
n6 = while "loop" {cond: &"cond", body: &"body"} ()" +
         std::string(start) + R"(, n0, n5) -> int32[], float32[2], variant[]
n7 = tensor_list_stack "stack" {element_dtype: float32} (n6:2, n4) -> float32[4,2]
parameters (n0, n1)
outputs (n6:1, n7)
controls ()
end
)";
}

ir::Module functions() {
  ir::Module module;
  module.functions["cond"] = parse(kCond);
  module.functions["body"] = parse(kBody);
  return module;
}

Tensor evaluate(ir::Graph& graph, const Tensor& x, std::size_t output) {
  std::unordered_map<ir::Value, Tensor, ir::ValueHash> values;
  for (ir::Node* node : graph.topological_order()) {
    if (node->is("parameter")) {
      values[node->output()] = x;
      continue;
    }
    std::vector<Tensor> inputs, outputs(node->outputs.size());
    for (const ir::Value& input : node->inputs) inputs.push_back(values.at(input));
    ir::EvalContext ctx(*node, inputs, outputs, nullptr, nullptr);
    node->op->evaluate(ctx);
    for (std::size_t i = 0; i < outputs.size(); ++i) values[{node, static_cast<int>(i)}] = outputs[i];
  }
  return values.at(graph.outputs.at(output));
}

TEST(UnrollLoops, MakesStraightLineCode) {
  const auto graph = parse(main_text("n2"));
  const ir::Module module = functions();
  SymbolSource symbols;
  const Verdict verdict = unroll_loops(*graph, module, symbols);
  ASSERT_TRUE(verdict) << verdict.reason();
  for (const auto& node : graph->nodes()) EXPECT_FALSE(node->is("while") || makes_tensor_list(*node) || reads_tensor_list(*node));

  Tensor x(DataType::kFloat32, {2});
  x.flat<float>()[0] = 0;
  x.flat<float>()[1] = -1;
  float wanted[2] = {0, -1};
  const Tensor last = evaluate(*graph, x, 0), all = evaluate(*graph, x, 1);
  ASSERT_EQ(all.shape(), (Shape{4, 2}));
  for (std::size_t step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < 2; ++i) {
      wanted[i] = std::tanh(wanted[i] + 0.5f);
      EXPECT_NEAR(all.flat<float>()[2 * step + i], wanted[i], 1e-6);
    }
  }
  EXPECT_NEAR(last.flat<float>()[1], wanted[1], 1e-6);
  EXPECT_EQ(all.flat<float>()[7], 0);  // never written
}

TEST(UnrollLoops, LeavesALoopWhoseCountDependsOnData) {
  const auto graph = parse(main_text("n1"));
  const ir::Module module = functions();
  SymbolSource symbols;
  const Verdict verdict = unroll_loops(*graph, module, symbols);
  EXPECT_FALSE(verdict);
  EXPECT_NE(verdict.reason().find("depends on data"), std::string::npos);
}

TEST(UnrollLoops, SaysWhichFunctionIsMissing) {
  const auto graph = parse(main_text("n2"));
  SymbolSource symbols;
  const ir::Module module;
  EXPECT_NE(unroll_loops(*graph, module, symbols).reason().find("\"cond\""), std::string::npos);
}

}  // namespace
}  // namespace tenon::passes
