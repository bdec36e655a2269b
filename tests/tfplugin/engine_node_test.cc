// An engine node apart from TensorFlow: a double gives it files and its segment.
#include "tfplugin/engine_node.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <protozero/pbf_writer.hpp>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "tfplugin/engine_file.h"

namespace tenon::tf {
namespace {

// FunctionDefLibrary { function { square(x) = x * x } }, floats.
SegmentFunction square(const std::string& name = "square") {
  const auto message = [](auto&& fill) {
    std::string bytes;
    protozero::pbf_writer writer(bytes);
    fill(writer);
    return bytes;
  };
  const auto argument = [&](const char* argument_name) {
    return message([&](auto& arg) {
      arg.add_string(1, argument_name);
      arg.add_enum(3, static_cast<int>(DataType::kFloat32));
    });
  };
  const std::string signature = message([&](auto& op) {
    op.add_string(1, name);
    op.add_message(2, argument("x"));
    op.add_message(3, argument("y"));
  });
  const std::string node = message([&](auto& def) {
    def.add_string(1, "product");
    def.add_string(2, "Mul");
    def.add_string(3, "x");
    def.add_string(3, "x");
    def.add_message(5, message([&](auto& attr) {
                      attr.add_string(1, "T");
                      attr.add_message(
                          2, message([](auto& value) { value.add_enum(6, static_cast<int>(DataType::kFloat32)); }));
                    }));
  });
  const std::string result = message([](auto& entry) {
    entry.add_string(1, "y");
    entry.add_string(2, "product:z:0");
  });
  SegmentFunction segment;
  segment.name = name;
  segment.library = message([&](auto& library) {
    library.add_message(1, message([&](auto& function) {
                          function.add_message(1, signature);
                          function.add_message(3, node);
                          function.add_message(4, result);
                        }));
  });
  segment.constants.resize(1);
  return segment;
}

class Host : public NodeHost {
 public:
  std::string engine_file(const std::string& identity) override { return find_engine_file(identity); }
  SegmentFunction segment() override {
    ++segments;
    return square();
  }
  std::atomic<int> segments{0};
};

NodeSettings settings(const std::string& identity) {
  NodeSettings settings;
  settings.identity = identity;
  settings.attributes.name = "TRTEngineOp_000_000";
  settings.attributes.input_types = settings.attributes.output_types = {DataType::kFloat32};
  settings.attributes.input_shapes = {ShapeSpec{true, {-1}}};
  settings.attributes.threads = 1;
  return settings;
}

struct Call {
  NodeAnswer answer;
  Tensor result;
};

Call call(EngineNode& node, Host& host, const std::vector<float>& values) {
  const Tensor input = Tensor::vector<float>(values);
  const std::vector<TensorView> views = {TensorView::of(input)};
  std::vector<Tensor> results(1);
  TensorAllocator allocator(results);
  Call call;
  call.answer = node.run(views, allocator, host);
  call.result = results[0];
  return call;
}

void expect_engine(const Call& call, const std::vector<float>& wanted) {
  ASSERT_EQ(call.answer.by, NodeAnswer::By::kEngine) << call.answer.reason;
  const auto found = call.result.flat<float>();
  EXPECT_EQ(std::vector<float>(found.begin(), found.end()), wanted);
}

// A variable of the environment, for as long as this lives.
struct Environment {
  Environment(const char* name, const char* value) : name(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name); }
  const char* name;
};

TEST(HeldFile, OutlivesItsPathAndIsSharedWhileTheFileIsTheSame) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("held_file_{}", getpid());
  std::ofstream(path) << "first";
  auto held = hold_file("held:1", path);
  ASSERT_TRUE(held);
  EXPECT_EQ(hold_file("held:1", path), held);
  std::filesystem::remove(path);
  EXPECT_EQ(held->bytes(), "first");
  EXPECT_EQ(find_held_file("held:1"), held);
  EXPECT_EQ(hold_file("held:1", path), nullptr);
  std::ofstream(path) << "the second";
  const auto second = hold_file("held:2", path);
  EXPECT_EQ(second->bytes(), "the second");
  EXPECT_EQ(held->bytes(), "first");
  held.reset();
  EXPECT_EQ(find_held_file("held:1"), nullptr);
  std::ofstream(path, std::ios::trunc).close();
  EXPECT_EQ(hold_file("held:3", path), nullptr);
  EXPECT_EQ(hold_file("held:3", std::filesystem::temp_directory_path()), nullptr);
  std::filesystem::remove(path);
}

