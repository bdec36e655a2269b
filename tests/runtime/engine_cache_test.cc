// TF-TRT's rules of which engine serves a call, on a backend that only counts (TF-TRT behaviour 3.2 to 3.4, 4).
#include "runtime/engine_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "ops/registry.h"

namespace tenon::runtime {
namespace {

using Dims = std::vector<std::int64_t>;

// Copies its first input to its output.
class CopyExecutable : public Executable {
 public:
  void run(std::span<const TensorView> inputs, OutputAllocator& outputs, Stream*) override {
    void* to = outputs.allocate(0, inputs[0].dtype, inputs[0].dims);
    std::memcpy(to, inputs[0].data, static_cast<std::size_t>(inputs[0].num_elements()) * dtype_size(inputs[0].dtype));
  }
  std::vector<LayerTime> profile(std::span<const TensorView> inputs, OutputAllocator& outputs) override { return run(inputs, outputs, nullptr), std::vector<LayerTime>{}; }
  std::vector<LayerTime> layers(std::span<const TensorView>) override { return {}; }
  ExecutableStatistics statistics() const override { return {}; }
  std::vector<bool> shape_inputs() const override { return mask; }
  std::vector<bool> mask;
};

class CountingBackend : public Backend {
 public:
  std::string_view name() const override { return "counting"; }
  Capabilities capabilities() const override { return {}; }
  Verdict supports(std::span<const ir::Node* const>, const Precision&) const override { return Verdict::yes(); }
  bool has_kernel(std::string_view) const override { return true; }
  plan::Engine compile(const Segment& segment, const CompileOptions& options) override {
    ++builds;
    if (fails) fail(ErrorCode::kUnsupported, "this backend fails");
    plan::Engine engine;
    engine.name = segment.name;
    engine.entries = options.entries;
    return engine;
  }
  std::unique_ptr<Executable> load(const plan::Engine&, WeightsProvider&, const DeviceOptions&) override {
    auto executable = std::make_unique<CopyExecutable>();
    executable->mask = mask;
    return executable;
  }
  std::atomic<int> builds{0};
  bool fails = false;
  std::vector<bool> mask;
};

class NoSegment : public SegmentSource {
 public:
  Segment segment() override { return {"TRTEngineOp_000_000", std::make_unique<ir::Graph>("segment")}; }
  WeightsProvider& weights() override { return weights_; }

 private:
  NoWeights weights_;
};

struct Node {
  explicit Node(ShapeMode mode, ProfileStrategy strategy = ProfileStrategy::kRange, int capacity = 1, std::vector<ShapeSpec> known = {}) {
    EngineAttributes attributes;
    attributes.name = "TRTEngineOp_000_000";
    attributes.mode = mode;
    attributes.strategy = strategy;
    attributes.maximum_cached_engines = capacity;
    attributes.input_shapes = std::move(known);
    cache = std::make_unique<EngineCache>(attributes, backend, std::make_shared<SharedTeam>(1), nullptr, nullptr);
  }

  EngineCall call(const std::vector<Dims>& shapes, bool allow_build = true) {
    std::vector<Tensor> tensors;
    for (const Dims& dims : shapes) tensors.emplace_back(DataType::kFloat32, Shape(dims));
    return call(tensors, allow_build);
  }
  EngineCall call(const std::vector<Tensor>& tensors, bool allow_build = true) {
    std::vector<TensorView> views;
    for (const Tensor& tensor : tensors) views.push_back(TensorView::of(tensor));
    std::vector<Tensor> outputs(1);
    TensorAllocator allocator(outputs);
    return cache->run(views, allocator, allow_build, &source);
  }
  bool runs(const Dims& dims) { return call({dims}).ran; }
  void collect(const std::vector<Dims>& samples) {
    cache->collect_shapes(true);
    for (const Dims& dims : samples) EXPECT_FALSE(call({dims}).ran);
    cache->collect_shapes(false);
  }

