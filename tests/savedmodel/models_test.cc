// Reads every real model and checks what holds for all of them.
#include "savedmodel/models.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/hash.h"
#include "savedmodel/bundle_writer.h"
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

// Not tests: they write what tools/check_savedmodel.py compares with TensorFlow.
std::string content_hash(const Tensor& tensor) {
  std::string bytes;
  if (tensor.dtype() == DataType::kString) {
    for (const std::string& value : tensor.flat<std::string>()) bytes += value + '\n';
  } else {
    bytes.assign(static_cast<const char*>(tensor.data()), tensor.byte_size());
  }
  return hash128(bytes).to_string();
}

void print(std::ostream& out, const std::filesystem::path& model, const std::string& name, const Tensor& tensor) {
  out << model.string() << '\t' << name << '\t' << tensor.describe() << '\t' << content_hash(tensor) << '\n';
}

TEST(Dump, DISABLED_Variables) {
  std::ofstream out(std::getenv("TENON_DUMP"));
  for (const std::filesystem::path& path : testing::all_models()) {
    const Model model = load(path);
    if (model.variables_prefix().empty()) continue;
    const Bundle bundle = Bundle::open(model.variables_prefix());
    for (const BundleEntry& entry : bundle.entries()) print(out, path, entry.key, bundle.read(entry.key));
  }
}

TEST(Dump, DISABLED_Constants) {
  std::ofstream out(std::getenv("TENON_DUMP"));
  for (const std::filesystem::path& path : testing::all_models()) {
    const Model model = load(path);
    for (const MetaGraph& meta_graph : model.meta_graphs) {
      for (const NodeDef* node : all_nodes(meta_graph)) {
        if (node->op == "Const") print(out, path, node->name, node->tensor_attr("value").decode());
      }
    }
  }
}

TEST(Dump, DISABLED_Bundle) {
  const std::filesystem::path prefix(std::getenv("TENON_DUMP"));
  const Bundle original = Bundle::open(std::filesystem::path(TENON_SOURCE_DIR) / "tests/savedmodel/data/every_dtype");
  BundleWriter writer(prefix, {.shards = 2, .compress_index = true});
  for (const BundleEntry& entry : original.entries()) writer.add(entry.key, original.read(entry.key), entry.key.size() % 2);
  Tensor part(DataType::kFloat32, Shape{150, 2});
  for (std::int64_t start : {0, 150}) {
    std::fill(part.flat<float>().begin(), part.flat<float>().end(), static_cast<float>(start));
    writer.add_slice("sliced", Shape{300, 2}, {{{start, 150}, {}}}, part);
  }
  writer.finish();
  std::ofstream out(prefix.string() + ".list");
  const Bundle written = Bundle::open(prefix);
  for (const BundleEntry& entry : written.entries()) print(out, prefix, entry.key, written.read(entry.key));
}

TEST(Dump, DISABLED_Rewritten) {
  const char* path = std::getenv("TENON_DUMP");
  const std::vector<std::filesystem::path> models = testing::all_models();
  for (std::size_t i = 0; i < models.size(); ++i) {
    const Model model = load(models[i]);
    WriteOptions options;
    MetaGraphEdit& edit = options.edits.emplace_back();
    edit.nodes.emplace();
    edit.functions.emplace();
    for (const NodeDef& node : model.meta_graphs[0].graph.nodes) edit.nodes->push_back(node.edited());
    for (const FunctionDef& function : model.meta_graphs[0].graph.functions) {
      edit.functions->push_back(function.edited());
      for (NodeDef& node : edit.functions->back().nodes) node = node.edited();
    }
    write(model, std::filesystem::path(path) / std::to_string(i), options);
    std::ofstream(std::filesystem::path(path) / std::to_string(i) / "origin") << models[i].string();
  }
}

}  // namespace
}  // namespace tenon::saved
