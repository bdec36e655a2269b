// Reads every real model and checks what holds for all of them.
#include "savedmodel/models.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/hash.h"
#include "savedmodel/load.h"
#include "savedmodel/variables.h"

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

std::string test_name(const ::testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = std::filesystem::relative(info.param, testing::models_directory()).string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, EveryModel, ::testing::ValuesIn(testing::all_models()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryModel);

// Not a test: writes what tools/check_savedmodel.py compares with TensorFlow's own readers.
TEST(Dump, DISABLED_Variables) {
  const char* path = std::getenv("TENON_DUMP");
  ASSERT_NE(path, nullptr);
  std::ofstream out(path);
  for (const std::filesystem::path& directory : testing::all_models()) {
    const Model model = load(directory);
    if (model.variables_prefix().empty()) continue;
    const Bundle bundle = Bundle::open(model.variables_prefix());
    for (const BundleEntry& entry : bundle.entries()) {
      const Tensor tensor = bundle.read(entry.key);
      std::string bytes;
      if (tensor.dtype() == DataType::kString) {
        for (const std::string& value : tensor.flat<std::string>()) bytes += value + '\n';
      } else {
        bytes.assign(static_cast<const char*>(tensor.data()), tensor.byte_size());
      }
      out << directory.string() << '\t' << entry.key << '\t' << tensor.describe() << '\t' << hash128(bytes).to_string()
          << '\n';
    }
  }
}

}  // namespace
}  // namespace tenon::saved
