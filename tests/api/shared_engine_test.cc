// Two signatures that compute the same over the same variables share one engine: in the folder, in memory, in reports.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/file.h"
#include "savedmodel/bundle_writer.h"
#include "savedmodel/temporary.h"
#include "tenon/convert.h"
#include "tenon/inspect.h"
#include "tenon/random_inputs.h"
#include "tenon/session.h"

namespace tenon {
namespace {

constexpr std::int64_t kWidth = 600;

std::string node(const std::string& name, const std::string& op, const std::string& rest) {
  return "node { name: '" + name + "' op: '" + op + "' " + rest + " }\n";
}
std::string type(const std::string& key, const std::string& dtype) { return "attr { key: '" + key + "' value { type: " + dtype + " } } "; }

// relu(x * w) * w under names with a prefix; `last` is the last op.
std::string body(const std::string& prefix, const std::string& last) {
  const std::string t = type("T", "DT_FLOAT");
  return node(prefix + "x", "Placeholder",
              type("dtype", "DT_FLOAT") + "attr { key: 'shape' value { shape { dim { size: -1 } dim { size: 600 } } } }") +
         node(prefix + "read", "ReadVariableOp", "input: 'w' " + type("dtype", "DT_FLOAT")) +
         node(prefix + "m1", "MatMul", "input: '" + prefix + "x' input: '" + prefix + "read' " + t) +
         node(prefix + "relu", "Relu", "input: '" + prefix + "m1' " + t) +
         node(prefix + "m2", "MatMul", "input: '" + prefix + "relu' input: '" + prefix + "read' " + t) +
         node(prefix + "y", last, "input: '" + prefix + "m2' " + t);
}
std::string signature(const std::string& key, const std::string& prefix) {
  const std::string shape = "dtype: DT_FLOAT tensor_shape { dim { size: -1 } dim { size: 600 } } } } ";
  return "signature_def { key: '" + key + "' value { inputs { key: 'x' value { name: '" + prefix + "x:0' " + shape +
         "outputs { key: 'y' value { name: '" + prefix + "y:0' " + shape + "} }\n";
}

// Signatures "serve" and "serving_default", as Keras 3 writes them.
void write_model(const std::filesystem::path& folder, const std::string& last_of_second = "Tanh") {
  std::filesystem::create_directories(folder / "variables");
  std::ofstream(folder / "saved_model.pbtxt")
      << "saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' } graph_def { versions { producer: 1000 }\n"
      << node("w", "VarHandleOp", type("dtype", "DT_FLOAT") + "attr { key: 'shared_name' value { s: 'w' } } " +
                                      "attr { key: 'shape' value { shape { dim { size: 600 } dim { size: 600 } } } }")
      << body("a/", "Tanh") << body("b/", last_of_second)
      << node("save/Const", "Const", type("dtype", "DT_STRING") +
                                         "attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { } string_val: 'model' } } }")
      << node("save/names", "Const",
              type("dtype", "DT_STRING") +
                  "attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: 'w' } } }")
      << node("save/slices", "Const",
              type("dtype", "DT_STRING") +
                  "attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: '' } } }")
      << node("save/RestoreV2", "RestoreV2",
              "input: 'save/Const' input: 'save/names' input: 'save/slices' attr { key: 'dtypes' value { list { type: DT_FLOAT } } }")
      << node("save/Assign", "AssignVariableOp", "input: 'w' input: 'save/RestoreV2' " + type("dtype", "DT_FLOAT"))
      << node("save/restore_all", "NoOp", "input: '^save/Assign'")
      << "} saver_def { filename_tensor_name: 'save/Const:0' save_tensor_name: 'save/Const:0' restore_op_name: 'save/restore_all' version: V2 }\n"
      << signature("serve", "a/") << signature("serving_default", "b/") << "}";
  saved::BundleWriter writer(folder / "variables/variables");
  Tensor w = random_tensor(DataType::kFloat32, Shape{kWidth, kWidth}, 3);
  for (float& value : w.flat<float>()) value *= 0.05f;
  writer.add("w", w);
  writer.finish();
}

std::map<std::string, std::string> files(const std::filesystem::path& folder) {
  std::map<std::string, std::string> result;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) result[entry.path().lexically_relative(folder).string()] = read_file(entry.path());
  }
  return result;
}

std::size_t total(const std::map<std::string, std::string>& files) {
  std::size_t sum = 0;
  for (const auto& [name, bytes] : files) sum += bytes.size();
  return sum;
}

int times_mapped(const std::string& file_name) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(file_name) != std::string::npos;
  return count;
}

class SharedEngines : public ::testing::Test {
 protected:
  ConvertReport convert_model(const std::string& output = "out") {
    ConvertOptions options;
    options.min_gain = 0;
    options.timing_cache = (folder_ / "timing").string();
    options.force = true;
    return convert((folder_ / "model").string(), (folder_ / output).string(), options);
  }

