#include "savedmodel/write.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "savedmodel/bundle_writer.h"
#include "savedmodel/decode.h"
#include "savedmodel/load.h"
#include "savedmodel/temporary.h"
#include "savedmodel/variables.h"

namespace tenon::saved {
namespace {

namespace fs = std::filesystem;

template <class F>
std::string error_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return fmt::format("{}: {}", error_code_name(error.code()), error.what());
  }
  return "nothing was thrown";
}

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

constexpr const char* kText = R"(
saved_model_schema_version: 1
meta_graphs {
  meta_info_def { tags: "serve" tensorflow_version: "2.21.0" stripped_op_list { op { name: "Const" } } }
  graph_def {
    node { name: "a" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } } experimental_type { type_id: TFT_TENSOR } }
    node { name: "b" op: "Identity" input: "a" }
    library {
      function { signature { name: "f" } }
      function { signature { name: "g" } }
      gradient { function_name: "f" gradient_func: "g" }
      registered_gradients { gradient_func: "g" registered_op_type: "GradientThatStays" }
      registered_gradients { gradient_func: "f" registered_op_type: "GradientThatGoes" }
    }
    versions { producer: 1234 }
  }
  saver_def { restore_op_name: "restore" }
  collection_def { key: "kept" value { node_list { value: "a" } } }
  collection_def { key: "saved_model_assets" value { any_list { value {
    type_url: "type.googleapis.com/tensorflow.AssetFileDef" value: "\022\007foo.txt" } } } }
  signature_def { key: "serving_default" value { method_name: "m" outputs { key: "y" value { name: "b:0" dtype: DT_FLOAT } } } }
  asset_file_def { tensor_info { name: "a:0" } filename: "foo.txt" }
  object_graph_def { nodes { user_object { identifier: "x" } } }
}
meta_graphs { meta_info_def { tags: "train" } graph_def { node { name: "t" op: "NoOp" } } }
)";

class Write : public ::testing::Test {
 protected:
  Write() {
    put(folder_ / "in/saved_model.pbtxt", kText);
    put(folder_ / "in/assets/foo.txt", "vocabulary");
    put(folder_ / "in/assets/deep/bar.txt", "more");
    put(folder_ / "in/assets.extra/warmup", "requests");
    put(folder_ / "in/fingerprint.pb", "x");
    put(folder_ / "in/keras_metadata.pb", "x");
    put(folder_ / "in/debug/info", "x");
    fs::create_directories(folder_ / "in/variables");
    BundleWriter bundle(folder_ / "in/variables/variables");
    bundle.add("v", Tensor::scalar(2.0f));
    bundle.finish();
    model_ = load(folder_ / "in");
  }
  std::string out(const std::string& file) const { return read_file(folder_.path() / "out" / file); }

  testing::TemporaryFolder folder_;
  Model model_;
};

TEST_F(Write, KeepsEverythingThatBelongsToTheModel) {
  const WriteReport report = write(model_, folder_ / "out", {});
  EXPECT_EQ(report.dropped, (std::vector<std::string>{"debug/", "fingerprint.pb", "keras_metadata.pb"}));
  EXPECT_EQ(out("assets/foo.txt"), "vocabulary");
  EXPECT_EQ(out("assets/deep/bar.txt"), "more");
  EXPECT_EQ(out("assets.extra/warmup"), "requests");
  const Model copy = load(folder_ / "out");
  EXPECT_EQ(copy.file.filename(), "saved_model.pb");
  EXPECT_EQ(Bundle::open(copy.variables_prefix()).read("v").flat<float>()[0], 2.0f);
  EXPECT_EQ(fs::hard_link_count(folder_ / "out/variables/variables.index"), 2u);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(copy.meta_graphs.at(i).raw, model_.meta_graphs.at(i).raw);
}