  std::shared_ptr<CountingBackend> backend = std::make_shared<CountingBackend>();
  NoSegment source;
  std::unique_ptr<EngineCache> cache;
};

TEST(ImplicitBatch, ServesSmallerBatchesAndKeepsOneEntryPerSize) {
  Node node(ShapeMode::kImplicitBatch, ProfileStrategy::kRange, 4);
  for (const Dims& dims : {Dims{2, 2}, Dims{1, 2}, Dims{3, 2}, Dims{10, 10}, Dims{1, 10}}) EXPECT_TRUE(node.runs(dims));
  EXPECT_EQ(node.cache->entries().size(), 3u);
  EXPECT_EQ(node.backend->builds, 3);
}

TEST(ImplicitBatch, TakesTheSmallestBatchThatIsLargeEnough) {
  Node node(ShapeMode::kImplicitBatch, ProfileStrategy::kRange, 4);
  for (const Dims& dims : {Dims{2, 2}, Dims{5, 2}, Dims{1, 2}, Dims{3, 2}}) node.runs(dims);
  const auto entries = node.cache->entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].calls, 2u);  // batch 2: 2 and 1
  EXPECT_EQ(entries[1].calls, 2u);  // batch 5: 5 and 3
}

TEST(ImplicitBatch, EvictsWhatWasUsedLongestAgo) {
  Node node(ShapeMode::kImplicitBatch, ProfileStrategy::kRange, 2);
  for (const Dims& dims : {Dims{1, 10}, Dims{1, 20}, Dims{1, 10}, Dims{1, 30}}) EXPECT_TRUE(node.runs(dims));
  const auto entries = node.cache->entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].profile.opt[0], (Dims{1, 10}));
  EXPECT_EQ(entries[1].profile.opt[0], (Dims{1, 30}));
}

TEST(ImplicitBatch, BuildsAgainWhatWasEvicted) {
  Node node(ShapeMode::kImplicitBatch);
  for (const std::int64_t batch : {1, 2, 4, 2}) EXPECT_TRUE(node.runs({batch, 3}));
  EXPECT_EQ(node.cache->entries().size(), 1u);
  EXPECT_EQ(node.cache->entries()[0].profile.max[0][0], 4);
  for (const Dims& dims : {Dims{4, 9}, Dims{4, 3}}) EXPECT_TRUE(node.runs(dims));
  EXPECT_EQ(node.cache->entries().size(), 1u);
}

TEST(ImplicitBatch, RemembersThatBuildingIsNotAllowed) {
  Node node(ShapeMode::kImplicitBatch);
  EXPECT_FALSE(node.call(std::vector<Dims>{{2, 2}}, false).ran);
  ASSERT_EQ(node.cache->entries().size(), 1u);
  EXPECT_FALSE(node.cache->entries()[0].failure.empty());
  EXPECT_FALSE(node.cache->has_engine());
  EXPECT_EQ(node.backend->builds, 0);
}

TEST(ImplicitBatch, RemembersAFailedBuildForItsBatches) {
  Node node(ShapeMode::kImplicitBatch);
  node.backend->fails = true;
  const EngineCall call = node.call(std::vector<Dims>{{8, 2}});
  EXPECT_FALSE(call.ran);
  EXPECT_TRUE(call.native_refusable);
  EXPECT_NE(call.reason.find("this backend fails"), std::string::npos);
  node.backend->fails = false;
  EXPECT_FALSE(node.runs({4, 2}));
  EXPECT_EQ(node.backend->builds, 1);
}

TEST(ImplicitBatch, RunsNativelyForBatchesThatDiffer) {
  Node node(ShapeMode::kImplicitBatch);
  const EngineCall call = node.call(std::vector<Dims>{{2, 2}, {3, 2}});
  EXPECT_FALSE(call.ran);
  EXPECT_FALSE(call.native_refusable);
  EXPECT_FALSE(node.call(std::vector<Dims>{{}}).ran);
  EXPECT_FALSE(node.call(std::vector<Dims>{{0, 2}}).ran);
  EXPECT_TRUE(node.cache->entries().empty());
}

TEST(Faults, AnAbortedBuildIsTriedAgain) {
  Node node(ShapeMode::kImplicitBatch);
  ::setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "True", 1);
  EXPECT_FALSE(node.runs({2, 2}));
  ::unsetenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD");
  EXPECT_TRUE(node.runs({2, 2}));
}

