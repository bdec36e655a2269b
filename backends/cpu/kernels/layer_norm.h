// Normalisation to mean 0 and variance 1, over rows or over the pixels of a channel, of dense float tensors.
#pragma once

#include <cstdint>

#include "base/thread_team.h"

namespace tenon::cpu {

// y = (v - mean(v)) / sqrt(variance(v) + epsilon) gamma + beta for every row v = x + residual.
struct LayerNorm {
  int64_t rows = 0;
  int64_t length = 0;
  float epsilon = 0;
};

// x, residual, y, sum: [rows, length]; gamma, beta: [length]. Null `residual`, `gamma` and `beta` leave the step out; `sum`,
// where not null, receives x + residual. `y` may be `x` or `residual`, so may `sum`, but `y` is not `sum`.
struct LayerNormData {
  const float* x = nullptr;
  const float* residual = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float* y = nullptr;
  float* sum = nullptr;
};
void layer_norm(const LayerNorm& shape, const LayerNormData& data, ThreadTeam& team);

// x, y: [batch, pixels, channels]: every channel of every image normalised over its pixels, as instance normalisation does.
// With batch 1 and all rows as pixels these are batch normalisation's training statistics.
struct InstanceNorm {
  int64_t batch = 0;
  int64_t pixels = 0;
  int64_t channels = 0;
  float epsilon = 0;
};

// gamma, beta: [channels] or null. mean, variance: [batch, channels], receive the statistics where not null. `y` may be `x`.
struct InstanceNormData {
  const float* x = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  float* y = nullptr;
  float* mean = nullptr;
  float* variance = nullptr;
};
void instance_norm(const InstanceNorm& shape, const InstanceNormData& data, ThreadTeam& team);

}  // namespace tenon::cpu
