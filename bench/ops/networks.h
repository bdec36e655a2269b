// The layers that the four networks of the benches are made of: convolutions at 224 x 224, BERT-base at 128 tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "backends/cpu/kernels/epilogue.h"

namespace tenon::bench {

using cpu::Activation;

// A convolution with bias, padded as SAME. Sizes are of the square input.
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

inline std::vector<Layer> resnet50() {
  const std::string net = "resnet50";
  std::vector<Layer> layers{{net, 224, 3, 64, 7, 2, false, false, Activation::kRelu}};
  int64_t size = 56, in = 64;
  const auto stage = [&](int64_t middle, int64_t stride, int blocks) {
    const int64_t out = 4 * middle;
    layers.push_back({net, size, in, out, 1, stride, false, false, Activation::kNone});
    for (int i = 0; i < blocks; ++i) {
      layers.push_back({net, size, in, middle, 1, i == 0 ? stride : 1, false, false, Activation::kRelu});
      if (i == 0) size /= stride;
      layers.push_back({net, size, middle, middle, 3, 1, false, false, Activation::kRelu});
      layers.push_back({net, size, middle, out, 1, 1, false, true, Activation::kRelu});
      in = out;
    }
  };
  stage(64, 1, 3);
  stage(128, 2, 4);
  stage(256, 2, 6);
  stage(512, 2, 3);
  return layers;
}

struct Stage {
  int64_t expansion, out, repeats, stride, kernel;
};

// The inverted residual blocks that both mobile networks are made of; `squeeze` adds squeeze and excitation.
inline std::vector<Layer> inverted_residuals(const std::string& net, const std::vector<Stage>& stages, Activation activation,
                                             bool squeeze) {
  std::vector<Layer> layers{{net, 224, 3, 32, 3, 2, false, false, activation}};
  int64_t size = 112, in = 32;
  for (const Stage& stage : stages) {
    for (int64_t i = 0; i < stage.repeats; ++i) {
      const int64_t wide = in * stage.expansion, stride = i == 0 ? stage.stride : 1;
      if (stage.expansion > 1) layers.push_back({net, size, in, wide, 1, 1, false, false, activation});
      layers.push_back({net, size, wide, wide, stage.kernel, stride, true, false, activation});
      size /= stride;
      if (squeeze) {
        layers.push_back({net, 1, wide, in / 4, 1, 1, false, false, activation});
        layers.push_back({net, 1, in / 4, wide, 1, 1, false, false, Activation::kNone});
      }
      layers.push_back({net, size, wide, stage.out, 1, 1, false, i > 0, Activation::kNone});
      in = stage.out;
    }
  }
  layers.push_back({net, 7, 320, 1280, 1, 1, false, false, activation});
  return layers;
}

inline std::vector<Layer> mobilenetv2() {
  return inverted_residuals("mobilenetv2",
                            {{1, 16, 1, 1, 3},
                             {6, 24, 2, 2, 3},
                             {6, 32, 3, 2, 3},
                             {6, 64, 4, 2, 3},
                             {6, 96, 3, 1, 3},
                             {6, 160, 3, 2, 3},
                             {6, 320, 1, 1, 3}},
                            Activation::kRelu6, false);
}

inline std::vector<Layer> efficientnetb0() {
  return inverted_residuals("efficientnetb0",
                            {{1, 16, 1, 1, 3},
                             {6, 24, 2, 2, 3},
                             {6, 40, 2, 2, 5},
                             {6, 80, 3, 2, 3},
                             {6, 112, 3, 1, 5},
                             {6, 192, 4, 2, 5},
                             {6, 320, 1, 1, 3}},
                            Activation::kSwish, true);
}

// A matrix product of BERT-base with bias: (groups) x (m x k) x (k x n). Several groups: attention, without weights and bias.
struct Product {
  std::string name;
  int64_t groups, m, n, k;
  bool gelu;
  int count;  // in the network
};

inline std::vector<Product> bert_base(int64_t batch) {
  constexpr int64_t kTokens = 128, kWidth = 768, kInner = 3072, kHeads = 12, kDepth = 64;
  const int64_t rows = batch * kTokens, groups = batch * kHeads;
  return {{"projection", 1, rows, kWidth, kWidth, false, 48},       {"ffn1", 1, rows, kInner, kWidth, true, 12},
          {"ffn2", 1, rows, kWidth, kInner, false, 12},             {"scores", groups, kTokens, kTokens, kDepth, false, 12},
          {"mix", groups, kTokens, kDepth, kTokens, false, 12},     {"pooler", 1, batch, kWidth, kWidth, false, 1}};
}

}  // namespace tenon::bench
