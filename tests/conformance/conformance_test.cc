// Every op of the IR against what TensorFlow computed: results of the reference kernels, and inference with all, some and no
// knowledge of the operands.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/visit_dtype.h"
#include "conformance/case_file.h"
#include "conformance/tolerance.h"
#include "ir/eval_context.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "ops/tensorflow_ops.h"

namespace tenon::conformance {
namespace {

constexpr int kMostReports = 25;  // per family

// One difference in words; empty when `got` is near enough to `want`.
template <class T>
std::string difference(const Tensor& got, const Tensor& want, Tolerance tolerance) {
  const auto a = got.flat<T>();
  const auto b = want.flat<T>();
  if constexpr (kIsFloat<T> || kIsComplex<T>) {
    using C = std::conditional_t<kIsComplex<T>, std::complex<double>, double>;
    const auto parts = [](C v) -> std::array<double, 2> {
      if constexpr (kIsComplex<T>) return {v.real(), v.imag()};
      else return {v, 0.0};
    };
    double largest = 0.1;
    for (const T& v : b) {
      if (std::isfinite(std::abs(static_cast<C>(v)))) largest = std::max(largest, std::abs(static_cast<C>(v)));
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
      for (int part = 0; part < 2; ++part) {
        const double x = parts(static_cast<C>(a[i]))[part], y = parts(static_cast<C>(b[i]))[part];
        const double allowed = tolerance.relative * std::abs(static_cast<C>(b[i])) + tolerance.absolute * largest;
        const bool same = x == y || (std::isnan(x) && std::isnan(y)) || (std::isfinite(y) && std::abs(x - y) <= allowed);
        if (!same) return fmt::format("element {} is {:.9g}, TensorFlow's {:.9g}", i, x, y);
      }
    }
  } else {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i] != b[i]) return fmt::format("element {} is {}, TensorFlow's {}", i, a[i], b[i]);
    }
  }
  return {};
}

std::string compare(const Tensor& got, const Tensor& want, const Case& c) {
  if (got.dtype() != want.dtype() || got.shape() != want.shape()) {
    return fmt::format("result is {}, TensorFlow's {}", got.describe(), want.describe());
  }
  if (c.outcome == Case::Outcome::kShapes) return {};
  if (want.dtype() == DataType::kVariant || want.dtype() == DataType::kResource) return {};
  Tolerance tolerance = tolerance_of(want.dtype());
  tolerance.relative *= c.tolerance;
  tolerance.absolute *= c.tolerance;
  std::string text;
  visit_dtype(Join<PlainTypes, TypeList<std::string>>{}, want.dtype(), "compare",
              [&](auto tag) { text = difference<typename decltype(tag)::type>(got, want, tolerance); });
  return text;
}

// A graph of one node whose operands are constants or placeholders.
enum class Knowledge { kValues, kShapes, kRanks, kDtypes };

struct OneNode {
  ir::Graph graph;
  SymbolSource symbols;
  ir::Node* node = nullptr;
};

std::unique_ptr<OneNode> make_node(const Case& c, Knowledge knowledge) {
  const ops::ImportRule* rule = ops::find_rule(c.op);
  if (rule == nullptr) fail(ErrorCode::kUnsupported, "no import rule for {}", c.op);
  auto made = std::make_unique<OneNode>();
  std::vector<ir::Value> operands;
  for (const Tensor& input : c.inputs) {
    ir::Attrs attrs;
    if (knowledge == Knowledge::kValues) {
      attrs.set("value", input);
    } else {
      attrs.set("dtype", input.dtype());
      attrs.set("shape", knowledge == Knowledge::kShapes  ? PartialShape(input.shape())
                         : knowledge == Knowledge::kRanks ? made->symbols.fresh_shape(input.rank())
                                                          : PartialShape{});
    }
    const char* op = knowledge == Knowledge::kValues ? "const" : "parameter";
    operands.push_back(made->graph.add(ops::op(op), "in", {}, std::move(attrs))->output());
  }
  ir::Attrs attrs = c.attrs;
  int outputs = 1;
  if (const ops::TensorflowOp* known = ops::TensorflowOp::find(c.op)) {
    known->fill_defaults(attrs);
    outputs = static_cast<int>(known->result_types(attrs).size());
  }
  if (rule->rewrite != nullptr) rule->rewrite(attrs);
  made->node = made->graph.add(ops::op(rule->ir_op), c.op, std::move(operands), std::move(attrs), outputs);
  return made;
}

