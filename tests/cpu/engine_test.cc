// Whole engines: compile, serialize, load, run.
#include <thread>

#include "cpu/engine_fixture.h"
#include "plan/timing_cache.h"

namespace tenon::test {
namespace {

ir::Attrs conv_attrs(std::int64_t stride, const std::string& padding, bool bias, const std::string& activation = "") {
  ir::Attrs result = attrs({{"strides", std::vector<std::int64_t>{stride, stride}},
                            {"dilations", std::vector<std::int64_t>{1, 1}},
                            {"padding", padding}});
  if (bias) result.set("has_bias", true);
  if (!activation.empty()) result.set("activation", activation);
  return result;
}

// conv + relu -> conv with residual -> depthwise -> matmul, for any batch.
std::unique_ptr<ir::Graph> small_net() {
  GraphBuilder b;
  SymbolSource symbols;
  const auto x = b.parameter(DataType::kFloat32, {symbols.fresh(), 12, 10, 5});
  const auto w1 = b.constant(random_tensor({3, 3, 5, 24}, 1)), bias1 = b.constant(random_tensor({24}, 2));
  const auto y1 = b.op("fused_conv2d", {x, w1, bias1}, conv_attrs(1, "SAME", true, "relu"));
  const auto w2 = b.constant(random_tensor({1, 1, 24, 24}, 3));
  ir::Attrs with_residual = conv_attrs(1, "VALID", false, "relu");
  with_residual.set("residual", std::string("before"));
  const auto y2 = b.op("fused_conv2d", {y1, w2, y1}, with_residual);
  const auto w3 = b.constant(random_tensor({3, 3, 24, 1}, 4));
  const auto y3 = b.op("fused_depthwise_conv2d", {y2, w3}, conv_attrs(2, "SAME", false));
  const auto w4 = b.constant(random_tensor({24, 17}, 5, 0.1f)), bias4 = b.constant(random_tensor({17}, 6));
  const auto y4 = b.op("fused_matmul", {y3, w4, bias4}, attrs({{"has_bias", true}}));
  return b.finish({y4});
}

TEST(CpuEngine, RunsASmallNetForSeveralBatchSizes) {
  const auto graph = small_net();
  const auto executable = load(build(*graph));
  for (const std::int64_t batch : {1, 2, 5, 1, 3}) {
    const Tensor x = random_tensor({batch, 12, 10, 5}, 7);
    const auto found = run(*executable, {x}, 1);
    expect_near(found[0], reference(*graph, {x})[0]);
  }
  EXPECT_EQ(executable->statistics().shape_plans_built, 4u);
}

TEST(CpuEngine, GivesTheSameBitsForEveryTeam) {
  const auto engine = build(*small_net());
  const Tensor x = random_tensor({3, 12, 10, 5}, 7);
  const Tensor one = run(*load(engine, 1), {x}, 1)[0];
  for (const int threads : {2, 3}) expect_same_bits(run(*load(engine, threads), {x}, 1)[0], one);
}

TEST(CpuEngine, ServesCallersFromManyThreads) {
  const auto graph = small_net();
  const auto executable = load(build(*graph));
  std::vector<std::thread> callers;
  std::atomic<int> failures{0};
  for (unsigned t = 0; t < 4; ++t) {
    callers.emplace_back([&, t] {
      const Tensor x = random_tensor({static_cast<std::int64_t>(t % 2 + 1), 12, 10, 5}, t);
      const Tensor wanted = run(*executable, {x}, 1)[0];
      for (int i = 0; i < 50; ++i) {
        const Tensor found = run(*executable, {x}, 1)[0];
        if (std::memcmp(found.data(), wanted.data(), found.byte_size()) != 0) ++failures;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failures.load(), 0);
}

TEST(CpuEngine, BuildsTheSameBytesWithATimingCache) {
  const auto graph = small_net();
  plan::TimingCache cache;
  CompileOptions options;
  options.timing_cache = &cache;
  const std::string first = plan::serialize(build(*graph, options));
  const std::size_t measured = cache.size();
  EXPECT_GT(measured, 0u);
  EXPECT_EQ(plan::serialize(build(*graph, options)), first);
  EXPECT_EQ(cache.size(), measured);
}

TEST(CpuEngine, KeepsPackedWeightsOnly) {
  GraphBuilder b;
  const auto x = b.parameter(DataType::kFloat32, {4, 256});
  const auto y = b.op("fused_matmul", {x, b.constant(random_tensor({256, 512}, 1))});
  const auto graph = b.finish({y});
  EXPECT_LT(plan::serialize(build(*graph)).size(), 256u * 512 * 4 * 5 / 4);
}

TEST(CpuEngine, RefusesInputsOfAnotherTypeOrShape) {
  const auto executable = load(build(*small_net()));
  EXPECT_THROW(run(*executable, {Tensor(DataType::kInt32, {1, 12, 10, 5})}, 1), Error);
  EXPECT_THROW(run(*executable, {random_tensor({1, 12, 11, 5}, 1)}, 1), Error);
  EXPECT_THROW(run(*executable, {}, 1), Error);
}

TEST(CpuEngine, RefusesAPlanForAnotherMachine) {
  auto engine = build(*small_net());
  engine.stamp.isa = "other";
  EXPECT_THROW(load(engine), Error);
}

// As if the checksums had been made to fit.
plan::Engine damaged(const plan::Engine& engine, std::string_view which, std::size_t position, int flip) {
  plan::Engine copy;
  copy.name = engine.name;
  copy.stamp = engine.stamp;
  copy.inputs = engine.inputs;
  copy.outputs = engine.outputs;
  for (const plan::Section& section : engine.sections()) {
    std::string bytes(section.bytes);
    if (section.name == which) bytes[position % bytes.size()] = static_cast<char>(bytes[position % bytes.size()] ^ flip);
    copy.add_section(section.name, std::move(bytes));
  }
  return copy;
}

TEST(CpuEngine, NeverTrustsTheContentOfAPlan) {
  const auto engine = build(*small_net());
  const Tensor x = random_tensor({2, 12, 10, 5}, 7);
  std::mt19937 random(1);
  for (int i = 0; i < 1500; ++i) {
    const char* which = i % 10 == 0 ? "packed" : i % 10 == 1 ? "tactics" : "graph";
    const auto copy = damaged(engine, which, random(), 1 << (random() % 8));
    try {
      run(*load(copy), {x}, 1);
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kOutOfMemory) << error.what();
    }
  }
}

TEST(CpuEngine, PassesInputsAndConstantsToOutputs) {
  GraphBuilder b;
  const auto x = b.parameter(DataType::kFloat32, {2, 3});
  const auto c = b.constant(random_tensor({4}, 1));
  const auto same = b.op("identity", {x});
  const auto graph = b.finish({same, c, x, same});
  check(*graph, {random_tensor({2, 3}, 2)});
}

TEST(CpuEngine, RefusesResultsWhoseSizeOverflows) {
  GraphBuilder b;
  const auto x = b.parameter(DataType::kFloat32, {1, 1});
  Tensor sizes(DataType::kInt64, {2});
  sizes.flat<std::int64_t>()[0] = std::int64_t{1} << 33;
  sizes.flat<std::int64_t>()[1] = std::int64_t{1} << 31;  // 2^64 elements, which wrap to none
  const auto large = b.op("broadcast_to", {x, b.constant(sizes)});
  const auto graph = b.finish({b.op("max", {large, b.constant(Tensor::scalar<std::int32_t>(0), "axis")})});
  try {
    run(*load(build(*graph)), {random_tensor({1, 1}, 1)}, 1);
    FAIL() << "ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
  }
}

TEST(CpuEngine, HandlesAnEmptyBatch) {
  const auto graph = small_net();
  const auto found = run(*load(build(*graph)), {random_tensor({0, 12, 10, 5}, 1)}, 1);
  EXPECT_EQ(found[0].shape(), (Shape{0, 6, 5, 17}));
}

}  // namespace
}  // namespace tenon::test
