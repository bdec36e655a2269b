#include "backends/cpu/kernels/pool.h"

#include <algorithm>
#include <limits>

#include "backends/cpu/kernels/dispatch.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/pool.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/partial-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

// The part of a window that lies inside the input: begin and end per dimension.
struct Window {
  int64_t begin[3];
  int64_t end[3];

  HWY_INLINE void Place(const PoolShape& shape, int dimension, int64_t at) {
    const int64_t start = at * shape.stride[dimension] - shape.padding[dimension];
    begin[dimension] = HWY_MAX(start, int64_t{0});
    end[dimension] = HWY_MIN(start + shape.window[dimension], shape.input[dimension]);
  }
  HWY_INLINE int64_t Size() const {
    int64_t size = 1;
    for (int d = 0; d < 3; ++d) size *= HWY_MAX(end[d] - begin[d], int64_t{0});
    return size;
  }
};

template <bool kMax>
HWY_INLINE V Take(V a, V x) {
  return kMax ? hn::Max(x, a) : hn::Add(a, x);  // Max gives its second operand when one is NaN
}

// One output pixel, kVectors vectors of channels; `count` lanes of the only vector where kPart.
template <bool kMax, size_t kVectors, bool kPart>
HWY_INLINE void PoolPixel(const PoolShape& shape, const Window& window, const float* x, float* y, size_t count) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V a[kVectors];
  for (size_t k = 0; k < kVectors; ++k) a[k] = kMax ? hn::Set(d, std::numeric_limits<float>::lowest()) : hn::Zero(d);
  const int64_t row = shape.input[2] * shape.channels;
  for (int64_t z = window.begin[0]; z < window.end[0]; ++z) {
    for (int64_t h = window.begin[1]; h < window.end[1]; ++h) {
      const float* from = x + (z * shape.input[1] + h) * row + window.begin[2] * shape.channels;
      for (int64_t w = window.begin[2]; w < window.end[2]; ++w, from += shape.channels) {
        for (size_t k = 0; k < kVectors; ++k) {
          a[k] = Take<kMax>(a[k], kPart ? LoadPart(d, from, count) : hn::LoadU(d, from + k * lanes));
        }
      }
    }
  }
  const V divisor = hn::Set(d, static_cast<float>(window.Size()));
  for (size_t k = 0; k < kVectors; ++k) {
    if (!kMax) a[k] = hn::Div(a[k], divisor);
    if (kPart) {
      StorePart(a[k], d, y, count);
    } else {
      hn::StoreU(a[k], d, y + k * lanes);
    }
  }
}

template <bool kMax>
HWY_INLINE void PoolChannels(const PoolShape& shape, const Window& window, const float* x, float* y) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t c = 0;
  for (; c + 4 * lanes <= shape.channels; c += 4 * lanes) PoolPixel<kMax, 4, false>(shape, window, x + c, y + c, 0);
  for (; c + lanes <= shape.channels; c += lanes) PoolPixel<kMax, 1, false>(shape, window, x + c, y + c, 0);
  if (c < shape.channels) {
    PoolPixel<kMax, 1, true>(shape, window, x + c, y + c, static_cast<size_t>(shape.channels - c));
  }
}

// Items are output rows.
void PoolRows(const PoolShape& shape, const float* x, float* y, int64_t begin, int64_t end) {
  const int64_t image = shape.input[0] * shape.input[1] * shape.input[2] * shape.channels;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t h = item % shape.output[1], z = item / shape.output[1] % shape.output[0];
    const float* from = x + item / (shape.output[1] * shape.output[0]) * image;
    float* to = y + item * shape.output[2] * shape.output_stride;
    Window window;
    window.Place(shape, 0, z);
    window.Place(shape, 1, h);
    for (int64_t w = 0; w < shape.output[2]; ++w, to += shape.output_stride) {
      window.Place(shape, 2, w);
      if (shape.kind == PoolKind::kMaximum) {
        PoolChannels<true>(shape, window, from, to);
      } else {
        PoolChannels<false>(shape, window, from, to);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {

Pool::Pool(const PoolShape& shape) : shape_(shape) {
  if (shape_.output_stride == 0) shape_.output_stride = shape.channels;
  const int64_t taps = shape.window[0] * shape.window[1] * shape.window[2];
  const double pixel =
      6 + static_cast<double>(std::max<int64_t>(shape.channels, 16)) * (0.1 + 0.03 * static_cast<double>(taps));
  const int64_t rows = shape.batch * shape.output[0] * shape.output[1];
  shares_ = split_work(shape.channels == 0 ? 0 : rows, pixel * static_cast<double>(shape.output[2]));
}

void Pool::run(const float* x, float* y, ThreadTeam& team) const {
  const auto rows = TENON_BEST_TARGET(PoolRows);
  for_shares(shares_, team, [&](int64_t begin, int64_t end) { rows(shape_, x, y, begin, end); });
}

}  // namespace tenon::cpu
#endif
