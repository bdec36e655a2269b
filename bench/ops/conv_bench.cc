// The convolutions of ResNet-50, MobileNetV2 and EfficientNet-B0 (224 x 224), Tenon's kernels beside oneDNN where the build
// found it. Names read network/kernel,stride,channels in-out,size/batch/threads. GFLOP/s count the multiplications of the
// direct algorithm, also where Winograd's runs.
#include <set>
#include <string>
#include <vector>

#include "bench/ops/kernel_bench.h"
#include "bench/ops/layers.h"

namespace tenon::bench {
namespace {

using Make = Run (*)(const Layer&, int64_t batch, int threads);

void add(const std::string& who, const Layer& layer, int64_t batch, int threads, Make make) {
  const std::string name = layer.name() + "/b" + std::to_string(batch) + "/t" + std::to_string(threads) + "/" + who;
  const auto body = [=](benchmark::State& state) { report(state, layer.flops(batch), threads, make(layer, batch, threads)); };
  benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->MinTime(0.05);
}

void register_layers(const std::vector<Layer>& layers) {
  std::set<std::string> seen;
  for (const Layer& layer : layers) {
    if (!seen.insert(layer.name()).second) continue;
    for (int64_t batch : {1, 8}) {
      for (int threads : {1, 2}) {
        add("tenon", layer, batch, threads, tenon_conv);
#ifdef TENON_BENCH_ONEDNN
        add("onednn", layer, batch, threads, onednn_conv);
#endif
      }
    }
  }
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  for (const auto& layers : {tenon::bench::resnet50(), tenon::bench::mobilenetv2(), tenon::bench::efficientnetb0()}) {
    tenon::bench::register_layers(layers);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
