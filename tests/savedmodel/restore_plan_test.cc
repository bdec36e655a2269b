#include <gtest/gtest.h>

#include <algorithm>

#include "savedmodel/bundle_writer.h"
#include "savedmodel/load.h"
#include "savedmodel/temporary.h"
#include "savedmodel/variables.h"

namespace tenon::saved {
namespace {

Model text_model(const std::string& text) {
  auto owner = std::make_shared<std::string>("meta_graphs { saver_def { restore_op_name: \"restore_all\" } graph_def {" +
                                             text + "} }");
  return load_bytes(*owner, owner, "test", FileFormat::kText);
}

std::vector<std::string> targets(const RestorePlan& plan) {
  std::vector<std::string> lines;
  for (const RestoreTarget& target : plan.targets) {
    const bool is_table = target.kind == RestoreTarget::Kind::kTable;
    lines.push_back(target.node + " <- " + target.key + (is_table ? " | " + target.values_key : " [" + target.spec + "]"));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

// A constant of strings.
std::string strings(const std::string& name, const std::vector<std::string>& values) {
  std::string text = "node { name: '" + name +
                     "' op: 'Const' attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { dim { size: " +
                     std::to_string(values.size()) + " } }";
  for (const std::string& value : values) text += " string_val: '" + value + "'";
  return text + " } } } }\n";
}

using Lines = std::vector<std::string>;

TEST(PlanRestore, FollowsAssignmentsOfAGraph) {
  const Model model =
      text_model(strings("names", {"w", "b", "w"}) + strings("slices", {"10 4 0,5:-", "", "10 4 5,5:-"}) + R"(
    node { name: 'prefix' op: 'Const' }
    node { name: 'w0' op: 'VariableV2' } node { name: 'b' op: 'VarHandleOp' } node { name: 'w1' op: 'VariableV2' }
    node { name: 'read' op: 'RestoreV2' input: ['prefix', 'names', 'slices'] }
    node { name: 'i' op: 'Identity' input: 'read:1' }
    node { name: 'a0' op: 'Assign' input: ['w0', 'read'] }
    node { name: 'a1' op: 'AssignVariableOp' input: ['b', 'i'] }
    node { name: 'a2' op: 'Assign' input: ['w1', 'read:2'] }
    node { name: 'shard' op: 'NoOp' input: ['^a0', '^a1', '^a2'] }
    node { name: 'restore_all' op: 'NoOp' input: '^shard' })");
  const RestorePlan plan = plan_restore(model.meta_graphs[0], nullptr);
  EXPECT_EQ(targets(plan), (Lines{"b <- b []", "w0 <- w [10 4 0,5:-]", "w1 <- w [10 4 5,5:-]"}));
  EXPECT_TRUE(plan.unresolved.empty());
}

TEST(PlanRestore, FollowsCallsAndTables) {
  const Model model =
      text_model(R"(
    node { name: 'prefix' op: 'Placeholder' }
    node { name: 'v' op: 'VarHandleOp' } node { name: 't' op: 'MutableHashTableV2' }
    node { name: 'restore_all' op: 'StatefulPartitionedCall' input: ['prefix', 'v', 't']
      attr { key: 'f' value { func { name: 'outer' } } } }
    library {
      function { signature { name: 'outer' input_arg { name: 'p' } input_arg { name: 'x' } input_arg { name: 'y' } }
        node_def { name: 'call' op: 'PartitionedCall' input: ['p', 'x', 'y'] attr { key: 'f' value { func { name: 'inner' } } } } }
      function { signature { name: 'inner' input_arg { name: 'p' } input_arg { name: 'x' } input_arg { name: 'y' } })" +
                 [] {
                   std::string constants = strings("n", {"var", "keys", "values"}) + strings("s", {"", "", ""});
                   for (std::size_t at = 0; (at = constants.find("node {", at)) != std::string::npos; at += 8) {
                     constants.replace(at, 4, "node_def");
                   }
                   return constants;
                 }() +
                 R"(
        node_def { name: 'r' op: 'RestoreV2' input: ['p', 'n:output:0', 's:output:0'] }
        node_def { name: 'a' op: 'AssignVariableOp' input: ['x', 'r:tensors:0'] }
        node_def { name: 'm' op: 'LookupTableImportV2' input: ['y', 'r:tensors:1', 'r:tensors:2'] } } })");
  const RestorePlan plan = plan_restore(model.meta_graphs[0], nullptr);
  EXPECT_EQ(targets(plan), (Lines{"t <- keys | values", "v <- var []"}));
  EXPECT_TRUE(plan.unresolved.empty());
}

TEST(PlanRestore, SaysWhatItDoesNotUnderstand) {
  const Model model = text_model(strings("n", {"w"}) + strings("s", {""}) + R"(
    node { name: 'w' op: 'VariableV2' }
    node { name: 'r' op: 'RestoreV2' input: ['p', 'n', 's'] }
    node { name: 'scaled' op: 'Neg' input: 'r' }
    node { name: 'a' op: 'Assign' input: ['w', 'scaled'] }
    node { name: 'restore_all' op: 'NoOp' input: '^a' })");
  const RestorePlan plan = plan_restore(model.meta_graphs[0], nullptr);
  EXPECT_TRUE(plan.targets.empty());
  EXPECT_EQ(plan.unresolved, (Lines{"a", "scaled"}));
}

TEST(PlanRestore, FallsBackToNames) {
  const testing::TemporaryFolder folder;
  BundleWriter writer(folder / "v");
  writer.add("shared", Tensor::scalar(1.0f));
  writer.add("named", Tensor::scalar(1.0f));
  writer.finish();
  const Bundle bundle = Bundle::open(folder / "v");
  const Model model = text_model(R"(
    node { name: 'x' op: 'VarHandleOp' attr { key: 'shared_name' value { s: 'shared' } } }
    node { name: 'named' op: 'VariableV2' attr { key: 'shared_name' value { s: '' } } }
    node { name: 'unknown' op: 'VarHandleOp' })");
  EXPECT_EQ(targets(plan_restore(model.meta_graphs[0], &bundle)), (Lines{"named <- named []", "x <- shared []"}));
}

TEST(PlanRestore, SurvivesCirclesAndRecursion) {
  std::string text = R"(
    node { name: 'restore_all' op: 'PartitionedCall' input: 'restore_all' attr { key: 'f' value { func { name: 'f' } } } }
    node { name: 'i' op: 'Identity' input: 'i' } node { name: 'a' op: 'Assign' input: ['i', 'i'] }
    library { function { signature { name: 'f' })";
  for (int i = 0; i < 10; ++i) {
    text += "node_def { name: 'c" + std::to_string(i) +
            "' op: 'PartitionedCall' attr { key: 'f' value { func { name: 'f' } } } }";
  }
  const Model model = text_model(text + "} }");
  EXPECT_FALSE(plan_restore(model.meta_graphs[0], nullptr).unresolved.empty());
}

}  // namespace
}  // namespace tenon::saved
