// Tensors inside graphs, and the text format, against a graph that TensorFlow wrote in both forms.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <limits>

#include "base/error.h"
#include "savedmodel/load.h"

namespace tenon::saved {
namespace {

const std::filesystem::path kData = std::filesystem::path(TENON_SOURCE_DIR) / "tests/savedmodel/data";

class Constants : public ::testing::TestWithParam<const char*> {
 protected:
  Tensor constant(std::string_view name) const {
    const NodeDef* node = model_.meta_graphs.front().find_node(name);
    return node == nullptr ? Tensor() : node->tensor_attr("value").decode();
  }
  template <class T>
  void expect_one_zero_one(std::string_view name) const {
    const Tensor tensor = constant(name);
    ASSERT_EQ(tensor.shape(), Shape{3}) << name;
    const std::span<const T> values = tensor.flat<T>();
    EXPECT_EQ(values[0], T(1)) << name;
    EXPECT_EQ(values[1], T(0)) << name;
    EXPECT_EQ(values[2], T(1)) << name;
  }
  const Model model_ = load(kData / GetParam());
};

TEST_P(Constants, OfEveryDtype) {
  EXPECT_TRUE(model_.frozen_graph);
  expect_one_zero_one<float>("float32");
  expect_one_zero_one<double>("float64");
  expect_one_zero_one<std::int32_t>("int32");
  expect_one_zero_one<std::uint8_t>("uint8");
  expect_one_zero_one<std::int16_t>("int16");
  expect_one_zero_one<std::int8_t>("int8");
  expect_one_zero_one<std::complex<float>>("complex64");
  expect_one_zero_one<std::complex<double>>("complex128");
  expect_one_zero_one<std::int64_t>("int64");
  expect_one_zero_one<bool>("bool");
  expect_one_zero_one<std::uint16_t>("uint16");
  expect_one_zero_one<std::uint32_t>("uint32");
  expect_one_zero_one<std::uint64_t>("uint64");
  EXPECT_EQ(static_cast<float>(constant("half").flat<Half>()[2]), 1.0f);
  EXPECT_EQ(static_cast<float>(constant("bfloat16").flat<BFloat16>()[2]), 1.0f);
}

TEST_P(Constants, OfStrings) {
  const Tensor tensor = constant("string");
  EXPECT_EQ(tensor.flat<std::string>()[0], "x");
  EXPECT_EQ(tensor.flat<std::string>()[1], std::string("y\n\"\\\0\xc3\x83", 7));
}

TEST_P(Constants, RepeatTheLastValue) {
  const Tensor tensor = constant("splat");
  ASSERT_EQ(tensor.describe(), "float32[2,3]");
  for (float value : tensor.flat<float>()) EXPECT_EQ(value, 2.5f);
  EXPECT_EQ(constant("nothing").describe(), "float32[0,2]");
}

TEST_P(Constants, OfSpecialFloats) {
  const Tensor tensor = constant("special");
  const std::span<const float> values = tensor.flat<float>();
  EXPECT_EQ(values[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[1], -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(values[2]));
  EXPECT_EQ(values[3], 1e-42f);
  EXPECT_TRUE(values[4] == 0 && std::signbit(values[4]));
  EXPECT_EQ(values[5], 3.4e38f);
}

INSTANTIATE_TEST_SUITE_P(Forms, Constants, ::testing::Values("constants.pb", "constants.pbtxt"), [](const auto& info) {
  return std::string(info.param).find("txt") == std::string::npos ? "Binary" : "Text";
});

Model text_model(std::string_view text) {
  auto owner = std::make_shared<std::string>(text);
  return load_bytes(*owner, owner, "test.pbtxt", FileFormat::kText);
}

std::string text_error(std::string_view text) {
  try {
    text_model(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(TextFormat, TakesEveryWayOfWriting) {
  const Model model = text_model(R"(
    # a comment
    meta_graphs < graph_def: { node { name: 'a' "b" ; op: "Con" 'st' , input: ["x", "y"]
      attr { value { list { i: [1, -0x10, 010] f: [1.5f, -inf, .5] b: [true, f] type: [DT_FLOAT, 3, DT_INT32_REF] } } key: "l" }
      attr: < key: "s" value: < shape { dim [ { size: -1 }, { size: 2 name: "n" } ] } > >
    } } meta_info_def { tags: "serve" tags: "\x41\102\u00e9\n" } >
    saved_model_schema_version: 1)");
  EXPECT_FALSE(model.frozen_graph);
  EXPECT_EQ(model.schema_version, 1);
  const MetaGraph& meta_graph = model.meta_graphs.at(0);
  EXPECT_EQ(meta_graph.tags, (std::vector<std::string>{"serve", "AB\xc3\xa9\n"}));
  const NodeDef& node = meta_graph.graph.nodes.at(0);
  EXPECT_EQ(node.name, "ab");
  EXPECT_EQ(node.op, "Const");
  EXPECT_EQ(node.inputs, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(node.ints_attr("l"), (std::vector<std::int64_t>{1, -16, 8}));
  EXPECT_EQ(node.floats_attr("l"), (std::vector<float>{1.5f, -std::numeric_limits<float>::infinity(), 0.5f}));
  EXPECT_EQ(node.list_attr("l").bools, (std::vector<bool>{true, false}));
  EXPECT_EQ(node.types_attr("l"), (std::vector<DataType>{DataType::kFloat32, DataType::kInt32, static_cast<DataType>(103)}));
  EXPECT_EQ(node.shape_attr("s").to_string(), "[?,2]");
}

TEST(TextFormat, ExpandsAny) {
  const Model model = text_model(R"(meta_graphs { collection_def { key: "saved_model_assets" value { any_list { value {
      [type.googleapis.com/tensorflow.AssetFileDef] { filename: "foo.txt" tensor_info { name: "t:0" } } } } } } })");
  const std::vector<AssetFileDef>& assets = model.meta_graphs.at(0).assets;
  ASSERT_EQ(assets.size(), 1u);
  EXPECT_EQ(assets[0].filename, "foo.txt");
  EXPECT_EQ(assets[0].tensor_name, "t:0");
  EXPECT_EQ(model.meta_graphs[0].collections[0].any_type_url, "type.googleapis.com/tensorflow.AssetFileDef");
}

TEST(TextFormat, SaysWhere) {
  EXPECT_EQ(text_error("node {\n  nane: \"a\" }"), "\"test.pbtxt\": text line 2, column 3: NodeDef has no field \"nane\"");
  EXPECT_NE(text_error("node { name: \"a }").find("a string does not end on its line"), std::string::npos);
  EXPECT_NE(text_error("node { name: 7 }").find("wanted a string, found \"7\""), std::string::npos);
  EXPECT_NE(text_error("node {").find("found the end"), std::string::npos);
  EXPECT_NE(text_error("version: 99999999999").find("out of range"), std::string::npos);
  EXPECT_NE(text_error("node { attr { key: \"T\" value { type: DT_FLOTA } } }").find("DataType has no value DT_FLOTA"),
            std::string::npos);
}

TEST(TextFormat, BoundsNesting) {
  std::string text = "node { attr { key: \"f\" value { ";
  for (int i = 0; i < 100000; ++i) text += "func { attr { value { ";
  EXPECT_NE(text_error(text).find("nested deeper"), std::string::npos);
}

}  // namespace
}  // namespace tenon::saved