// Throws whatever a test wants where an engine is looked for or built.
class FaultyHost : public Host {
 public:
  explicit FaultyHost(std::function<void()> fault) : fault_(std::move(fault)) {}
  std::string engine_file(const std::string& identity) override {
    if (in_file) fault_();
    return Host::engine_file(identity);
  }
  SegmentFunction segment() override {
    if (in_segment) fault_();
    return Host::segment();
  }
  bool in_file = false, in_segment = false;

 private:
  const std::function<void()> fault_;
};

TEST(EngineNode, NothingThatIsThrownLeavesIt) {
  const std::function<void()> faults[] = {[] { throw std::bad_alloc(); }, [] { throw std::length_error("too long"); }, [] { throw 42; },
                                          [] { throw Error(ErrorCode::kIo, "the disk is gone"); }};
  int number = 0;
  for (const auto& fault : faults) {
    EngineNode node(settings("faulty:" + std::to_string(++number)));
    FaultyHost host(fault);
    host.in_file = true;
    EXPECT_EQ(call(node, host, {2}).answer.by, NodeAnswer::By::kNative);
    host.in_file = false;
    expect_engine(call(node, host, {2}), {4});
    EngineNode other(settings("unbuilt:" + std::to_string(number)));
    host.in_segment = true;
    EXPECT_EQ(call(other, host, {2}).answer.by, NodeAnswer::By::kNative);
  }
}

TEST(EngineNode, AnOutputWithoutMemoryLeavesTheCallToTheNativeSegment) {
  class NoMemory : public OutputAllocator {
   public:
    void* allocate(int, DataType, std::span<const std::int64_t>) override { throw std::bad_alloc(); }
  };
  EngineNode node(settings("square:no memory"));
  Host host;
  const Tensor input = Tensor::vector<float>(std::vector<float>{2});
  const std::vector<TensorView> views = {TensorView::of(input)};
  NoMemory none;
  EXPECT_EQ(node.run(views, none, host).by, NodeAnswer::By::kNative);
  expect_engine(call(node, host, {3}), {9});
}

TEST(EngineNode, AnswersByAnEngineThatItBuildsOnce) {
  EngineNode node(settings("square:1"));
  Host host;
  expect_engine(call(node, host, {1, 2, 3}), {1, 4, 9});
  expect_engine(call(node, host, {4}), {16});
  EXPECT_EQ(host.segments, 1);
}

TEST(EngineNode, SharesTheEngineOfItsIdentity) {
  EngineNode first(settings("square:2")), second(settings("square:2"));
  Host host, unused;
  expect_engine(call(first, host, {2}), {4});
  expect_engine(call(second, unused, {3}), {9});
  EXPECT_EQ(unused.segments, 0);
}

TEST(EngineNode, RunsNativelyWhatMustNotBeBuilt) {
  NodeSettings forbidden = settings("square:3");
  forbidden.allow_build = false;
  EngineNode node(forbidden);
  Host host;
  EXPECT_EQ(call(node, host, {2}).answer.by, NodeAnswer::By::kNative);
  const Environment refused("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "false");
  EXPECT_EQ(call(node, host, {2}).answer.by, NodeAnswer::By::kNothing);
}

TEST(EngineNode, RunsOtherShapesThanItsOwnNativelyEvenWhereThatIsRefused) {
  EngineNode node(settings("square:4"));
  Host host;
  const Tensor matrix(DataType::kFloat32, Shape{2, 2});
  const std::vector<TensorView> views = {TensorView::of(matrix)};
  std::vector<Tensor> results(1);
  TensorAllocator allocator(results);
  const Environment refused("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "false");
  EXPECT_EQ(node.run(views, allocator, host).by, NodeAnswer::By::kNative);
}

TEST(EngineNode, HasNothingToFallBackToWithoutItsNativeSegment) {
  NodeSettings stripped = settings("square:5");
  stripped.has_native_segment = false;
  EngineNode node(stripped);
  Host host;
  const Call answer = call(node, host, {2});
  EXPECT_EQ(answer.answer.by, NodeAnswer::By::kNothing);
  EXPECT_FALSE(answer.answer.reason.empty());
  EXPECT_EQ(host.segments, 0);
}

TEST(EngineNode, RecordsShapesWhileItsAttributeSaysSo) {
  NodeSettings collecting = settings("square:6");
  collecting.attributes.mode = ShapeMode::kProfiles;
  NodeSettings serving = collecting;
  collecting.collect_shapes = true;
  serving.collect_shapes = false;
  EngineNode first(collecting);
  Host host;
  EXPECT_EQ(call(first, host, {1, 2}).answer.by, NodeAnswer::By::kNative);
  EXPECT_EQ(call(first, host, {1, 2, 3, 4}).answer.by, NodeAnswer::By::kNative);
  EngineNode second(serving);
  expect_engine(call(second, host, {1, 2, 3}), {1, 4, 9});
  EXPECT_EQ(call(second, host, {1, 2, 3, 4, 5}).answer.by, NodeAnswer::By::kNative);
  EXPECT_THROW(call(first, host, {1, 2}), Error);  // its profiles are made
}

TEST(EngineNode, LeavesNodesOfTfTrtNativeUntilAsked) {
  EngineNode node(settings(""));
  Host host;
  EXPECT_EQ(call(node, host, {2}).answer.by, NodeAnswer::By::kNative);
  const Environment asked("TENON_BUILD_FOREIGN_ENGINES", "1");
  expect_engine(call(node, host, {2}), {4});
}

TEST(EngineNode, ComputesItsSegmentOnTenonsExecutor) {
  EngineNode node(settings("square:7"));
  Host host;
  const std::vector<Tensor> inputs = {Tensor::vector<float>(std::vector<float>{3, 5})};
  for (int i = 0; i < 2; ++i) {
    const std::vector<Tensor> results = node.run_natively(inputs, host);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].flat<float>()[1], 25);
  }
  EXPECT_EQ(host.segments, 1);
}

