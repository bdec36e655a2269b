#include "backends/cpu/kernels/layer_norm.h"

#include <cmath>

#include "backends/cpu/kernels/dispatch.h"
#include "backends/cpu/kernels/shares.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/layer_norm.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/partial-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

HWY_INLINE V LoadUpTo(D d, const float* from, size_t count) {
  return count >= hn::Lanes(d) ? hn::LoadU(d, from) : LoadPart(d, from, count);
}
HWY_INLINE void StoreUpTo(V v, D d, float* to, size_t count) {
  if (count >= hn::Lanes(d)) {
    hn::StoreU(v, d, to);
  } else {
    StorePart(v, d, to, count);
  }
}

// Sum of a + b (b may be null), which is also written to `out` where that is not null.
template <bool kAdd, bool kStore>
HWY_INLINE float AddAndSum(const float* a, const float* b, float* out, size_t n) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V s[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (size_t k = 0; k < 4; ++k) {
      V v = hn::LoadU(d, a + i + k * lanes);
      if (kAdd) v = hn::Add(v, hn::LoadU(d, b + i + k * lanes));
      if (kStore) hn::StoreU(v, d, out + i + k * lanes);
      s[k] = hn::Add(s[k], v);
    }
  }
  for (; i < n; i += lanes) {
    V v = LoadUpTo(d, a + i, n - i);
    if (kAdd) v = hn::Add(v, LoadUpTo(d, b + i, n - i));
    if (kStore) StoreUpTo(v, d, out + i, n - i);
    s[0] = hn::Add(s[0], v);
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s[0], s[1]), hn::Add(s[2], s[3]))));
}

// Sum of (x - mean)^2.
HWY_INLINE float SumOfSquares(const float* x, size_t n, float mean) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V m = hn::Set(d, mean);
  V s[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (size_t k = 0; k < 4; ++k) {
      const V v = hn::Sub(hn::LoadU(d, x + i + k * lanes), m);
      s[k] = hn::MulAdd(v, v, s[k]);
    }
  }
  for (; i + lanes <= n; i += lanes) {
    const V v = hn::Sub(hn::LoadU(d, x + i), m);
    s[0] = hn::MulAdd(v, v, s[0]);
  }
  if (i < n) {
    const V v = hn::IfThenElseZero(hn::FirstN(d, n - i), hn::Sub(LoadPart(d, x + i, n - i), m));
    s[1] = hn::MulAdd(v, v, s[1]);
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s[0], s[1]), hn::Add(s[2], s[3]))));
}

template <bool kGamma, bool kBeta>
HWY_INLINE void Normalise(const float* x, float* y, size_t n, float mean, float scale, const float* gamma,
                          const float* beta) {
  const D d;
  const V m = hn::Set(d, mean), s = hn::Set(d, scale);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    V v = hn::Mul(hn::Sub(LoadUpTo(d, x + i, n - i), m), s);
    if (kGamma) v = hn::Mul(v, LoadUpTo(d, gamma + i, n - i));
    if (kBeta) v = hn::Add(v, LoadUpTo(d, beta + i, n - i));
    StoreUpTo(v, d, y + i, n - i);
  }
}

void LayerNormRows(const LayerNorm& shape, const LayerNormData& data, int64_t begin, int64_t end) {
  const auto n = static_cast<size_t>(shape.length);
  for (int64_t r = begin; r < end; ++r) {
    const int64_t at = r * shape.length;
    const float* x = data.x + at;
    float* y = data.y + at;
    float* sum = data.sum ? data.sum + at : y;
    float total;
    if (data.residual) {
      total = AddAndSum<true, true>(x, data.residual + at, sum, n);
      x = sum;
    } else if (data.sum) {
      total = AddAndSum<false, true>(x, nullptr, sum, n);
    } else {
      total = AddAndSum<false, false>(x, nullptr, nullptr, n);
    }
    const float mean = total / static_cast<float>(n);
    const float variance = SumOfSquares(x, n, mean) / static_cast<float>(n);
    const float scale = 1 / std::sqrt(variance + shape.epsilon);
    if (data.gamma && data.beta) {
      Normalise<true, true>(x, y, n, mean, scale, data.gamma, data.beta);
    } else if (data.gamma) {
      Normalise<true, false>(x, y, n, mean, scale, data.gamma, nullptr);
    } else if (data.beta) {
      Normalise<false, true>(x, y, n, mean, scale, nullptr, data.beta);
    } else {
      Normalise<false, false>(x, y, n, mean, scale, nullptr, nullptr);
    }
  }
}