TEST_F(Write, ChangesOnlyWhatIsEdited) {
  NodeDef changed = model_.meta_graphs[0].graph.nodes[0].edited();
  changed.device = "/cpu:0";
  NodeDef added;
  added.name = "c";
  added.op = "TRTEngineOp";
  set_attr(added.attrs, "segment_func", AttrValue::of(FunctionRef{"f", {}}));
  set_attr(added.attrs, "empty", AttrValue::of(AttrList{}));
  MetaGraphEdit edit;
  edit.nodes = {{changed, model_.meta_graphs[0].graph.nodes[1], added}};
  edit.functions = {{model_.meta_graphs[0].graph.functions[1]}};
  edit.assets = {{{.tensor_name = "a:0", .filename = "new", .raw = {}}}};
  edit.drop_object_graph = true;
  WriteOptions options;
  options.edits = {edit};
  options.assets = {{"new", [](FileWriter& file) { file.append("engine"); }},
                    {"foo.txt", [](FileWriter& file) { file.append("replaced"); }}};
  options.drop_assets = {"deep/bar.txt"};
  write(model_, folder_ / "out", options);
  EXPECT_EQ(out("assets/new"), "engine");
  EXPECT_EQ(out("assets/foo.txt"), "replaced");
  EXPECT_FALSE(fs::exists(folder_ / "out/assets/deep/bar.txt"));
  const Model copy = load(folder_ / "out");
  const MetaGraph& meta_graph = copy.meta_graph({"serve"});
  ASSERT_EQ(meta_graph.graph.nodes.size(), 3u);
  EXPECT_EQ(meta_graph.graph.nodes[0].device, "/cpu:0");
  EXPECT_EQ(meta_graph.graph.nodes[0].other_fields, model_.meta_graphs[0].graph.nodes[0].other_fields);
  EXPECT_FALSE(meta_graph.graph.nodes[0].other_fields.empty());
  EXPECT_EQ(meta_graph.graph.nodes[1].raw, model_.meta_graphs[0].graph.nodes[1].raw);
  EXPECT_EQ(meta_graph.graph.nodes[2].function_attr("segment_func").name, "f");
  EXPECT_TRUE(meta_graph.graph.nodes[2].ints_attr("empty").empty());
  ASSERT_EQ(meta_graph.graph.functions.size(), 1u);
  EXPECT_EQ(meta_graph.graph.producer, 1234);
  EXPECT_TRUE(meta_graph.object_graph.empty());
  ASSERT_EQ(meta_graph.assets.size(), 1u);
  EXPECT_EQ(meta_graph.assets[0].filename, "new");
  EXPECT_EQ(meta_graph.find_collection("saved_model_assets")->any_list.size(), 1u);
  EXPECT_EQ(meta_graph.find_collection("kept")->node_list, std::vector<std::string>{"a"});
  EXPECT_EQ(meta_graph.find_signature("serving_default")->raw, model_.meta_graphs[0].signatures[0].raw);
  EXPECT_EQ(meta_graph.saver->restore_op, "restore");
  EXPECT_EQ(meta_graph.tensorflow_version, "2.21.0");
  EXPECT_EQ(copy.meta_graphs[1].raw, model_.meta_graphs[1].raw);
  EXPECT_NE(copy.meta_graphs[0].raw.find("GradientThatStays"), std::string_view::npos);
  EXPECT_EQ(copy.meta_graphs[0].raw.find("GradientThatGoes"), std::string_view::npos);
}

TEST_F(Write, SetsSignaturesCollectionsAndTags) {
  SignatureDef signature;
  signature.key = "one";
  signature.method_name = "tensorflow/serving/predict";
  TensorInfo info;
  info.key = "x";
  info.name = "a:0";
  info.dtype = DataType::kFloat32;
  info.shape = {.known_rank = true, .dims = {-1, 0, 3}};
  signature.inputs = {info};
  Collection removed, set;
  removed.name = "kept";
  set.name = "main";
  set.node_list = {"b"};
  MetaGraphEdit edit;
  edit.meta_graph = 1;
  edit.signatures = {{signature}};
  edit.collections = {removed, set};
  edit.tags = {{"other", "tags"}};
  const std::string bytes = serialize(model_, {edit});
  const Model copy = load_bytes(bytes, nullptr, "copy");
  const MetaGraph& meta_graph = copy.meta_graph({"tags", "other"});
  const SignatureDef* found = meta_graph.find_signature("one");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->method_name, "tensorflow/serving/predict");
  EXPECT_EQ(found->find_input("x")->shape, info.shape);
  EXPECT_EQ(meta_graph.find_collection("kept"), nullptr);
  EXPECT_EQ(meta_graph.find_collection("main")->node_list, std::vector<std::string>{"b"});
  EXPECT_EQ(copy.meta_graphs[0].raw, model_.meta_graphs[0].raw);
}

TEST_F(Write, RefusesTheInput) {
  fs::create_directory_symlink(folder_ / "in", folder_ / "link");
  for (const char* output : {"in", "link", "in/sub", "in/../in/", "."}) {
    for (bool replace : {false, true}) {
      WriteOptions options;
      options.replace = replace;
      EXPECT_TRUE(error_of([&] { write(model_, folder_ / output, options); }).starts_with("invalid_argument")) << output;
    }
  }
  EXPECT_TRUE(fs::exists(folder_ / "in/saved_model.pbtxt"));
}

TEST_F(Write, ReplacesOnlySavedModels) {
  WriteOptions replace;
  replace.replace = true;
  put(folder_ / "out/letter.txt", "dear");
  EXPECT_NE(error_of([&] { write(model_, folder_ / "out", replace); }).find("not replaced"), std::string::npos);
  put(folder_ / "out/saved_model.pb", "old");
  EXPECT_NE(error_of([&] { write(model_, folder_ / "out", {}); }).find("exists already"), std::string::npos);
  write(model_, folder_ / "out", replace);
  EXPECT_FALSE(fs::exists(folder_ / "out/letter.txt"));
  EXPECT_EQ(load(folder_ / "out").meta_graphs.size(), 2u);
}

