// What a call of an engine costs besides its kernel: a model of one matrix product (8 x 64 by 64 x 64) is written, converted, and
// timed as the bare kernel, as the engine, and as a session's call. One line of JSON, microseconds.
//
//     call_bench [--rounds 30]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <vector>

#include "backend/builtin.h"
#include "bench/ops/layers.h"
#include "tenon/convert.h"
#include "tenon/session.h"

namespace tenon::bench {
namespace {

constexpr int64_t kRows = 8, kWidth = 64;
constexpr int kCallsPerRound = 2000;

// The weights are 4096 times 0.5.
constexpr const char* kModel = R"(
saved_model_schema_version: 1
meta_graphs {
  meta_info_def { tags: 'serve' }
  graph_def {
    node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } }
           attr { key: 'shape' value { shape { dim { size: 8 } dim { size: 64 } } } } }
    node { name: 'w' op: 'Const' attr { key: 'dtype' value { type: DT_FLOAT } }
           attr { key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 64 } dim { size: 64 } } float_val: 0.5 } } } }
    node { name: 'y' op: 'MatMul' input: 'x' input: 'w' attr { key: 'T' value { type: DT_FLOAT } }
           attr { key: 'transpose_a' value { b: false } } attr { key: 'transpose_b' value { b: false } } } }
  signature_def { key: 'serving_default' value {
    inputs { key: 'x' value { name: 'x:0' dtype: DT_FLOAT tensor_shape { dim { size: 8 } dim { size: 64 } } } }
    outputs { key: 'y' value { name: 'y:0' dtype: DT_FLOAT tensor_shape { dim { size: 8 } dim { size: 64 } } } }
    method_name: 'tensorflow/serving/predict' } } }
)";

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-call-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Converts the model; returns the folder of the result.
std::filesystem::path converted(const TemporaryFolder& folder) {
  std::filesystem::create_directory(folder.path() / "model");
  std::ofstream(folder.path() / "model/saved_model.pbtxt") << kModel;
  ConvertOptions options;
  options.minimum_segment_size = 1;
  options.min_gain = 0;
  options.threads = 1;
  const auto result = folder.path() / "converted";
  const ConvertReport report = convert((folder.path() / "model").string(), result.string(), options);
  if (report.engines.size() != 1) throw std::runtime_error(fmt::format("wanted one engine, found {}", report.engines.size()));
  return result;
}

std::unique_ptr<Executable> open_engine(const std::filesystem::path& model) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(model)) {
    if (!entry.path().filename().string().starts_with("trt-serialized-engine.")) continue;
    NoWeights weights;
    return make_default_backend()->load(plan::read(entry.path()), weights, {0, std::make_shared<SharedTeam>(1), 1});
  }
  throw std::runtime_error("the converted model holds no engine");
}

// The caller's own memory for the one result.
class OneResult : public OutputAllocator {
 public:
  explicit OneResult(void* memory) : memory_(memory) {}
  void* allocate(int, DataType, std::span<const std::int64_t>) override { return memory_; }

 private:
  void* memory_;
};

double microseconds_per_call(const Run& run) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCallsPerRound; ++i) run();
  return seconds_since(start) / kCallsPerRound * 1e6;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Medians of the rounds, in which the candidates take turns.
std::vector<double> interleaved(const std::vector<Run>& candidates, int rounds) {
  std::vector<std::vector<double>> times(candidates.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) times[i].push_back(microseconds_per_call(candidates[i]));
  }
  std::vector<double> medians;
  for (const auto& each : times) medians.push_back(median(each));
  return medians;
}

void measure(int rounds) {
  const TemporaryFolder folder;
  const auto model = converted(folder);
  const auto engine = open_engine(model);
  SessionOptions options;
  options.threads = 1;
  Session session = Session::open(model.string(), options);
  if (!session.engines().at(0).loaded) throw std::runtime_error("the engine was not loaded: " + session.engines().at(0).reason);

  Tensor x(DataType::kFloat32, Shape{kRows, kWidth}), y(DataType::kFloat32, Shape{kRows, kWidth});
  std::fill_n(static_cast<float*>(x.data()), kRows * kWidth, 0.25f);
  const TensorView view = TensorView::of(x);
  OneResult result(y.data());
  const std::map<std::string, Tensor> feeds{{"x", x}};
  const Run kernel = tenon_product({"kernel", 1, kRows, kWidth, kWidth, false, 1}, 1);
  const auto times = interleaved(
      {kernel, [&] { engine->run({&view, 1}, result, nullptr); }, [&] { session.run(feeds); }}, rounds);
  fmt::print(R"({{"kernel_us": {:.3f}, "engine_us": {:.3f}, "session_us": {:.3f}}})" "\n", times[0], times[1], times[2]);
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  CLI::App app("What a call of an engine of one op costs besides its kernel");
  int rounds = 30;
  app.add_option("--rounds", rounds, "Rounds of 2000 calls")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    tenon::bench::measure(rounds);
  } catch (const std::exception& error) {
    fmt::print(stderr, "call_bench: {}\n", error.what());
    return 1;
  }
}
