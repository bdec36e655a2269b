// TF1 control flow: Switch, Merge, Enter, Exit, NextIteration.
#include "runtime/frame_executor.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/run_text.h"

namespace tenon {
namespace {

using namespace test;

std::string enter(const std::string& name, const std::string& input, const std::string& frame, bool constant = false,
                  const std::string& type = kInt32T) {
  return node(name, "Enter", {input}, {type, string_attr("frame_name", frame), bool_attr("is_constant", constant)});
}
std::string merge(const std::string& name, const std::string& a, const std::string& b, const std::string& type = kInt32T) {
  return node(name, "Merge", {a, b}, {type, int_attr("N", 2)});
}
std::string op(const std::string& name, const std::string& type, const std::vector<std::string>& inputs, const std::string& t = kInt32T) {
  return node(name, type, inputs, {t});
}

// i = start; while (i < limit) i += 1, in `frame`, with names that begin with `p`. The loop's result is p + "exit".
std::string counting(const std::string& p, const std::string& start, const std::string& limit, const std::string& frame) {
  return enter(p + "enter", start, frame) + enter(p + "limit", limit, frame, true) + merge(p + "merge", p + "enter", p + "next") +
         op(p + "less", "Less", {p + "merge", p + "limit"}) + node(p + "cond", "LoopCond", {p + "less"}) +
         op(p + "switch", "Switch", {p + "merge", p + "cond"}) + op(p + "exit", "Exit", {p + "switch"}) +
         op(p + "body", "Identity", {p + "switch:1"}) + constant_int(p + "one", 1, {"^" + p + "body"}) +
         op(p + "add", "AddV2", {p + "body", p + "one"}) + op(p + "next", "NextIteration", {p + "add"});
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST(Frames, ALoopCounts) {
  TextModel model(placeholder("x", "DT_INT32") + constant_int("ten", 10) + counting("", "x", "ten", "loop"));
  EXPECT_EQ(model.integer({{"x", Tensor::scalar<std::int32_t>(3)}}, "exit"), 10);
  EXPECT_EQ(model.integer({{"x", Tensor::scalar<std::int32_t>(30)}}, "exit"), 30);
}

TEST(Frames, ALongLoopTakesBoundedMemory) {
  TextModel model(placeholder("x", "DT_INT32") + constant_int("many", 100'000) + counting("", "x", "many", "loop"));
  model.integer({{"x", Tensor::scalar<std::int32_t>(99'000)}}, "exit");
  const std::size_t before = resident_bytes();
  EXPECT_EQ(model.integer({{"x", Tensor::scalar<std::int32_t>(0)}}, "exit"), 100'000);
  EXPECT_LT(resident_bytes(), before + (16u << 20));
}

// for (i = 0; i < n; ++i) { j = 0; while (j < 5) ++j; total += j; }
std::string nested(const std::string& outer_frame = "outer") {
  return constant_int("zero", 0) + constant_int("five", 5) + enter("i", "zero", outer_frame) + enter("total", "zero", outer_frame) +
         enter("n_in", "n", outer_frame, true) + enter("five_in", "five", outer_frame, true) + merge("i_merge", "i", "i_next") +
         merge("t_merge", "total", "t_next") + op("less", "Less", {"i_merge", "n_in"}) + node("cond", "LoopCond", {"less"}) +
         op("i_switch", "Switch", {"i_merge", "cond"}) + op("t_switch", "Switch", {"t_merge", "cond"}) + op("t_exit", "Exit", {"t_switch"}) +
         op("i_exit", "Exit", {"i_switch"}) + op("i_body", "Identity", {"i_switch:1"}) + constant_int("start", 0, {"^i_body"}) +
         counting("in_", "start", "five_in", "inner") + op("sum", "AddV2", {"t_switch:1", "in_exit"}) + constant_int("one", 1, {"^i_body"}) +
         op("plus", "AddV2", {"i_body", "one"}) + op("i_next", "NextIteration", {"plus"}) + op("t_next", "NextIteration", {"sum"});
}

TEST(Frames, LoopsNest) {
  TextModel model(placeholder("n", "DT_INT32") + nested());
  const auto results = model.run({{"n", Tensor::scalar<std::int32_t>(7)}}, {"t_exit", "i_exit"});
  EXPECT_EQ(results[0].flat<std::int32_t>()[0], 35);
  EXPECT_EQ(results[1].flat<std::int32_t>()[0], 7);
  EXPECT_EQ(model.integer({{"n", Tensor::scalar<std::int32_t>(0)}}, "t_exit"), 0);
}

TEST(Frames, TwoLoopsInARow) {
  TextModel model(placeholder("x", "DT_INT32") + constant_int("ten", 10) + constant_int("twenty", 20) + counting("a_", "x", "ten", "a") +
                  counting("b_", "a_exit", "twenty", "b"));
  EXPECT_EQ(model.integer({{"x", Tensor::scalar<std::int32_t>(3)}}, "b_exit"), 20);
}

TEST(Frames, ResultsWithinALoopCannotBeFetched) {
  TextModel model(placeholder("x", "DT_INT32") + constant_int("ten", 10) + counting("", "x", "ten", "loop"));
  EXPECT_NE(error_of([&] { model.run({{"x", Tensor::scalar<std::int32_t>(3)}}, {"add"}); }), "");
}

std::string conditional() {
  return placeholder("p", "DT_BOOL") + placeholder("x") + op("s", "Switch", {"x", "p"}, kFloatT) + op("no", "Neg", {"s"}, kFloatT) +
         op("yes", "AddV2", {"s:1", "s:1"}, kFloatT) + merge("m", "no", "yes", kFloatT) + op("after", "Neg", {"m"}, kFloatT);
}

TEST(Frames, ASwitchTakesOneBranch) {
  TextModel model(conditional());
  EXPECT_EQ(model.number({{"p", Tensor::scalar(true)}, {"x", scalar(3)}}, "after"), -6);
  EXPECT_EQ(model.number({{"p", Tensor::scalar(false)}, {"x", scalar(3)}}, "after"), 3);
  EXPECT_EQ(model.run({{"p", Tensor::scalar(true)}, {"x", scalar(3)}}, {"m:1"})[0].flat<std::int32_t>()[0], 1);
  EXPECT_EQ(model.run({{"p", Tensor::scalar(false)}, {"x", scalar(3)}}, {"m:1"})[0].flat<std::int32_t>()[0], 0);
}

TEST(Frames, DeadBranchesDoNotRun) {
  TextModel model(conditional());
  std::vector<std::string> ran;
  const runtime::NodeObserver observer = [&](const ir::Node& n, std::span<const Tensor>, double) { ran.push_back(n.name); };
  model.run({{"p", Tensor::scalar(true)}, {"x", scalar(3)}}, {"after"}, {}, &observer);
  EXPECT_EQ(std::count(ran.begin(), ran.end(), "no"), 0);
  EXPECT_EQ(std::count(ran.begin(), ran.end(), "yes"), 1);
}

TEST(Frames, FetchingADeadTensorIsAnError) {
  TextModel model(conditional());
  const std::string error = error_of([&] { model.run({{"p", Tensor::scalar(true)}, {"x", scalar(3)}}, {"no"}); });
  EXPECT_NE(error.find("branch that was not taken"), std::string::npos) << error;
}

TEST(Frames, AFedOperandOfAMergeIsTaken) {
  TextModel model(conditional());
  EXPECT_EQ(model.number({{"no", scalar(8)}, {"p", Tensor::scalar(false)}, {"x", scalar(3)}}, "after"), -8);
  EXPECT_EQ(model.number({{"no", scalar(8)}, {"yes", scalar(8)}}, "after"), -8);
}

// A loop on a branch that is not taken: its exits are dead, and the merge takes the other branch.
TEST(Frames, LoopsOnDeadBranchesEnd) {
  TextModel model(placeholder("p", "DT_BOOL") + placeholder("x", "DT_INT32") + constant_int("ten", 10) +
                  op("s", "Switch", {"x", "p"}) + op("t", "Switch", {"ten", "p"}) + counting("", "s:1", "t:1", "loop") +
                  op("no", "Neg", {"s"}) + merge("m", "no", "exit"));
  EXPECT_EQ(model.integer({{"p", Tensor::scalar(true)}, {"x", Tensor::scalar<std::int32_t>(3)}}, "m"), 10);
  EXPECT_EQ(model.integer({{"p", Tensor::scalar(false)}, {"x", Tensor::scalar<std::int32_t>(3)}}, "m"), -3);
}

TEST(Frames, APredicateMustBeOneBool) {
  TextModel model(conditional());
  const std::vector<float> two = {1, 2};
  EXPECT_NE(error_of([&] { model.run({{"p", scalar(1)}, {"x", scalar(3)}}, {"m"}); }).find("must be one bool"), std::string::npos);
}

TEST(Frames, MalformedControlFlowIsRefused) {
  const auto run = [](const std::string& nodes, const std::string& fetch) {
    return error_of([&] { TextModel(placeholder("x", "DT_INT32") + nodes).run({{"x", Tensor::scalar<std::int32_t>(1)}}, {fetch}); });
  };
  EXPECT_NE(run(op("s", "Switch", {"x"}), "s"), "");
  EXPECT_NE(run(node("m", "Merge", {}, {kInt32T, int_attr("N", 0)}), "m"), "");
  EXPECT_NE(run(op("e", "Exit", {"x"}), "e"), "");
  EXPECT_NE(run(node("e", "Enter", {"x"}, {kInt32T}) + op("q", "Exit", {"e"}), "q"), "");
  EXPECT_NE(run(op("n", "NextIteration", {}), "n"), "");
  std::string deep;
  std::string last = "x";
  for (int i = 0; i < 5000; ++i) {
    deep += enter("e" + std::to_string(i), last, "f" + std::to_string(i));
    last = "e" + std::to_string(i);
  }
  EXPECT_NE(run(deep + op("q", "Exit", {last}), "q").find("nested more than"), std::string::npos);
}

// A function with a loop in its body, called twice: each call opens a frame of its own, and constants that the body makes from
// nothing belong to the frame of the call.
TEST(Frames, InlinedLoopsStayApart) {
  std::string body = counting("", "x", "ten", "loop");
  body = constant_int("ten", 10) + body;
  for (std::size_t at = 0; (at = body.find("node {", at)) != std::string::npos; at += 10) body.replace(at, 6, "node_def {");
  // Names of tensors inside functions say which result.
  const auto qualify = [&](const std::string& input, const std::string& tensor) {
    for (std::size_t at = 0; (at = body.find("input: '" + input + "'", at)) != std::string::npos;) {
      body.replace(at, input.size() + 9, "input: '" + tensor + "'");
    }
  };
  for (const char* plain : {"enter", "limit", "merge", "next", "exit", "body", "one", "ten"}) qualify(plain, std::string(plain) + ":output:0");
  qualify("less", "less:z:0");
  qualify("add", "add:z:0");
  qualify("cond", "cond:output:0");
  qualify("switch", "switch:output_false:0");
  qualify("switch:1", "switch:output_true:0");
  const std::string library = function("count", {"x"}, {{"y", "exit:output:0"}}, body, "DT_INT32");
  const auto call_it = [](const std::string& name, const std::string& input) {
    return node(name, "PartitionedCall", {input}, {types_attr("Tin", {"DT_INT32"}), types_attr("Tout", {"DT_INT32"}), func_attr("f", "count")});
  };
  TextModel model(placeholder("x", "DT_INT32") + placeholder("y", "DT_INT32") + call_it("a", "x") + call_it("b", "y") + op("sum", "AddV2", {"a", "b"}),
                  library);
  EXPECT_EQ(model.integer({{"x", Tensor::scalar<std::int32_t>(3)}, {"y", Tensor::scalar<std::int32_t>(40)}}, "sum"), 50);
}

// i = 0; while (i < 10) i = plus_two(i): the function's constant is made once per iteration.
TEST(Frames, FunctionsCalledInALoopMakeTheirConstantsThere) {
  const std::string library = function("plus_two", {"x"}, {{"y", "sum:z:0"}},
                                       inner("two", "Const", {}, {type_attr("dtype", "DT_INT32"), const_attr_int(2)}) +
                                           inner("sum", "AddV2", {"x", "two:output:0"}, {kInt32T}),
                                       "DT_INT32");
  const std::string nodes =
      placeholder("x", "DT_INT32") + constant_int("ten", 10) + enter("enter", "x", "loop") + enter("limit", "ten", "loop", true) +
      merge("merge", "enter", "next") + op("less", "Less", {"merge", "limit"}) + node("cond", "LoopCond", {"less"}) +
      op("switch", "Switch", {"merge", "cond"}) + op("exit", "Exit", {"switch"}) +
      node("add", "PartitionedCall", {"switch:1"}, {types_attr("Tin", {"DT_INT32"}), types_attr("Tout", {"DT_INT32"}), func_attr("f", "plus_two")}) +
      op("next", "NextIteration", {"add"});
  EXPECT_EQ(TextModel(nodes, library).integer({{"x", Tensor::scalar<std::int32_t>(1)}}, "exit"), 11);
}

}  // namespace
}  // namespace tenon
