#include "partition/equal_graphs.h"

#include <gtest/gtest.h>

#include "ir/parse.h"
#include "ops/registry.h"

namespace tenon::partition {
namespace {

std::unique_ptr<ir::Graph> parse(const std::string& text) {
  ir::ParseOptions options;
  options.find_op = ops::find_op;
  return ir::parse(text, options);
}

// relu(x + c) * y, of a shape and with a constant.
std::string scaled(const std::string& prefix, const std::string& shape, const std::string& value, const std::string& op = "relu") {
  return "graph \"" + prefix + "g\"\nn0 = parameter \"" + prefix + "x\" {dtype: float32, index: 0, shape: <" + shape + ">} () -> float32[" + shape +
         "]\nn1 = parameter \"" + prefix + "y\" {dtype: float32, index: 1, shape: <" + shape + ">} () -> float32[" + shape + "]\nn2 = const \"" +
         prefix + "c\" {value: " + value + "} () -> float32[2]\nn3 = add \"" + prefix + "add\" {T: float32} (n0, n2) -> float32[" + shape +
         "]\nn4 = " + op + " \"" + prefix + "op\" {T: float32} (n3) -> float32[" + shape + "]\nn5 = mul \"" + prefix +
         "mul\" {T: float32} (n4, n1) -> float32[" + shape + "]\nparameters (n0, n1)\noutputs (n5)\ncontrols ()\nend\n";
}

bool same(const std::string& a, const std::string& b, bool reorder = false) {
  return corresponding(*parse(a), *parse(b), nullptr, reorder).has_value();
}

const std::string kModel = scaled("a/", "s0,2", "float32[2]{1, 2}");

TEST(EqualGraphs, HaveOtherNamesAndOtherSymbols) {
  const auto a = parse(kModel);
  const auto b = parse(scaled("b/", "s7,2", "float32[2]{1, 2}"));
  const auto match = corresponding(*a, *b, nullptr);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->nodes.at(a->find("a/mul")), b->find("b/mul"));
  EXPECT_EQ(match->parameters, (std::vector<std::size_t>{0, 1}));
}

TEST(EqualGraphs, HaveEqualConstantsOpsAndTypes) {
  EXPECT_FALSE(same(kModel, scaled("a/", "s0,2", "float32[2]{1, 3}")));
  EXPECT_FALSE(same(kModel, scaled("a/", "s0,2", "float32[2]{1, 2}", "neg")));
  EXPECT_FALSE(same(kModel, scaled("a/", "3,2", "float32[2]{1, 2}")));
}

TEST(EqualGraphs, MatchSymbolsOneToOne) {
  const std::string one = scaled("a/", "s0,s1,2", "float32[2]{1, 2}");
  EXPECT_TRUE(same(one, scaled("a/", "s1,s0,2", "float32[2]{1, 2}")));
  EXPECT_FALSE(same(one, scaled("a/", "s1,s1,2", "float32[2]{1, 2}")));
  EXPECT_FALSE(same(scaled("a/", "s1,s1,2", "float32[2]{1, 2}"), one));
}

std::string difference(const std::string& operands, const std::string& first, const std::string& second) {
  return "graph \"g\"\nn0 = parameter \"" + first + "\" {dtype: float32, index: 0, shape: <2>} () -> float32[2]\nn1 = parameter \"" + second +
         "\" {dtype: float32, index: 1, shape: <2>} () -> float32[2]\nn2 = sub \"d\" {T: float32} " + operands +
         " -> float32[2]\nparameters (n0, n1)\noutputs (n2)\ncontrols ()\nend\n";
}

TEST(EqualGraphs, MayTakeTheirParametersInAnotherOrder) {
  const auto a = parse(difference("(n0, n1)", "x", "y"));
  const auto b = parse(difference("(n1, n0)", "y", "x"));
  EXPECT_FALSE(corresponding(*a, *b, nullptr));
  const auto match = corresponding(*a, *b, nullptr, true);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->parameters, (std::vector<std::size_t>{1, 0}));
}

TEST(EqualGraphs, DoNotMergeTwoNodesIntoOne) {
  EXPECT_FALSE(same(difference("(n0, n1)", "x", "y"), difference("(n0, n0)", "x", "y"), true));
  EXPECT_FALSE(same(difference("(n0, n0)", "x", "y"), difference("(n0, n1)", "x", "y"), true));
}

std::string variable(const std::string& name) {
  return "graph \"g\"\nn0 = parameter \"h\" {dtype: resource, index: 0, shape: <>, variable: \"" + name +
         "\"} () -> resource[]\nn1 = read_variable \"r\" {dtype: float32} (n0) -> float32[2]\nparameters (n0)\noutputs (n1)\ncontrols ()\nend\n";
}

TEST(EqualGraphs, ReadTheSameVariables) {
  EXPECT_TRUE(same(variable("w"), variable("w"), true));
  EXPECT_FALSE(same(variable("w"), variable("v"), true));
}

std::string calling(const std::string& function) {
  return "graph \"g\"\nn0 = parameter \"x\" {dtype: float32, index: 0, shape: <2>} () -> float32[2]\nn1 = call \"c\" {f: &\"" + function +
         "\"{}} (n0) -> float32[2]\nparameters (n0)\noutputs (n1)\ncontrols ()\nend\n";
}
std::string body(const std::string& op) {
  return "graph \"f\"\nn0 = parameter \"x\" {dtype: float32, index: 0, shape: <2>} () -> float32[2]\nn1 = " + op +
         " \"y\" {T: float32} (n0) -> float32[2]\nparameters (n0)\noutputs (n1)\ncontrols ()\nend\n";
}

TEST(EqualGraphs, CallFunctionsThatAreEqual) {
  ir::Module module;
  module.functions["relu_1"] = parse(body("relu"));
  module.functions["relu_2"] = parse(body("relu"));
  module.functions["neg"] = parse(body("neg"));
  EXPECT_TRUE(corresponding(*parse(calling("relu_1")), *parse(calling("relu_2")), &module));
  EXPECT_FALSE(corresponding(*parse(calling("relu_1")), *parse(calling("neg")), &module));
  EXPECT_FALSE(corresponding(*parse(calling("relu_1")), *parse(calling("missing")), &module));
  EXPECT_FALSE(corresponding(*parse(calling("relu_1")), *parse(calling("relu_2")), nullptr));
}

TEST(EqualGraphs, MayCallThemselves) {
  ir::Module module;
  module.functions["f"] = parse(calling("f"));
  module.functions["g"] = parse(calling("g"));
  EXPECT_TRUE(corresponding(*parse(calling("f")), *parse(calling("g")), &module));
}

}  // namespace
}  // namespace tenon::partition
