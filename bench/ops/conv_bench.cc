// The convolutions of ResNet-50, MobileNetV2 and EfficientNet-B0 (224 x 224), Tenon's kernels beside oneDNN where the build
// found it. Names read network/kernel,stride,channels in-out,size/batch/threads. GFLOP/s count the multiplications of the
// direct algorithm, also where Winograd's runs.
#include <set>
#include <string>
#include <vector>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/depthwise.h"
#include "bench/ops/kernel_bench.h"

#ifdef TENON_BENCH_ONEDNN
#include "bench/ops/onednn_peer.h"
#endif

namespace tenon::bench {
namespace {

using cpu::Activation;

struct Layer {
  std::string network;
  int64_t size, in, out, kernel, stride;
  bool depthwise, residual;
  Activation activation;

  std::string name() const {
    return network + (depthwise ? "/depthwise" : "/conv") + std::to_string(kernel) + ",s" + std::to_string(stride) + "," +
           std::to_string(in) + "-" + std::to_string(out) + "," + std::to_string(size) + (residual ? "+" : "");
  }
  int64_t out_size() const { return (size - 1) / stride + 1; }
  int64_t pad_before() const { return pad() / 2; }
  int64_t pad_after() const { return pad() - pad() / 2; }
  int64_t pad() const { return std::max<int64_t>(0, (out_size() - 1) * stride + kernel - size); }
  double flops(int64_t batch) const {
    return 2.0 * static_cast<double>(batch * out_size() * out_size() * out * kernel * kernel * (depthwise ? 1 : in));
  }
};

std::vector<Layer> resnet50() {
  const std::string net = "resnet50";
  std::vector<Layer> layers{{net, 224, 3, 64, 7, 2, false, false, Activation::kRelu}};
  int64_t size = 56, in = 64;
  for (int64_t middle : {64, 128, 256, 512}) {
    const int64_t stride = middle == 64 ? 1 : 2, out = 4 * middle;
    layers.push_back({net, size, in, middle, 1, stride, false, false, Activation::kRelu});
    layers.push_back({net, size, in, out, 1, stride, false, false, Activation::kNone});
    size /= stride;
    layers.push_back({net, size, middle, middle, 3, 1, false, false, Activation::kRelu});
    layers.push_back({net, size, middle, out, 1, 1, false, true, Activation::kRelu});
    layers.push_back({net, size, out, middle, 1, 1, false, false, Activation::kRelu});
    in = out;
  }
  return layers;
}

struct Stage {
  int64_t expansion, out, repeats, stride, kernel;
};

// The inverted residual blocks that both mobile networks are made of.
std::vector<Layer> inverted_residuals(const std::string& net, const std::vector<Stage>& stages, Activation activation) {
  std::vector<Layer> layers{{net, 224, 3, 32, 3, 2, false, false, activation}};
  int64_t size = 112, in = 32;
  for (const Stage& stage : stages) {
    for (int64_t i = 0; i < stage.repeats; ++i) {
      const int64_t wide = in * stage.expansion, stride = i == 0 ? stage.stride : 1;
      if (stage.expansion > 1) layers.push_back({net, size, in, wide, 1, 1, false, false, activation});
      layers.push_back({net, size, wide, wide, stage.kernel, stride, true, false, activation});
      size /= stride;
      layers.push_back({net, size, wide, stage.out, 1, 1, false, i > 0, Activation::kNone});
      in = stage.out;
    }
  }
  layers.push_back({net, 7, 320, 1280, 1, 1, false, false, activation});
  return layers;
}

std::vector<Layer> all_layers() {
  std::vector<Layer> all = resnet50();
  const auto add = [&](const std::vector<Layer>& layers) { all.insert(all.end(), layers.begin(), layers.end()); };
  add(inverted_residuals("mobilenetv2",
                         {{1, 16, 1, 1, 3},
                          {6, 24, 2, 2, 3},
                          {6, 32, 3, 2, 3},
                          {6, 64, 4, 2, 3},
                          {6, 96, 3, 1, 3},
                          {6, 160, 3, 2, 3},
                          {6, 320, 1, 1, 3}},
                         Activation::kRelu6));
  add(inverted_residuals("efficientnetb0",
                         {{1, 16, 1, 1, 3},
                          {6, 24, 2, 2, 3},
                          {6, 40, 2, 2, 5},
                          {6, 80, 3, 2, 3},
                          {6, 112, 3, 1, 5},
                          {6, 192, 4, 2, 5},
                          {6, 320, 1, 1, 3}},
                         Activation::kSwish));
  return all;
}

template <class Params>
void set_geometry(Params& p, const Layer& layer) {
  p.kernel_h = p.kernel_w = layer.kernel;
  p.stride_h = p.stride_w = layer.stride;
  p.pad_top = p.pad_left = layer.pad_before();
  p.pad_bottom = p.pad_right = layer.pad_after();
  p.epilogue = {.activation = layer.activation, .alpha = 1};
  if (layer.residual) p.epilogue.residual = cpu::ResidualPlace::kBeforeActivation;
}

struct Operands {
  Operands(const Layer& layer, int64_t batch)
      : input(buffer(static_cast<size_t>(batch * layer.size * layer.size * layer.in))),
        bias(buffer(static_cast<size_t>(layer.out))),
        residual(buffer(static_cast<size_t>(batch * layer.out_size() * layer.out_size() * layer.out))),
        output(buffer(static_cast<size_t>(batch * layer.out_size() * layer.out_size() * layer.out))),
        filter(buffer(static_cast<size_t>(layer.kernel * layer.kernel * (layer.depthwise ? 1 : layer.in) * layer.out))) {}
  Buffer input, bias, residual, output, filter;
};

void run_tenon(benchmark::State& state, const Layer& layer, int64_t batch, int threads) {
  const Operands data(layer, batch);
  ThreadTeam team(threads);
  if (layer.depthwise) {
    cpu::DepthwiseParams p;
    p.channels = layer.in;
    set_geometry(p, layer);
    const auto plan = cpu::DepthwisePlan::make(p, batch, layer.size, layer.size);
    const Buffer packed = buffer(depthwise_packed_size(p) / sizeof(float)),
                 scratch = buffer(plan.scratch_size(threads) / sizeof(float));
    depthwise_pack(p, data.filter.get(), packed.get());
    report(state, layer.flops(batch), threads, [&] {
      plan.run({data.input.get(), packed.get(), data.bias.get(), data.residual.get(), data.output.get(), scratch.get()},
               team);
    });
    return;
  }
  cpu::Conv2dParams p;
  p.input_channels = layer.in;
  p.output_channels = layer.out;
  set_geometry(p, layer);
  p.winograd = conv2d_winograd_pays(p, batch, layer.size, layer.size);
  const auto plan = cpu::Conv2dPlan::make(p, batch, layer.size, layer.size);
  const Buffer packed = buffer(conv2d_packed_size(p) / sizeof(float)),
               scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  conv2d_pack(p, data.filter.get(), packed.get());
  report(state, layer.flops(batch), threads, [&] {
    plan.run({data.input.get(), packed.get(), data.bias.get(), data.residual.get(), data.output.get(), scratch.get()}, team);
  });
}

#ifdef TENON_BENCH_ONEDNN
void run_onednn(benchmark::State& state, const Layer& layer, int64_t batch, int threads) {
  OneDnnConv conv({.batch = batch,
                   .size = layer.size,
                   .in = layer.in,
                   .out = layer.out,
                   .kernel = layer.kernel,
                   .stride = layer.stride,
                   .pad_before = layer.pad_before(),
                   .pad_after = layer.pad_after(),
                   .out_size = layer.out_size(),
                   .depthwise = layer.depthwise,
                   .residual = layer.residual,
                   .relu = layer.activation == Activation::kRelu,
                   .relu6 = layer.activation == Activation::kRelu6,
                   .swish = layer.activation == Activation::kSwish},
                  threads);
  report(state, layer.flops(batch), threads, [&] { conv.run(); });
}
#endif

void register_layers() {
  std::set<std::string> seen;
  for (const Layer& layer : all_layers()) {
    if (!seen.insert(layer.name()).second) continue;
    for (int64_t batch : {1, 8}) {
      for (int threads : {1, 2}) {
        const std::string name = layer.name() + "/b" + std::to_string(batch) + "/t" + std::to_string(threads);
        const auto add = [&](const std::string& who, auto body) {
          benchmark::RegisterBenchmark((name + "/" + who).c_str(),
                                       [=](benchmark::State& s) { body(s, layer, batch, threads); })
              ->UseManualTime()
              ->MinTime(0.05);
        };
        add("tenon", run_tenon);
#ifdef TENON_BENCH_ONEDNN
        add("onednn", run_onednn);
#endif
      }
    }
  }
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  tenon::bench::register_layers();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
