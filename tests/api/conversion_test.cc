// Conversion in steps: partition, engines by TF-TRT's rules when inputs come, writing; and the resource that TensorFlow's plug-in holds.
#include "tenon/conversion.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "savedmodel/temporary.h"
#include "tenon/random_inputs.h"
#include "tenon/session.h"

namespace tenon {
namespace {

const char* const kModel = TENON_SOURCE_DIR "/examples/digits/model";

void be_quiet(const std::string&, void*) {}

Session open(const std::string& path, bool native = false, bool allow_build = true) {
  SessionOptions options;
  options.native = native;
  options.allow_build = allow_build;
  options.log = be_quiet;
  return Session::open(path, options);
}

// Images of one value each.
std::map<std::string, Tensor> images(const Session& session, std::int64_t batch) {
  const TensorSpec input = session.inputs().at(0);
  std::vector<std::int64_t> dims = input.shape;
  dims[0] = batch;
  Tensor tensor(input.dtype, Shape(dims));
  auto values = tensor.flat<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) / 17;
  return {{input.name, tensor}};
}

void expect_equal(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    if (tensor.dtype() != DataType::kFloat32) continue;  // what was found, as a number and a word
    const auto x = tensor.flat<float>(), y = b.at(name).flat<float>();
    ASSERT_EQ(x.size(), y.size());
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-5);
  }
}

WriteModelOptions in_process() {
  WriteModelOptions options;
  options.in_process = true;
  return options;
}

class ConversionModes : public ::testing::TestWithParam<ShapeMode> {
 protected:
  ConversionOptions options() const {
    ConversionOptions options;
    options.mode = GetParam();
    options.maximum_cached_engines = 2;
    return options;
  }
  testing::TemporaryFolder folder_;
};

TEST_P(ConversionModes, EnginesAreBuiltByCallsStoredAndLoaded) {
  const std::string temporary = folder_.path() / "temporary", saved_dir = folder_.path() / "saved";
  const Conversion conversion = Conversion::open(kModel, options());
  ASSERT_EQ(conversion.engines().size(), 1u);
  const std::string name = conversion.engines()[0].name;
  EXPECT_EQ(name, "TRTEngineOp_000_000");
  EXPECT_GT(conversion.engines()[0].ops.at("Conv2D"), 0);
  conversion.write(temporary, in_process());
  Session original = open(kModel, true), converted = open(temporary);
  const auto resource = conversion.resource(name);
  EXPECT_FALSE(resource->has_engine());
  EXPECT_EQ(resource->serialize(), "");
  expect_equal(original.run(images(original, 4)), converted.run(images(original, 4)));
  ASSERT_EQ(resource->entries().size(), 1u);
  EXPECT_EQ(resource->calls(), 1u);
  expect_equal(original.run(images(original, 2)), converted.run(images(original, 2)));
  const bool served = GetParam() != ShapeMode::kProfiles;  // a profile of one call serves its shape alone
  EXPECT_EQ(resource->calls(), served ? 2u : 1u);

  WriteModelOptions write;
  write.engines[name] = resource->serialize();
  write.allow_build_at_runtime = false;
  ASSERT_FALSE(write.engines[name].empty());
  conversion.write(saved_dir, write);
  Session loaded = open(saved_dir);
  expect_equal(original.run(images(original, 4)), loaded.run(images(original, 4)));
  ASSERT_EQ(loaded.engines().size(), 1u);
  EXPECT_EQ(loaded.engines()[0].calls, 1u);
  expect_equal(original.run(images(original, 9)), loaded.run(images(original, 9)));
  EXPECT_EQ(loaded.engines()[0].calls, GetParam() == ShapeMode::kAnyShape ? 2u : 1u);
}

TEST_P(ConversionModes, AModelWithoutStoredEnginesBuildsThem) {
  const Conversion conversion = Conversion::open(kModel, options());
  const std::string name = conversion.engines()[0].name;
  for (const bool file : {false, true}) {
    const std::string saved_dir = folder_.path() / (file ? "empty" : "none");
    WriteModelOptions write;
    if (file) write.engines[name] = "";
    conversion.write(saved_dir, write);
    const auto asset = std::filesystem::path(saved_dir) / "assets" / ("trt-serialized-engine." + name);
    EXPECT_EQ(std::filesystem::exists(asset), file);
    if (file) {
      EXPECT_EQ(std::filesystem::file_size(asset), 0u);
    }
    Session original = open(kModel, true), loaded = open(saved_dir);
    expect_equal(original.run(images(original, 3)), loaded.run(images(original, 3)));
    EXPECT_EQ(loaded.engines()[0].calls, 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, ConversionModes, ::testing::Values(ShapeMode::kAnyShape, ShapeMode::kImplicitBatch, ShapeMode::kProfiles));

TEST(Conversion, RefusesToRunNativelyWhenThatIsRefused) {
  testing::TemporaryFolder folder;
  const Conversion conversion = Conversion::open(kModel, {});
  conversion.write(folder.path() / "m", in_process());
  Session session = open(folder.path() / "m");
  ::setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False", 1);
  ::setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "1", 1);
  try {
    session.run(images(session, 2));
    ADD_FAILURE() << "ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kAborted);
    EXPECT_NE(std::string(error.what()).find("User disallowed engine native segment execution"), std::string::npos);
  }
  ::unsetenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD");
  session.run(images(session, 2));
  ::unsetenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION");
}

TEST(Conversion, EqualConversionsDoNotShareEngines) {
  const Conversion a = Conversion::open(kModel, {}), b = Conversion::open(kModel, {});
  EXPECT_NE(a.engines()[0].identity, b.engines()[0].identity);
  EXPECT_EQ(EngineResource::find(a.engines()[0].identity), a.resource(a.engines()[0].name));
}

TEST(Conversion, WritesTheSameBytesTwice) {
  testing::TemporaryFolder folder;
  for (const char* name : {"a", "b"}) Conversion::open(kModel, {}).write(folder.path() / name, {});
  EXPECT_TRUE(read_file(folder.path() / "a" / "saved_model.pb") == read_file(folder.path() / "b" / "saved_model.pb"));
}

TEST(Conversion, NamesNodesOnTheDenyList) {
  ConversionOptions options;
  options.op_denylist = {"Conv2D"};
  const Conversion conversion = Conversion::open(kModel, options);
  bool found = false;
  for (const ConvertedNode& node : conversion.nodes()) {
    if (node.op != "Conv2D") continue;
    found = true;
    EXPECT_EQ(node.engine, "");
    EXPECT_NE(node.reason.find("deny list"), std::string::npos);
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace tenon