// Session services for stateful ops that need nothing but a seed.
class TestServices : public ir::Services {
 public:
  ObjectPtr resource(const std::string&, const std::string&, const std::function<ObjectPtr()>& make) override { return make(); }
  std::vector<Tensor> call(const ir::FunctionRef& function, std::vector<Tensor>) override {
    fail(ErrorCode::kUnsupported, "function {} in a single-op case", function.name);
  }
  Tensor checkpoint_value(const std::string&) override { return {}; }
  std::uint64_t random_seed() override { return 42; }
};

std::vector<Tensor> evaluate(const ir::Node& node, std::vector<Tensor> inputs, ThreadTeam* team) {
  if (node.op->evaluate == nullptr) fail(ErrorCode::kUnsupported, "{} has no reference kernel", node.op->name);
  TestServices services;
  std::vector<Tensor> outputs(node.outputs.size());
  ir::EvalContext ctx(node, inputs, outputs, &services, team);
  node.op->evaluate(ctx);
  return outputs;
}

std::string check_outputs(const Case& c, const std::vector<Tensor>& outputs) {
  if (outputs.size() != c.outputs.size()) return fmt::format("{} results, TensorFlow has {}", outputs.size(), c.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    std::string text = compare(outputs[i], c.outputs[i], c);
    if (!text.empty()) return fmt::format("output {}: {}", i, text);
  }
  return {};
}

std::string check_inference(const Case& c, Knowledge knowledge) {
  const auto made = make_node(c, knowledge);
  ops::Facts facts(made->symbols, {});
  try {
    ops::infer(made->graph, facts, {});
  } catch (const Error& error) {
    return c.outcome == Case::Outcome::kError ? "" : fmt::format("inference (knowledge {}): {}", static_cast<int>(knowledge), error.what());
  }
  if (c.outcome == Case::Outcome::kError) return {};
  const auto& types = made->node->outputs;
  if (types.size() != c.outputs.size()) return fmt::format("inference: {} results, TensorFlow has {}", types.size(), c.outputs.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    const Tensor& want = c.outputs[i];
    if (types[i].dtype != want.dtype() || !types[i].shape.admits(want.shape())) {
      return fmt::format("inference (knowledge {}): output {} is {}, TensorFlow's {}", static_cast<int>(knowledge), i, types[i].to_string(),
                         want.describe());
    }
  }
  return {};
}

// What is wrong; empty when all is well.
std::string check(const Case& c, ThreadTeam& team) {
  for (Knowledge k : {Knowledge::kDtypes, Knowledge::kRanks, Knowledge::kShapes, Knowledge::kValues}) {
    std::string text = check_inference(c, k);
    if (!text.empty()) return text;
  }
  const auto made = make_node(c, Knowledge::kShapes);
  ops::Facts facts(made->symbols, {});
  if (c.outcome == Case::Outcome::kError) {
    try {
      ops::infer(made->graph, facts, {});
      evaluate(*made->node, c.inputs, nullptr);
    } catch (const Error&) {
      return {};
    }
    return fmt::format("no error; TensorFlow says: {}", c.error);
  }
  ops::infer(made->graph, facts, {});
  std::string text = check_outputs(c, evaluate(*made->node, c.inputs, nullptr));  // operands shared: none may be overwritten
  if (!text.empty()) return text;
  std::vector<Tensor> own;
  for (const Tensor& input : c.inputs) own.push_back(input.clone());
  text = check_outputs(c, evaluate(*made->node, std::move(own), &team));
  return text.empty() ? text : "in place, with threads: " + text;
}

std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(TENON_SOURCE_DIR "/tests/conformance/data")) {
    if (entry.path().extension() == ".bin") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Conformance : public testing::TestWithParam<std::string> {};

TEST_P(Conformance, AgreesWithTensorFlow) {
  const std::vector<Case> cases = read_cases(TENON_SOURCE_DIR "/tests/conformance/data/" + GetParam() + ".bin");
  ASSERT_FALSE(cases.empty());
  ThreadTeam team(2);
  int failures = 0;
  for (const Case& c : cases) {
    std::string text;
    try {
      text = check(c, team);
    } catch (const std::exception& error) {
      text = error.what();
    }
    if (text.empty()) continue;
    if (++failures <= kMostReports) ADD_FAILURE() << c.describe() << "\n  " << text;
  }
  EXPECT_EQ(failures, 0) << "of " << cases.size() << " cases";
}

INSTANTIATE_TEST_SUITE_P(Recorded, Conformance, testing::ValuesIn(families()), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace tenon::conformance