TEST_F(Write, LeavesNothingBehindAFailure) {
  WriteOptions options;
  options.assets = {{"bad", [](FileWriter&) { fail(ErrorCode::kInternal, "stop"); }}};
  EXPECT_EQ(error_of([&] { write(model_, folder_ / "out", options); }), "internal: stop");
  options.assets = {{"../../escaped", [](FileWriter&) {}}};
  EXPECT_TRUE(error_of([&] { write(model_, folder_ / "out", options); }).starts_with("invalid_argument"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1);
}

TEST_F(Write, SurvivesBeingKilled) {
  WriteOptions options;
  options.replace = true;
  options.assets = {{"bad", [](FileWriter&) { ::kill(::getpid(), SIGKILL); }}};
  for (const bool existing : {false, true}) {
    if (existing) write(model_, folder_ / "out", {});
    const pid_t child = ::fork();
    if (child == 0) {
      write(model_, folder_ / "out", options);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(fs::exists(folder_ / "out"), existing);
  }
  EXPECT_EQ(load(folder_ / "out").meta_graphs.size(), 2u);
  options.assets.clear();
  write(model_, folder_ / "out", options);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 2);
}

TEST_F(Write, MakesASavedModelOfAFrozenGraph) {
  put(folder_ / "graph.pbtxt",
      "node { name: 'a' op: 'Const' } versions { producer: 7 } library { function { signature { name: 'f' } } }");
  const Model graph = load(folder_ / "graph.pbtxt");
  ASSERT_TRUE(graph.frozen_graph);
  MetaGraphEdit edit;
  SignatureDef signature;
  signature.key = "serving_default";
  edit.signatures = {{signature}};
  WriteOptions options;
  options.edits = {edit};
  write(graph, folder_ / "out", options);
  const Model copy = load(folder_ / "out");
  EXPECT_FALSE(copy.frozen_graph);
  EXPECT_EQ(copy.schema_version, 1);
  const MetaGraph& meta_graph = copy.meta_graph({"serve"});
  EXPECT_NE(meta_graph.find_node("a"), nullptr);
  EXPECT_NE(meta_graph.find_function("f"), nullptr);
  EXPECT_NE(meta_graph.find_signature("serving_default"), nullptr);
  EXPECT_EQ(meta_graph.graph.producer, 7);
}

TEST_F(Write, RefusesEditsOfGraphsThatAreNotThere) {
  MetaGraphEdit edit;
  edit.meta_graph = 2;
  EXPECT_TRUE(error_of([&] { serialize(model_, {edit}); }).starts_with("invalid_argument"));
}

TEST(Serialize, EditedNodesComeBackEqual) {
  NodeDef node;
  node.name = "n";
  node.op = "Op";
  node.inputs = {"a", "^b"};
  AttrList list;
  list.strings = {"x", ""};
  list.ints = {-1, 0, 1};
  list.floats = {0.0f, -0.0f};
  list.bools = {false, true};
  list.types = {DataType::kFloat32, static_cast<DataType>(101)};
  list.shapes = {{}, {.known_rank = true, .dims = {}}, {.known_rank = true, .dims = {0, -1, 5}}};
  list.tensors = {TensorValue::encode(Tensor::scalar(std::string("text")))};
  list.functions = {{"f", {{"T", AttrValue::of(DataType::kInt32)}}}};
  node.attrs = {{"list", AttrValue::of(list)},   {"zero", AttrValue::of(std::int64_t{0})},
                {"false", AttrValue::of(false)}, {"none", {}},
                {"hole", {Placeholder{"T"}}},    {"value", AttrValue::of(Tensor::scalar(1.5f))}};
  const std::string bytes = serialize(node);
  const NodeDef copy = decode_node(bytes, nullptr);
  EXPECT_EQ(copy.inputs, node.inputs);
  const AttrList& copied = copy.list_attr("list");
  EXPECT_EQ(copied.strings, list.strings);
  EXPECT_EQ(copied.ints, list.ints);
  EXPECT_EQ(copied.floats, list.floats);
  EXPECT_EQ(copied.bools, list.bools);
  EXPECT_EQ(copied.types, list.types);
  EXPECT_EQ(copied.shapes, list.shapes);
  EXPECT_EQ(copied.tensors.at(0).decode().flat<std::string>()[0], "text");
  EXPECT_EQ(copied.functions.at(0).attrs.at(0).first, "T");
  EXPECT_EQ(copy.int_attr("zero"), 0);
  EXPECT_EQ(copy.bool_attr("false", true), false);
  EXPECT_EQ(find_attr(copy.attrs, "none")->kind_name(), "none");
  EXPECT_EQ(find_attr(copy.attrs, "hole")->get_if<Placeholder>()->name, "T");
  EXPECT_EQ(copy.tensor_attr("value").decode().flat<float>()[0], 1.5f);
  EXPECT_EQ(serialize(copy.edited()), bytes);
  EXPECT_NE(
      error_of([&] { copy.int_attr("false"); }).find("node \"n\" (Op): attribute \"false\" is of kind bool, wanted int"),
      std::string::npos);
  EXPECT_NE(error_of([&] { copy.int_attr("x"); }).find("attribute \"x\" (int) is missing"), std::string::npos);
}

}  // namespace
}  // namespace tenon::saved