TEST(AnyShape, NeedsOneBuild) {
  Node node(ShapeMode::kAnyShape, ProfileStrategy::kRange, 1, {{true, {-1, 2}}});
  for (const Dims& dims : {Dims{1, 2}, Dims{7, 2}, Dims{3, 2}}) EXPECT_TRUE(node.runs(dims));
  EXPECT_EQ(node.backend->builds, 1);
  EXPECT_FALSE(node.runs({1, 3}));
}

struct Lookup {
  Dims dims;
  int range, optimal, range_optimal, implicit;  // the profile that serves it; -1: native
};

// The user guide's table: samples [8,128] and [4,384].
class GuideTable : public testing::TestWithParam<ProfileStrategy> {};

TEST_P(GuideTable, HoldsToTheNumber) {
  Node node(ShapeMode::kProfiles, GetParam());
  node.collect({{8, 128}, {4, 384}, {8, 128}});
  EXPECT_TRUE(node.runs({8, 128}));
  const auto entries = node.cache->entries();
  const ShapeProfile exact8{{{8, 128}}, {{8, 128}}, {{8, 128}}, {}, {}, {}}, exact4{{{4, 384}}, {{4, 384}}, {{4, 384}}, {}, {}, {}};
  const ShapeProfile range{{{4, 128}}, {{8, 384}}, {{8, 384}}, {}, {}, {}};
  const ShapeProfile to8{{{1, 128}}, {{8, 128}}, {{8, 128}}, {}, {}, {}}, to4{{{1, 384}}, {{4, 384}}, {{4, 384}}, {}, {}, {}};
  const std::vector<ShapeProfile> wanted[] = {{range}, {exact8, exact4}, {exact8, exact4, range}, {to8, to4}};
  const auto& expected = wanted[static_cast<std::size_t>(GetParam())];
  ASSERT_EQ(entries.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(entries[i].profile.min, expected[i].min);
    EXPECT_EQ(entries[i].profile.opt, expected[i].opt);
    EXPECT_EQ(entries[i].profile.max, expected[i].max);
  }
  const Lookup lookups[] = {{{8, 128}, 0, 0, 0, 0},   {{4, 384}, 0, 1, 1, 1},  {{6, 200}, 0, -1, 2, -1}, {{1, 128}, -1, -1, -1, 0},
                            {{2, 384}, -1, -1, -1, 1}, {{8, 384}, 0, -1, 2, -1}, {{9, 128}, -1, -1, -1, -1}};
  for (const Lookup& lookup : lookups) {
    const int profiles[] = {lookup.range, lookup.optimal, lookup.range_optimal, lookup.implicit};
    const int profile = profiles[static_cast<std::size_t>(GetParam())];
    const auto before = node.cache->entries();
    EXPECT_EQ(node.runs(lookup.dims), profile >= 0);
    const auto after = node.cache->entries();
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < after.size(); ++i) {
      EXPECT_EQ(after[i].calls - before[i].calls, static_cast<int>(i) == profile ? 1u : 0u) << lookup.dims[0] << "," << lookup.dims[1];
    }
  }
  EXPECT_EQ(node.backend->builds, 1);
}

INSTANTIATE_TEST_SUITE_P(Strategies, GuideTable,
                         testing::Values(ProfileStrategy::kRange, ProfileStrategy::kOptimal, ProfileStrategy::kRangeOptimal,
                                         ProfileStrategy::kImplicitBatchModeCompatible));

TEST(Profiles, TheFirstCallDecidesWithoutABuild) {
  Node node(ShapeMode::kProfiles);
  EXPECT_TRUE(node.runs({1, 2}));
  EXPECT_FALSE(node.runs({1, 37}));
  EXPECT_EQ(node.cache->entries().size(), 1u);
}

