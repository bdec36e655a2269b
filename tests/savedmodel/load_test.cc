#include "savedmodel/load.h"

#include <gtest/gtest.h>

#include <fstream>
#include <protozero/pbf_writer.hpp>

#include "base/error.h"
#include "base/file.h"
#include "savedmodel/temporary.h"
#include "savedmodel/variables.h"

namespace tenon::saved {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

template <class F>
std::string error_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return fmt::format("{}: {}", error_code_name(error.code()), error.what());
  }
  return "nothing was thrown";
}

Model text_model(std::string_view text) {
  auto owner = std::make_shared<std::string>(text);
  return load_bytes(*owner, owner, "test", FileFormat::kText);
}

std::string text_error(std::string_view text) {
  return error_of([&] { text_model(text); });
}

void put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(Load, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  EXPECT_TRUE(error_of([&] { load(folder / "none"); }).starts_with("not_found"));
  EXPECT_NE(error_of([&] { load(folder.path()); }).find("holds neither saved_model.pb nor saved_model.pbtxt"),
            std::string::npos);
  put(folder / "saved_model.cpb", "x");
  EXPECT_TRUE(error_of([&] { load(folder.path()); }).starts_with("unsupported"));
  put(folder / "saved_model.pb", "");
  EXPECT_NE(error_of([&] { load(folder.path()); }).find("the file is empty"), std::string::npos);
}

TEST(Load, RepairsAFolderThatWasBeingReplaced) {
  const TemporaryFolder folder;
  put(folder / ".m.tenon-old-1-00/saved_model.pbtxt", "meta_graphs { graph_def { node { name: 'a' } } }");
  EXPECT_EQ(load(folder / "m").meta_graphs.size(), 1u);
}

TEST(Load, TellsFrozenGraphsFromSavedModels) {
  EXPECT_TRUE(text_model("node { name: 'a' }").frozen_graph);
  EXPECT_TRUE(text_model("versions { producer: 1 }").frozen_graph);
  EXPECT_FALSE(text_model("meta_graphs { }").frozen_graph);
  EXPECT_FALSE(text_model("saved_model_schema_version: 1 meta_graphs { }").frozen_graph);
}

TEST(Load, RefusesNamesThatStandTwice) {
  EXPECT_NE(text_error("node { name: 'a' } node { name: 'a' }").find("node \"a\" is defined twice"), std::string::npos);
  EXPECT_NE(
      text_error("library { function { signature { name: 'f' } } function { signature { name: 'f' is_stateful: true } } }")
          .find("function \"f\" is defined twice"),
      std::string::npos);
  EXPECT_NE(text_error("library { function { signature { name: 'f' } node_def { name: 'a' } node_def { name: 'a' } } }")
                .find("function \"f\": node \"a\" is defined twice"),
            std::string::npos);
  const Model same = text_model("library { function { signature { name: 'f' } } function { signature { name: 'f' } } }");
  EXPECT_EQ(same.meta_graphs.at(0).graph.functions.size(), 1u);
}

TEST(Load, ChoosesByTags) {
  const Model model =
      text_model(R"(meta_graphs { meta_info_def { tags: ["serve", "gpu"] } } meta_graphs { meta_info_def { tags: "serve" } }
                                    meta_graphs { meta_info_def { tags: "train" } })");
  EXPECT_EQ(model.meta_graph().tags, std::vector<std::string>{"serve"});
  EXPECT_EQ(model.meta_graph({"gpu", "serve"}).tags.size(), 2u);
  EXPECT_NE(error_of([&] {
              model.meta_graph({"tpu"});
            }).find("no graph with the tags [tpu]; it has [serve,gpu], [serve], [train]"),
            std::string::npos);
}