TEST(EngineNode, TakesTheEngineInItsFile) {
  std::string bytes;
  {
    EngineNode node(settings("square:8"));
    Host host;
    expect_engine(call(node, host, {2}), {4});
    bytes = EngineResource::find("square:8")->serialize();
  }
  ASSERT_FALSE(bytes.empty());
  EXPECT_EQ(EngineResource::find("square:8"), nullptr);
  const std::string identity = fmt::format("square:{:016x}", hash64(bytes));  // as converted models name it
  const auto path = std::filesystem::temp_directory_path() / ("tenon_engine_node_test_" + std::to_string(getpid()));
  std::ofstream(path, std::ios::binary) << bytes;
  {
    const EngineFile file(identity, path);
    EngineNode node(settings(identity));
    Host host;
    expect_engine(call(node, host, {3}), {9});
    EXPECT_EQ(host.segments, 0);
  }
  std::filesystem::remove(path);
  NodeSettings inside = settings(identity);
  inside.stored = bytes;
  EngineNode node(inside);
  Host host;
  expect_engine(call(node, host, {3}), {9});
  EXPECT_EQ(host.segments, 0);
}

TEST(EngineNode, SideBySideOnManyThreads) {
  EngineNode first(settings("square:10")), second(settings("square:10"));
  Host host;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      EngineNode& node = i % 2 == 0 ? first : second;
      for (int n = 1; n < 50; ++n)
        expect_engine(call(node, host, std::vector<float>(static_cast<std::size_t>(n), 3)),
                      std::vector<float>(static_cast<std::size_t>(n), 9));
      const std::vector<Tensor> inputs = {Tensor::vector<float>(std::vector<float>{3})};
      EXPECT_EQ(node.run_natively(inputs, host)[0].flat<float>()[0], 9);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(IdentityOf, TellsFunctionsApart) {
  EngineAttributes attributes = settings("").attributes;
  attributes.name = "engine";
  const std::string identity = identity_of(attributes, square());
  EXPECT_EQ(identity, identity_of(attributes, square()));
  EXPECT_NE(identity, identity_of(attributes, square("other")));
  EXPECT_TRUE(identity.starts_with("engine:"));
  attributes.maximum_cached_engines = 7;
  EXPECT_NE(identity, identity_of(attributes, square()));
}

TEST(ShapeModeOfAttributes, IsTfTrts) {
  EXPECT_EQ(shape_mode(true, "Range"), ShapeMode::kImplicitBatch);
  EXPECT_EQ(shape_mode(false, "Range"), ShapeMode::kProfiles);
  EXPECT_EQ(shape_mode(false, ""), ShapeMode::kAnyShape);
}

TEST(EngineFile, IsTheNewestThatExists) {
  const std::string exists = "/proc/self/exe";
  EXPECT_EQ(find_engine_file("file:1"), "");
  const EngineFile oldest("file:1", exists);
  {
    const EngineFile gone("file:1", "/nowhere/engine");
    EXPECT_EQ(find_engine_file("file:1"), exists);
    const EngineFile newest("file:1", "/proc/self/maps");
    EXPECT_EQ(find_engine_file("file:1"), "/proc/self/maps");
  }
  EXPECT_EQ(find_engine_file("file:1"), exists);
  const EngineFile missing("file:2", "/nowhere/engine");
  EXPECT_EQ(find_engine_file("file:2"), "/nowhere/engine");
}

}  // namespace
}  // namespace tenon::tf
