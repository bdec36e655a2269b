// Reads every real model and checks what holds for all of them.
#include "savedmodel/models.h"

#include <gtest/gtest.h>

#include <set>

#include "savedmodel/load.h"
#include "savedmodel/variables.h"
#include "savedmodel/write.h"

namespace tenon::saved {
namespace {

std::vector<const NodeDef*> all_nodes(const MetaGraph& meta_graph) {
  std::vector<const NodeDef*> nodes;
  for (const NodeDef& node : meta_graph.graph.nodes) nodes.push_back(&node);
  for (const FunctionDef& function : meta_graph.graph.functions) {
    for (const NodeDef& node : function.nodes) nodes.push_back(&node);
  }
  return nodes;
}

class EveryModel : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(EveryModel, IsRead) {
  const Model model = load(GetParam());
  ASSERT_FALSE(model.meta_graphs.empty());
  for (const MetaGraph& meta_graph : model.meta_graphs) {
    EXPECT_FALSE(meta_graph.graph.nodes.empty() && meta_graph.graph.functions.empty());
    decode_object_graph(meta_graph);
    meta_graph.init_op();
    for (const AssetFileDef& asset : meta_graph.assets) {
      EXPECT_TRUE(std::filesystem::exists(model.asset_path(asset))) << asset.filename;
    }
  }
}

TEST_P(EveryModel, ConstantsDecode) {
  const Model model = load(GetParam());
  for (const MetaGraph& meta_graph : model.meta_graphs) {
    for (const NodeDef* node : all_nodes(meta_graph)) {
      if (node->op != "Const") continue;
      const TensorValue& value = node->tensor_attr("value");
      const Tensor tensor = value.decode();
      EXPECT_EQ(tensor.dtype(), node->type_attr("dtype")) << node->name;
      EXPECT_EQ(tensor.shape(), value.shape()) << node->name;
    }
  }
}

TEST_P(EveryModel, VariablesAreFoundAndVerified) {
  const Model model = load(GetParam());
  if (model.variables_prefix().empty()) GTEST_SKIP() << "no variables";
  const Bundle bundle = Bundle::open(model.variables_prefix());
  bundle.verify();
  std::set<std::string> restored;
  for (const MetaGraph& meta_graph : model.meta_graphs) {
    const RestorePlan plan = plan_restore(meta_graph, &bundle);
    EXPECT_EQ(plan.unresolved, std::vector<std::string>{});
    for (const RestoreTarget& target : plan.targets) {
      ASSERT_NE(bundle.find(target.key), nullptr) << target.key;
      restored.insert(target.key);
      if (target.kind == RestoreTarget::Kind::kTable) restored.insert(target.values_key);
      const NodeDef* node = meta_graph.find_node(target.node);
      ASSERT_NE(node, nullptr);
      if (target.kind == RestoreTarget::Kind::kVariable) {
        EXPECT_EQ(bundle.read(target.key, target.spec).dtype(), node->type_attr("dtype"));
      }
    }
  }
  for (const BundleEntry& entry : bundle.entries()) {
    if (entry.key == "_CHECKPOINTABLE_OBJECT_GRAPH") continue;
    EXPECT_TRUE(restored.contains(entry.key)) << entry.key;
  }
}

// What was read as structs and is written from structs says the same.
TEST_P(EveryModel, SurvivesSerialization) {
  const Model model = load(GetParam());
  for (std::size_t i = 0; i < model.meta_graphs.size(); ++i) {
    MetaGraphEdit edit;
    edit.meta_graph = i;
    edit.nodes.emplace();
    edit.functions.emplace();
    for (const NodeDef& node : model.meta_graphs[i].graph.nodes) edit.nodes->push_back(node.edited());
    for (const FunctionDef& function : model.meta_graphs[i].graph.functions) {
      edit.functions->push_back(function.edited());
      for (NodeDef& node : edit.functions->back().nodes) node = node.edited();
    }
    const std::string once = serialize(model, {edit});
    const Model copy = load_bytes(once, nullptr, "copy");
    ASSERT_EQ(copy.meta_graphs.size(), model.meta_graphs.size());
    EXPECT_EQ(copy.meta_graphs[i].graph.nodes.size(), model.meta_graphs[i].graph.nodes.size());
    EXPECT_EQ(copy.meta_graphs[i].graph.functions.size(), model.meta_graphs[i].graph.functions.size());
    EXPECT_EQ(serialize(copy, {}), once);
  }
}

std::string test_name(const ::testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = std::filesystem::relative(info.param, testing::models_directory()).string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, EveryModel, ::testing::ValuesIn(testing::all_models()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryModel);

}  // namespace
}  // namespace tenon::saved
