#include "runtime/executor.h"

#include <gtest/gtest.h>

#include "runtime/run_text.h"

namespace tenon {
namespace {

using namespace test;

std::string neg(const std::string& name, const std::string& input) { return node(name, "Neg", {input}, {kFloatT}); }
std::string add(const std::string& name, const std::string& a, const std::string& b) { return node(name, "AddV2", {a, b}, {kFloatT}); }

TEST(Executor, ComputesWhatIsWantedAndNothingElse) {
  TextModel model(placeholder("x") + neg("a", "x") + neg("b", "a") + node("broken", "NoSuchOp", {"a"}));
  std::vector<std::string> ran;
  const runtime::NodeObserver observer = [&](const ir::Node& n, std::span<const Tensor>, double) { ran.push_back(n.name); };
  EXPECT_EQ(model.run({{"x", scalar(2)}}, {"a"}, {}, &observer)[0].flat<float>()[0], -2);
  EXPECT_EQ(ran, std::vector<std::string>{"a"});
  const std::string error = error_of([&] { model.run({{"x", scalar(2)}}, {"broken"}); });
  EXPECT_NE(error.find("NoSuchOp \"broken\""), std::string::npos) << error;
}

TEST(Executor, FeedsReplaceAnyTensor) {
  TextModel model(placeholder("x") + neg("a", "x") + neg("b", "a") + constant("c", 5) + add("d", "c", "b"));
  EXPECT_EQ(model.number({{"a", scalar(7)}}, "b"), -7);  // x is not needed
  EXPECT_EQ(model.number({{"a", scalar(7)}, {"c", scalar(1)}}, "d"), -6);
  EXPECT_EQ(model.number({{"x", scalar(2)}}, "d"), 7);
}

TEST(Executor, AFedTensorCanBeFetched) {
  TextModel model(placeholder("x") + neg("a", "x"));
  const auto results = model.run({{"x", scalar(2)}}, {"x", "a", "x", "a"});
  EXPECT_EQ(results[0].flat<float>()[0], 2);
  EXPECT_EQ(results[1].flat<float>()[0], -2);
  EXPECT_EQ(results[2].flat<float>()[0], 2);
  EXPECT_EQ(results[3].flat<float>()[0], -2);
}

TEST(Executor, OneOfSeveralResultsCanBeFed) {
  TextModel model(placeholder("x") + constant_int("axis", 0) + node("s", "Split", {"axis", "x"}, {kFloatT, int_attr("num_split", 2)}) +
                  add("y", "s", "s:1"));
  const std::vector<float> two = {1, 10};
  EXPECT_EQ(model.run({{"x", Tensor::vector<float>(two)}, {"s:1", scalar(5)}}, {"y"})[0].flat<float>()[0], 6);
}

TEST(Executor, MissingFeedsAreNamed) {
  TextModel model(placeholder("x") + neg("a", "x"));
  const std::string error = error_of([&] { model.run({}, {"a"}); });
  EXPECT_NE(error.find("\"x\""), std::string::npos) << error;
}

// Values move to their last reader, which may overwrite them: nobody else may notice.
TEST(Executor, NobodySeesMemoryThatIsReused) {
  TextModel model(placeholder("x") + neg("a", "x") + add("twice", "a", "a") + neg("b", "twice") + add("c", "b", "a") + neg("d", "c"));
  const Tensor x = scalar(2);
  for (int i = 0; i < 3; ++i) {
    const auto results = model.run({{"x", x}}, {"d", "a", "twice"});
    EXPECT_EQ(results[0].flat<float>()[0], -2);
    EXPECT_EQ(results[1].flat<float>()[0], -2);
    EXPECT_EQ(results[2].flat<float>()[0], -4);
    EXPECT_EQ(x.flat<float>()[0], 2);
  }
}

TEST(Executor, ConstantsSurviveRuns) {
  TextModel model(constant("c", 3) + neg("a", "c") + neg("b", "a"));
  for (int i = 0; i < 3; ++i) {
    const auto results = model.run({}, {"b", "c"});
    EXPECT_EQ(results[0].flat<float>()[0], 3);
    EXPECT_EQ(results[1].flat<float>()[0], 3);
  }
}

TEST(Executor, AValueReadByVeryManyOperandsIsScheduledQuickly) {
  constexpr int kOperands = 200'000;
  const TextModel::Clock::time_point start = TextModel::Clock::now();
  TextModel model(placeholder("x") + node("y", "AddN", std::vector<std::string>(kOperands, "x"), {kFloatT, int_attr("N", kOperands)}));
  EXPECT_EQ(model.number({{"x", scalar(1)}}, "y"), kOperands);
  EXPECT_LT(std::chrono::duration<double>(TextModel::Clock::now() - start).count(), 30);
}

TEST(Executor, ErrorsNameTheNode) {
  TextModel model(placeholder("x") + placeholder("y") + add("sum", "x", "y"));
  const std::vector<float> two = {1, 2};
  const std::vector<float> three = {1, 2, 3};
  const std::string error = error_of([&] { model.run({{"x", Tensor::vector<float>(two)}, {"y", Tensor::vector<float>(three)}}, {"sum"}); });
  EXPECT_NE(error.find("AddV2 \"sum\""), std::string::npos) << error;
}

TEST(Variables, KeepACopyOfWhatTheCallerFeeds) {
  const std::string v = node("v", "VarHandleOp", {}, {kFloatDtype, "key: 'shape' value { shape { } }", string_attr("shared_name", "v")});
  TextModel model(placeholder("x") + v + node("set", "AssignVariableOp", {"v", "x"}, {kFloatDtype}) + node("read", "ReadVariableOp", {"v"}, {kFloatDtype}));
  auto memory = std::make_shared<float>(3.0f);
  model.run({{"x", Tensor::borrow(DataType::kFloat32, Shape{}, memory.get(), memory)}}, {}, {"set"});
  *memory = 99;
  EXPECT_EQ(model.number({}, "read"), 3);
}

TEST(Variables, AreAssignedThoughOnlyAnIdleReadWaitsForIt) {
  const std::string v = node("v", "VarHandleOp", {}, {kFloatDtype, "key: 'shape' value { shape { } }", string_attr("shared_name", "v")});
  TextModel model(placeholder("x") + v + node("set", "AssignVariableOp", {"v", "x"}, {kFloatDtype}) +
                  node("idle", "ReadVariableOp", {"v", "^set"}, {kFloatDtype}) + node("y", "Neg", {"x", "^idle"}, {kFloatT}) +
                  node("read", "ReadVariableOp", {"v"}, {kFloatDtype}));
  EXPECT_EQ(model.number({{"x", scalar(3)}}, "y"), -3);
  EXPECT_EQ(model.number({}, "read"), 3);
}

// while (x < limit) x = x + x, as a function
class FunctionalLoops : public testing::Test {
 protected:
  static std::string library(float limit) {
    return "function { signature { name: 'cond' input_arg { name: 'x' type: DT_FLOAT } output_arg { name: 'y' type: DT_BOOL } }" +
           inner("limit", "Const", {}, {kFloatDtype, const_attr(limit)}) + inner("less", "Less", {"x", "limit:output:0"}, {kFloatT}) +
           " ret { key: 'y' value: 'less:z:0' } }" +
           function("body", {"x"}, {{"y", "sum:z:0"}}, inner("one", "Const", {}, {kFloatDtype, const_attr(1)}) + inner("sum", "AddV2", {"x", "one:output:0"}, {kFloatT}));
  }
  static std::string loop() {
    return placeholder("x") + node("w", "While", {"x"}, {types_attr("T", {"DT_FLOAT"}), func_attr("cond", "cond"), func_attr("body", "body")});
  }
};

TEST_F(FunctionalLoops, RunUntilTheirConditionFails) {
  TextModel model(loop(), library(10));
  EXPECT_EQ(model.number({{"x", scalar(3.5)}}, "w"), 10.5);
  EXPECT_EQ(model.number({{"x", scalar(30)}}, "w"), 30);
}

TEST_F(FunctionalLoops, RunVeryOften) { EXPECT_EQ(TextModel(loop(), library(100'000)).number({{"x", scalar(0)}}, "w"), 100'000); }

TEST_F(FunctionalLoops, NeedTheirFunctions) {
  const std::string error = error_of([&] { TextModel(loop(), "").run({{"x", scalar(0)}}, {"w"}); });
  EXPECT_NE(error.find("cond"), std::string::npos) << error;
}

TEST(Case, TakesTheLastBranchForOtherIndices) {
  std::string library;
  for (int i = 0; i < 3; ++i) {
    library += function("b" + std::to_string(i), {"x"}, {{"y", "sum:z:0"}},
                        inner("c", "Const", {}, {kFloatDtype, const_attr(static_cast<float>(i))}) + inner("sum", "AddV2", {"x", "c:output:0"}, {kFloatT}));
  }
  TextModel model(placeholder("i", "DT_INT32") + placeholder("x") +
                      node("y", "Case", {"i", "x"}, {types_attr("Tin", {"DT_FLOAT"}), types_attr("Tout", {"DT_FLOAT"}),
                                                     "key: 'branches' value { list { func { name: 'b0' } func { name: 'b1' } func { name: 'b2' } } }"}),
                  library);
  const auto at = [&](int i) { return model.number({{"i", Tensor::scalar<std::int32_t>(i)}, {"x", scalar(10)}}, "y"); };
  EXPECT_EQ(at(0), 10);
  EXPECT_EQ(at(1), 11);
  EXPECT_EQ(at(2), 12);
  EXPECT_EQ(at(-1), 12);
  EXPECT_EQ(at(7), 12);
}

}  // namespace
}  // namespace tenon
