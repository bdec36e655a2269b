#include "partition/functions.h"

#include <gtest/gtest.h>

#include "import/graph_text.h"
#include "ops/inference.h"
#include "partition/function_types.h"
#include "partition/partition.h"
#include "partition/trip_count.h"

namespace tenon {
namespace {

using namespace test;

// Runs every pure op and no loop.
class PureBackend : public Backend {
 public:
  std::string_view name() const override { return "pure"; }
  Capabilities capabilities() const override { return {}; }
  Verdict supports(std::span<const ir::Node* const>, const Precision&) const override { return Verdict::yes(); }
  bool has_kernel(std::string_view) const override { return true; }
  plan::Engine compile(const Segment&, const CompileOptions&) override { return {}; }
  std::unique_ptr<Executable> load(const plan::Engine&, WeightsProvider&, const DeviceOptions&) override { return nullptr; }
};

// i < n over (i, y, w, n).
const std::string kCondition = function("cond", {"i", "y", "w", "n"}, {{"r", "less:z:0"}}, inner("less", "Less", {"i", "n"}, {kFloatT}));

// i + step, tanh(y * w) + y, w or w + w, n.
std::string body(bool changes_w = false) {
  return function("body", {"i", "y", "w", "n"}, {{"i2", "next:z:0"}, {"y2", "sum:z:0"}, {"w2", changes_w ? "twice:z:0" : "same:output:0"}, {"n2", "n"}},
                  inner("one", "Const", {}, {kFloatDtype, const_attr(1)}) + inner("next", "AddV2", {"i", "one:output:0"}, {kFloatT}) +
                      inner("product", "Mul", {"y", "w"}, {kFloatT}) + inner("tanh", "Tanh", {"product:z:0"}, {kFloatT}) +
                      inner("sum", "AddV2", {"tanh:y:0", "y"}, {kFloatT}) + inner("same", "Identity", {"w"}, {kFloatT}) +
                      inner("twice", "AddV2", {"w", "w"}, {kFloatT}));
}

std::string loop(const std::string& name, const std::vector<std::string>& operands) {
  return node(name, "While", operands,
              {types_attr("T", {"DT_FLOAT", "DT_FLOAT", "DT_FLOAT", "DT_FLOAT"}), func_attr("cond", "cond"), func_attr("body", "body")});
}

const std::string kOperands = constant("zero", 0) + placeholder("x") + constant("w", 3) + constant("n", 5) + placeholder("m");

const ir::Graph& graph(const Imported& model, const std::string& name) { return *model.module->functions.at(name); }

partition::KnownArguments known_in(const Imported& model) {
  return partition::known_arguments(*model.module, partition::frozen_variables(*model.module));
}

TEST(KnownArguments, AreWhatALoopPassesOnUnchanged) {
  const Imported model = import_text(kOperands + loop("loop", {"zero", "x", "w", "m"}), kCondition + body());
  const auto known = known_in(model);
  for (const char* name : {"body", "cond"}) {
    const auto& parameters = graph(model, name).parameters;
    EXPECT_FALSE(known.contains(parameters[0])) << "the counter changes";
    EXPECT_FALSE(known.contains(parameters[1])) << "an input of the model";
    ASSERT_TRUE(known.contains(parameters[2]));
    EXPECT_EQ(known.at(parameters[2]).constant.flat<float>()[0], 3);
    EXPECT_FALSE(known.contains(parameters[3])) << "an input of the model";
  }
}

TEST(KnownArguments, LeaveOutWhatTheBodyChanges) {
  const Imported model = import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), kCondition + body(true));
  const auto known = known_in(model);
  EXPECT_FALSE(known.contains(graph(model, "body").parameters[2]));
  EXPECT_TRUE(known.contains(graph(model, "body").parameters[3]));
}

TEST(KnownArguments, AreTheSameInEveryCall) {
  const std::string more = constant("w2", 4) + constant("n2", 5);
  const Imported model =
      import_text(kOperands + more + loop("a", {"zero", "x", "w", "n"}) + loop("b", {"zero", "x", "w2", "n2"}), kCondition + body());
  const auto known = known_in(model);
  EXPECT_FALSE(known.contains(graph(model, "body").parameters[2])) << "3 in one call, 4 in the other";
  EXPECT_TRUE(known.contains(graph(model, "body").parameters[3])) << "two constants of one value";
}

TEST(KnownArguments, AreNotWhatASignatureFeeds) {
  importer::ImportOptions options;
  options.inputs = {"x:0", "w:0"};
  options.outputs = {"loop:1"};
  const Imported model = import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), kCondition + body(), options);
  EXPECT_FALSE(known_in(model).contains(graph(model, "body").parameters[2]));
}

std::optional<double> trips(const Imported& model) {
  SymbolSource symbols;
  ops::Facts facts(symbols, {});
  return partition::count_trips(*model.find("loop"), graph(model, "cond"), graph(model, "body"), facts);
}

TEST(TripCount, FollowsTheCounter) {
  EXPECT_EQ(trips(import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), kCondition + body())), 5);
  EXPECT_EQ(trips(import_text(kOperands + loop("loop", {"n", "x", "w", "zero"}), kCondition + body())), 0);
}