  // Both signatures of the converted model give what the original gives natively.
  void expect_same_results(Session& session) {
    SessionOptions native;
    native.native = true;
    Session original = Session::open((folder_ / "model").string(), native);
    const Tensor x = random_tensor(DataType::kFloat32, Shape{5, kWidth}, 11);
    for (const char* key : {"serve", "serving_default"}) {
      const Tensor wanted = original.run({{"x", x}}, key).at("y");
      const Tensor found = session.run({{"x", x}}, key).at("y");
      ASSERT_EQ(found.shape(), wanted.shape());
      for (std::size_t i = 0; i < wanted.flat<float>().size(); ++i) {
        ASSERT_NEAR(found.flat<float>()[i], wanted.flat<float>()[i], 1e-4) << key << " " << i;
      }
    }
  }

  testing::TemporaryFolder folder_;
  std::string asset_ = "trt-serialized-engine.TRTEngineOp_000_000";
};

TEST_F(SharedEngines, AreWrittenOnce) {
  write_model(folder_ / "model");
  const ConvertReport report = convert_model();
  ASSERT_EQ(report.engines.size(), 2u);
  EXPECT_EQ(report.engines[0].shared_with, "");
  EXPECT_EQ(report.engines[1].name, "TRTEngineOp_000_001");
  EXPECT_EQ(report.engines[1].shared_with, "TRTEngineOp_000_000");
  const auto written = files(folder_ / "out");
  EXPECT_TRUE(written.contains("assets/" + asset_));
  EXPECT_FALSE(written.contains("assets/trt-serialized-engine.TRTEngineOp_000_001"));
  EXPECT_LE(static_cast<double>(total(written)), 2.1 * static_cast<double>(total(files(folder_ / "model"))));
  const ModelInfo info = inspect((folder_ / "out").string());
  ASSERT_EQ(info.meta_graphs.at(0).engines.size(), 1u);
  EXPECT_EQ(info.meta_graphs[0].engines[0].nodes, (std::vector<std::string>{"TRTEngineOp_000_000", "TRTEngineOp_000_001"}));
}

TEST_F(SharedEngines, AreLoadedOnceAndServeBothSignatures) {
  write_model(folder_ / "model");
  convert_model();
  Session session = Session::open((folder_ / "out").string());
  expect_same_results(session);
  EXPECT_EQ(times_mapped(asset_), 1);
  for (const EngineStatus& engine : session.engines()) {
    EXPECT_TRUE(engine.loaded) << engine.reason;
    EXPECT_FALSE(engine.rebuilt);
    EXPECT_EQ(engine.engine, "TRTEngineOp_000_000");
    EXPECT_EQ(engine.calls, 1u);
  }
}

TEST_F(SharedEngines, AreProfiledUnderTheNamesOfTheNodeThatRuns) {
  write_model(folder_ / "model");
  convert_model();
  Session session = Session::open((folder_ / "out").string());
  const Tensor x = random_tensor(DataType::kFloat32, Shape{1, kWidth}, 1);
  for (const auto& [key, prefix] : {std::pair("serve", "a/"), std::pair("serving_default", "b/")}) {
    int layers = 0;
    for (const ProfileEntry& entry : session.profile({{"x", x}}, key)) {
      if (entry.engine.empty()) continue;
      EXPECT_TRUE(entry.node.starts_with(prefix)) << entry.node;
      ++layers;
    }
    EXPECT_GE(layers, 2);
  }
}

TEST_F(SharedEngines, AreTheSameBytesWhenBuiltAgain) {
  write_model(folder_ / "model");
  convert_model("first");
  convert_model("second");
  EXPECT_EQ(files(folder_ / "first"), files(folder_ / "second"));
}

TEST_F(SharedEngines, AreRebuiltOnceWhenTheFileIsDamaged) {
  write_model(folder_ / "model");
  convert_model();
  std::fstream(folder_ / "out/assets" / asset_, std::ios::in | std::ios::out | std::ios::binary).seekp(5000).write("damage", 6);
  std::vector<std::string> log;
  SessionOptions options;
  options.log = [](const std::string& line, void* context) { static_cast<std::vector<std::string>*>(context)->push_back(line); };
  options.log_context = &log;
  Session session = Session::open((folder_ / "out").string(), options);
  expect_same_results(session);
  EXPECT_EQ(log.size(), 1u);
  for (const EngineStatus& engine : session.engines()) EXPECT_TRUE(engine.rebuilt) << engine.reason;
}

TEST_F(SharedEngines, AreNotSharedByPartsThatDiffer) {
  write_model(folder_ / "model", "Sigmoid");
  const ConvertReport report = convert_model();
  ASSERT_EQ(report.engines.size(), 2u);
  EXPECT_EQ(report.engines[1].shared_with, "");
  Session session = Session::open((folder_ / "out").string());
  expect_same_results(session);
}

TEST_F(SharedEngines, SurviveASecondConversion) {
  write_model(folder_ / "model");
  convert_model();
  ConvertOptions options;
  options.min_gain = 0;
  convert((folder_ / "out").string(), (folder_ / "again").string(), options);
  Session session = Session::open((folder_ / "again").string());
  expect_same_results(session);
  for (const EngineStatus& engine : session.engines()) EXPECT_EQ(engine.engine, "TRTEngineOp_000_000");
}

}  // namespace
}  // namespace tenon