TEST(Load, FindsTheInitializer) {
  const auto init_op = [](const std::string& text) {
    return text_model("meta_graphs {" + text + "}").meta_graphs[0].init_op();
  };
  const std::string legacy = "collection_def { key: 'legacy_init_op' value { node_list { value: 'legacy' } } }";
  const std::string main = "collection_def { key: 'saved_model_main_op' value { node_list { value: 'main' } } }";
  const std::string newest =
      "signature_def { key: '__saved_model_init_op' value { outputs { key: '__saved_model_init_op' value { name: 'new' } } "
      "} }";
  EXPECT_EQ(init_op(""), "");
  EXPECT_EQ(init_op(legacy), "legacy");
  EXPECT_EQ(init_op(legacy + main), "main");
  EXPECT_EQ(init_op(legacy + main + newest), "new");
  EXPECT_TRUE(error_of([&] {
                init_op("collection_def { key: 'legacy_init_op' value { node_list { } } }");
              }).starts_with("invalid_model"));
}

TEST(Load, LaterMapEntriesCount) {
  const Model model = text_model(R"(meta_graphs { signature_def { key: 'a' value { method_name: 'old' } }
      signature_def { key: 'b' } signature_def { key: 'a' value { method_name: 'new' } } })");
  ASSERT_EQ(model.meta_graphs[0].signatures.size(), 2u);
  EXPECT_EQ(model.meta_graphs[0].find_signature("a")->method_name, "new");
}

TEST(Load, ReadsTheObjectGraph) {
  const Model model = text_model(R"(meta_graphs { asset_file_def { filename: 'a' } object_graph_def {
      nodes { children { node_id: 1 local_name: 'v' } children { node_id: 2 local_name: 'f' } user_object { identifier: 'root' } }
      nodes { variable { dtype: DT_INT8 shape { dim { size: 3 } } name: 'v' trainable: true } }
      nodes { function { concrete_functions: ['f1', 'f2'] } slot_variables { original_variable_node_id: 1 slot_name: 'm' slot_variable_node_id: 1 } }
      nodes { asset { asset_file_def_index: 0 } } nodes { constant { operation: 'c' } } nodes { resource { device: 'cpu' } } } })");
  const std::vector<SavedObject> objects = decode_object_graph(model.meta_graphs[0]);
  ASSERT_EQ(objects.size(), 6u);
  EXPECT_EQ(objects[0].children[1].name, "f");
  EXPECT_EQ(objects[1].shape.to_string(), "[3]");
  EXPECT_EQ(objects[1].dtype, DataType::kInt8);
  EXPECT_EQ(objects[2].concrete_functions, (std::vector<std::string>{"f1", "f2"}));
  EXPECT_EQ(objects[3].asset_index, 0);
  EXPECT_EQ(objects[4].name, "c");
  EXPECT_EQ(objects[5].kind, SavedObject::Kind::kResource);
  for (const char* bad : {"nodes { children { node_id: 9 } }", "nodes { asset { asset_file_def_index: 4 } }"}) {
    const Model broken = text_model(std::string("meta_graphs { object_graph_def { ") + bad + " } }");
    EXPECT_TRUE(error_of([&] { decode_object_graph(broken.meta_graphs[0]); }).starts_with("invalid_model")) << bad;
  }
}

TEST(Load, KeepsAssetsInTheirFolder) {
  Model model;
  model.directory = "/m";
  EXPECT_EQ(model.asset_path({.tensor_name = {}, .filename = "a/b.txt", .raw = {}}), "/m/assets/a/b.txt");
  for (const char* name : {"../x", "a/../../x", "/etc/passwd", ""}) {
    EXPECT_TRUE(
        error_of([&] { model.asset_path({.tensor_name = {}, .filename = name, .raw = {}}); }).starts_with("invalid_model"));
  }
}

TEST(Load, SparseAndCompositeSignatureTensors) {
  const Model model = text_model(R"(meta_graphs { signature_def { key: 's' value {
      inputs { key: 'sparse' value { coo_sparse { values_tensor_name: 'v:0' indices_tensor_name: 'i:0' dense_shape_tensor_name: 'd:0' } } }
      inputs { key: 'ragged' value { composite_tensor { components { name: 'a:0' } components { name: 'b:0' } } } }
      defaults { key: 'x' value { dtype: DT_FLOAT float_val: 3 } } } } })");
  const SignatureDef& signature = *model.meta_graphs[0].find_signature("s");
  EXPECT_EQ(signature.find_input("sparse")->components, (std::vector<std::string>{"v:0", "i:0", "d:0"}));
  EXPECT_EQ(signature.find_input("ragged")->components, (std::vector<std::string>{"a:0", "b:0"}));
  EXPECT_EQ(signature.defaults.at(0).value.decode().flat<float>()[0], 3.0f);
}