TEST(Profiles, KnownSizesOverrideWhatWasSeen) {
  Node node(ShapeMode::kProfiles, ProfileStrategy::kRange, 1, {{true, {-1, 10}}});
  node.collect({{2, 10}, {3, 10}});
  EXPECT_TRUE(node.runs({2, 10}));
  EXPECT_EQ(node.cache->entries()[0].profile.min[0], (Dims{2, 10}));
  const EngineCall call = node.call(std::vector<Dims>{{2, 11}});
  EXPECT_FALSE(call.ran);
  EXPECT_FALSE(call.native_refusable);
}

TEST(Profiles, CannotBeCollectedTwice) {
  Node node(ShapeMode::kProfiles);
  node.collect({{2, 2}});
  EXPECT_TRUE(node.runs({2, 2}));
  node.cache->collect_shapes(true);
  EXPECT_THROW(node.runs({3, 2}), Error);
}

TEST(Profiles, RangeRefusesInputsWhoseRankChanges) {
  Node node(ShapeMode::kProfiles);
  node.collect({{2, 2}, {2, 2, 2}});
  EXPECT_THROW(node.runs({2, 2}), Error);
}

TEST(Profiles, ValuesOfShapeInputsMatter) {
  Node node(ShapeMode::kProfiles, ProfileStrategy::kRange);
  node.backend->mask = {false, true};
  const auto with = [&](std::int32_t value) { return std::vector<Tensor>{Tensor(DataType::kFloat32, Shape{2, 2}), Tensor::scalar(value)}; };
  node.cache->collect_shapes(true);
  node.call(with(3));
  node.call(with(6));
  node.cache->collect_shapes(false);
  EXPECT_TRUE(node.call(with(4)).ran);
  EXPECT_FALSE(node.call(with(7)).ran);
  EXPECT_EQ(node.cache->entries()[0].profile.min_values[1], (Dims{3}));
  EXPECT_EQ(node.cache->entries()[0].profile.max_values[1], (Dims{6}));
}

TEST(Profiles, DataOfIntegersIsNoShape) {
  Node node(ShapeMode::kProfiles, ProfileStrategy::kRange);
  node.backend->mask = {false};
  const auto with = [&](std::int64_t size) { return std::vector<Tensor>{Tensor(DataType::kInt32, Shape{size})}; };
  node.cache->collect_shapes(true);
  for (const std::int64_t size : {4, 5, 10}) node.call(with(size));
  node.cache->collect_shapes(false);
  EXPECT_TRUE(node.call(with(4)).ran);
  EXPECT_TRUE(node.call(with(7)).ran);
  EXPECT_TRUE(node.cache->entries()[0].profile.min_values[0].empty());
}

TEST(EngineCache, ForgetsEntriesButNotWhatWasTuned) {
  Node node(ShapeMode::kProfiles);
  EXPECT_TRUE(node.runs({2, 2}));
  EXPECT_TRUE(node.cache->engine().has_value());
  node.cache->clear();
  EXPECT_FALSE(node.cache->has_engine());
  EXPECT_FALSE(node.cache->engine().has_value());
  EXPECT_TRUE(node.runs({2, 2}));
  EXPECT_EQ(node.backend->builds, 1);
}

TEST(EngineCache, RestoresEntriesOfAStoredEngine) {
  Node first(ShapeMode::kProfiles, ProfileStrategy::kOptimal);
  first.collect({{2, 2}, {5, 2}});
  EXPECT_TRUE(first.runs({2, 2}));
  Node second(ShapeMode::kProfiles, ProfileStrategy::kOptimal);
  NoWeights weights;
  second.cache->restore(*first.cache->engine(), weights);
  EXPECT_TRUE(second.runs({5, 2}));
  EXPECT_FALSE(second.runs({3, 2}));
  EXPECT_EQ(second.backend->builds, 0);
}

TEST(EngineCache, ServesManyThreads) {
  Node node(ShapeMode::kImplicitBatch, ProfileStrategy::kRange, 2);
  std::vector<std::thread> threads;
  std::atomic<int> native{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) native += !node.runs({1 + (i * 7 + t) % 5, 1 + (i + t) % 3});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(native, 0);
  EXPECT_LE(node.cache->entries().size(), 2u);
}

}  // namespace
}  // namespace tenon::runtime