// One vector of channels of one image.
HWY_INLINE void NormaliseChannels(const InstanceNorm& shape, const InstanceNormData& data, int64_t image, int64_t channel) {
  const D d;
  const size_t count = static_cast<size_t>(shape.channels - channel);
  const float* x = data.x + image * shape.pixels * shape.channels + channel;
  float* y = data.y + image * shape.pixels * shape.channels + channel;
  const V divisor = hn::Set(d, static_cast<float>(shape.pixels));
  constexpr int64_t kRun = 256;  // partial sums keep the rounding error small
  const auto average = [&](auto term) HWY_ATTR {
    V total = hn::Zero(d);
    for (int64_t p = 0; p < shape.pixels; p += kRun) {
      V part = hn::Zero(d);
      for (int64_t q = p; q < HWY_MIN(p + kRun, shape.pixels); ++q) {
        part = hn::Add(part, term(LoadUpTo(d, x + q * shape.channels, count)));
      }
      total = hn::Add(total, part);
    }
    return hn::Div(total, divisor);
  };
  const V mean = average([](V v) HWY_ATTR { return v; });
  const V variance = average([mean](V v) HWY_ATTR { return hn::Mul(hn::Sub(v, mean), hn::Sub(v, mean)); });
  V scale = hn::Div(hn::Set(d, 1.0f), hn::Sqrt(hn::Add(variance, hn::Set(d, shape.epsilon))));
  if (data.gamma) scale = hn::Mul(scale, LoadUpTo(d, data.gamma + channel, count));
  const V shift = data.beta ? LoadUpTo(d, data.beta + channel, count) : hn::Zero(d);
  for (int64_t p = 0; p < shape.pixels; ++p) {
    const V v = LoadUpTo(d, x + p * shape.channels, count);
    StoreUpTo(hn::MulAdd(hn::Sub(v, mean), scale, shift), d, y + p * shape.channels, count);
  }
  if (data.mean) StoreUpTo(mean, d, data.mean + image * shape.channels + channel, count);
  if (data.variance) StoreUpTo(variance, d, data.variance + image * shape.channels + channel, count);
}

// Items are blocks of 16 channels, image by image.
void InstanceNormBlocks(const InstanceNorm& shape, const InstanceNormData& data, int64_t begin, int64_t end) {
  const int64_t per_image = (shape.channels + 15) / 16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(D()));
  for (int64_t i = begin; i < end; ++i) {
    const int64_t first = i % per_image * 16;
    for (int64_t c = first; c < HWY_MIN(first + 16, shape.channels); c += lanes)
      NormaliseChannels(shape, data, i / per_image, c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {

void layer_norm(const LayerNorm& shape, const LayerNormData& data, ThreadTeam& team) {
  if (shape.length <= 0) return;
  const auto rows = TENON_BEST_TARGET(LayerNormRows);
  for_shares(split_work(shape.rows, 20 + 0.2 * static_cast<double>(shape.length)), team,
             [&](int64_t begin, int64_t end) { rows(shape, data, begin, end); });
}

void instance_norm(const InstanceNorm& shape, const InstanceNormData& data, ThreadTeam& team) {
  const auto blocks = TENON_BEST_TARGET(InstanceNormBlocks);
  const int64_t items = shape.batch * ((shape.channels + 15) / 16);
  for_shares(split_work(items, 20 + 6 * static_cast<double>(shape.pixels)), team,
             [&](int64_t begin, int64_t end) { blocks(shape, data, begin, end); });
}

}  // namespace tenon::cpu
#endif