// A constant's TensorProto as text.
Tensor constant(const std::string& proto) {
  const Model model = text_model("node { name: 'c' attr { key: 'value' value { tensor { " + proto + " } } } }");
  return model.meta_graphs[0].graph.nodes[0].tensor_attr("value").decode();
}

TEST(Load, RefusesConstantsThatDoNotFit) {
  for (const char* bad : {
           "dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: 'abc'",
           "dtype: DT_FLOAT tensor_shape { dim { size: -1 } }",
           "dtype: DT_FLOAT tensor_shape { unknown_rank: true }",
           "dtype: DT_FLOAT tensor_shape { dim { size: 4611686018427387904 } dim { size: 4 } }",
           "dtype: DT_FLOAT tensor_shape { dim { size: 1000000000000 } } float_val: 1",
           "dtype: DT_STRING tensor_shape { dim { size: 1000000000 } } string_val: 'x'",
           "dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: '\\x01\\xff'",
       }) {
    EXPECT_TRUE(error_of([&] { constant(bad); }).starts_with("invalid_model")) << bad;
  }
  for (const char* unknown : {"dtype: 99", "dtype: DT_RESOURCE", "dtype: DT_VARIANT"}) {
    EXPECT_TRUE(error_of([&] { constant(unknown); }).starts_with("unsupported")) << unknown;
  }
  std::string deep = "dtype: DT_FLOAT tensor_shape {";
  for (int i = 0; i < 300; ++i) deep += " dim { size: 1 }";
  EXPECT_TRUE(error_of([&] { constant(deep + "}"); }).starts_with("invalid_model"));
}

TEST(Load, ConstantsOfStringsMayStandInContent) {
  const Tensor tensor = constant("dtype: DT_STRING tensor_shape { dim { size: 2 } } tensor_content: '\\x01\\x02abc'");
  EXPECT_EQ(tensor.flat<std::string>()[1], "bc");
}

TEST(Load, BoolsAreZeroOrOne) {
  const Tensor tensor = constant("dtype: DT_BOOL tensor_shape { dim { size: 2 } } tensor_content: '\\x07\\x00'");
  EXPECT_EQ(static_cast<const char*>(tensor.data())[0], 1);
}

// Cuts and flips a whole model: an error or a model, never a crash.
TEST(Load, SurvivesDamage) {
  const std::string good = read_file(fs::path(TENON_SOURCE_DIR) / "tests/savedmodel/data/constants.pb");
  const auto try_load = [](std::string_view bytes) {
    return error_of([&] { load_bytes(bytes, nullptr, "damaged", FileFormat::kBinary); });
  };
  for (std::size_t size = 0; size < good.size(); ++size) {
    const std::string error = try_load(std::string_view(good).substr(0, size));
    EXPECT_TRUE(error == "nothing was thrown" || error.starts_with("invalid_model")) << error;
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const std::string error = try_load(bad);
    EXPECT_TRUE(error == "nothing was thrown" || error.starts_with("invalid_model")) << error;
  }
}

TEST(Load, BoundsNesting) {
  std::string attr;
  for (int i = 0; i < 5000; ++i) {  // a function whose attribute is a function whose attribute …
    std::string entry, function, value;
    protozero::pbf_writer(entry).add_message(2, attr);
    protozero::pbf_writer(function).add_message(2, entry);
    protozero::pbf_writer(value).add_message(10, function);
    attr = value;
  }
  std::string entry, node, graph;
  protozero::pbf_writer(entry).add_message(2, attr);
  protozero::pbf_writer(node).add_message(5, entry);
  protozero::pbf_writer(graph).add_message(1, node);
  EXPECT_NE(error_of([&] { load_bytes(graph, nullptr, "deep"); }).find("nested deeper"), std::string::npos);
}

}  // namespace
}  // namespace tenon::saved
