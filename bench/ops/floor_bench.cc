// The floor of the four networks: the sum of what their convolutions (BERT-base: matrix products) take alone, warm, in the
// layout that oneDNN likes best; and the same sum for Tenon's kernels. One line of JSON per network, batch and number of threads.
//
//     floor_bench [--batches 1,8] [--threads 1,2] [--seconds 0.06]      seconds: for each layer and each of the two
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <thread>

#include "bench/ops/layers.h"

namespace tenon::bench {
namespace {

struct Sums {
  double tenon = 0, onednn = 0;  // seconds
  int layers = 0;
};

// The fastest of the calls that fit into `seconds`. Workers of whoever ran before are given time to fall asleep.
double fastest(const Run& run, double seconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  run();
  double best = 1e30;
  const auto begin = std::chrono::steady_clock::now();
  for (int calls = 0; calls < 3 || seconds_since(begin) < seconds; ++calls) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

void add(Sums& sums, int count, double seconds, const Run& tenon, [[maybe_unused]] const Run& onednn) {
  sums.layers += count;
  sums.tenon += count * fastest(tenon, seconds);
#ifdef TENON_BENCH_ONEDNN
  sums.onednn += count * fastest(onednn, seconds);
#endif
}

Run onednn_of([[maybe_unused]] const Layer& layer, [[maybe_unused]] int64_t batch, [[maybe_unused]] int threads) {
#ifdef TENON_BENCH_ONEDNN
  return onednn_conv(layer, batch, threads);
#else
  return {};
#endif
}

Run onednn_of([[maybe_unused]] const Product& product, [[maybe_unused]] int threads) {
#ifdef TENON_BENCH_ONEDNN
  return onednn_product(product, threads);
#else
  return {};
#endif
}

Sums convolutions(const std::vector<Layer>& layers, int64_t batch, int threads, double seconds) {
  std::map<std::string, std::pair<const Layer*, int>> distinct;
  for (const Layer& layer : layers) ++distinct.try_emplace(layer.name(), &layer, 0).first->second.second;
  Sums sums;
  for (const auto& [name, found] : distinct) {
    const auto& [layer, count] = found;
    add(sums, count, seconds, tenon_conv(*layer, batch, threads), onednn_of(*layer, batch, threads));
  }
  return sums;
}

Sums products(int64_t batch, int threads, double seconds) {
  Sums sums;
  for (const Product& product : bert_base(batch)) {
    add(sums, product.count, seconds, tenon_product(product, threads), onednn_of(product, threads));
  }
  return sums;
}

void print(const std::string& network, int64_t batch, int threads, const Sums& sums) {
  const std::string floor = sums.onednn > 0 ? fmt::format("{:.4f}", sums.onednn * 1e3) : "null";
  fmt::print(R"({{"model": "{}", "batch": {}, "threads": {}, "layers": {}, "onednn_ms": {}, "tenon_ms": {:.4f}}})"
             "\n",
             network, batch, threads, sums.layers, floor, sums.tenon * 1e3);
  std::fflush(stdout);
}

void measure(int64_t batch, int threads, double seconds) {
  print("resnet50", batch, threads, convolutions(resnet50(), batch, threads, seconds));
  print("mobilenetv2", batch, threads, convolutions(mobilenetv2(), batch, threads, seconds));
  print("efficientnetb0", batch, threads, convolutions(efficientnetb0(), batch, threads, seconds));
  print("bert_base_s128", batch, threads, products(batch, threads, seconds));
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  CLI::App app("The floor of the four networks");
  std::vector<int64_t> batches{1};
  std::vector<int> threads{1, 2};
  double seconds = 0.06;
  app.add_option("--batches", batches, "Batch sizes")->delimiter(',');
  app.add_option("--threads", threads, "Numbers of threads")->delimiter(',');
  app.add_option("--seconds", seconds, "For each layer and library");
  CLI11_PARSE(app, argc, argv);
  for (const int64_t batch : batches) {
    for (const int count : threads) tenon::bench::measure(batch, count, seconds);
  }
}