TEST(TripCount, IsNotKnownWhenDataDecide) {
  EXPECT_EQ(trips(import_text(kOperands + loop("loop", {"zero", "x", "w", "m"}), kCondition + body())), std::nullopt);
}

TEST(TripCount, GivesUpOnALoopThatNeverEnds) {
  const std::string library = kCondition + function("body", {"i", "y", "w", "n"}, {{"a", "i"}, {"b", "y"}, {"c", "w"}, {"d", "n"}}, "");
  EXPECT_EQ(trips(import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), library)), std::nullopt);
}

std::string vector_constant(const std::string& name, int size) {
  std::string value = "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: " + std::to_string(size) + " } } ";
  for (int i = 0; i < size; ++i) value += "float_val: 1 ";
  return node(name, "Const", {}, {kFloatDtype, value + "} }"});
}

TEST(FunctionTypes, HoldForEveryCall) {
  const std::string vectors = vector_constant("two", 2) + vector_constant("three", 3);
  Imported model = import_text(kOperands + vectors + loop("a", {"zero", "two", "w", "n"}), kCondition + body());
  partition::infer_functions(*model.module, known_in(model));
  EXPECT_EQ(graph(model, "body").parameters[1]->outputs[0].shape, PartialShape(Shape{2}));
  EXPECT_EQ(graph(model, "cond").parameters[1]->outputs[0].shape, PartialShape(Shape{2}));

  model = import_text(kOperands + vectors + loop("a", {"zero", "two", "w", "n"}) + loop("b", {"zero", "three", "w", "n"}), kCondition + body());
  partition::infer_functions(*model.module, known_in(model));
  const PartialShape& shape = graph(model, "body").parameters[1]->outputs[0].shape;
  ASSERT_TRUE(shape.known_rank() && shape.rank() == 1);
  EXPECT_FALSE(shape[0].known());
}

TEST(FunctionTypes, HoldForEveryIteration) {
  Imported model = import_text(kOperands + vector_constant("two", 2) + loop("a", {"zero", "w", "two", "n"}), kCondition + body());
  partition::infer_functions(*model.module, known_in(model));
  EXPECT_FALSE(graph(model, "body").parameters[1]->outputs[0].shape.known_rank()) << "a scalar first, a vector later";
  EXPECT_EQ(graph(model, "body").parameters[2]->outputs[0].shape, PartialShape(Shape{2}));
}

TEST(Partition, LooksIntoTheBodiesOfNativeLoops) {
  const Imported model = import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), kCondition + body());
  const partition::Partition p = partition::partition(*model.module, PureBackend(), {{}, 3, {}});
  ASSERT_EQ(p.segments.size(), 1u);
  const partition::SegmentPlan& plan = p.segments[0];
  EXPECT_EQ(plan.graph, &graph(model, "body"));
  ASSERT_EQ(plan.inputs.size(), 2u);
  EXPECT_EQ(plan.inputs[0].node->name, "y");
  EXPECT_FALSE(plan.known[0]);
  EXPECT_EQ(plan.inputs[1].node->name, "w");
  EXPECT_TRUE(plan.known[1].constant.valid());
  EXPECT_TRUE(p.callers.contains(model.find("loop")));
  const Segment segment = partition::extract(plan);
  EXPECT_TRUE(segment.graph->parameters[1]->attrs.has("constant"));
}

TEST(Partition, StaysOutOfFunctionsWithUnknownOps) {
  const std::string unknown = function("body", {"i", "y", "w", "n"}, {{"a", "odd:z:0"}, {"b", "sum:z:0"}, {"c", "w"}, {"d", "n"}},
                                       inner("odd", "NoSuchOp", {"i"}) + inner("product", "Mul", {"y", "w"}, {kFloatT}) +
                                           inner("tanh", "Tanh", {"product:z:0"}, {kFloatT}) + inner("sum", "AddV2", {"tanh:y:0", "y"}, {kFloatT}));
  const Imported model = import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), kCondition + unknown);
  EXPECT_TRUE(partition::partition(*model.module, PureBackend(), {{}, 3, {}}).segments.empty());
}

TEST(Partition, EndsInFunctionsThatCallThemselves) {
  const std::string itself = function("body", {"i", "y", "w", "n"}, {{"a", "again:output:0"}, {"b", "again:output:1"}, {"c", "w"}, {"d", "n"}},
                                      node("again", "While", {"i", "y", "w", "n"},
                                           {types_attr("T", {"DT_FLOAT", "DT_FLOAT", "DT_FLOAT", "DT_FLOAT"}), func_attr("cond", "cond"), func_attr("body", "body")},
                                           "node_def"));
  const Imported model = import_text(kOperands + loop("loop", {"zero", "x", "w", "n"}), kCondition + itself);
  const auto known = known_in(model);
  EXPECT_TRUE(known.contains(graph(model, "body").parameters[2]));
  partition::infer_functions(*model.module, known);
  partition::partition(*model.module, PureBackend(), {{}, 3, {}});
}

}  // namespace
}  // namespace tenon
