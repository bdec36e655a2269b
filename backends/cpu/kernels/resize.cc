#include "backends/cpu/kernels/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backends/cpu/kernels/dispatch.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/resize.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/partial-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

HWY_INLINE V Blend(V low, V high, V weight) { return hn::MulAdd(hn::Sub(high, low), weight, low); }

// One output row from two input rows.
void BilinearRow(const float* top, const float* bottom, float row_weight, const ResizeBilinear::Tap* columns, int64_t width,
                 int64_t channels, float* y) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const V down = hn::Set(d, row_weight);
  for (int64_t w = 0; w < width; ++w, y += channels) {
    const V right = hn::Set(d, columns[w].weight);
    const int64_t low = columns[w].low * channels, high = columns[w].high * channels;
    int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
      const V upper = Blend(hn::LoadU(d, top + low + c), hn::LoadU(d, top + high + c), right);
      const V lower = Blend(hn::LoadU(d, bottom + low + c), hn::LoadU(d, bottom + high + c), right);
      hn::StoreU(Blend(upper, lower, down), d, y + c);
    }
    if (c == channels) continue;
    const auto rest = static_cast<size_t>(channels - c);
    const V upper = Blend(LoadPart(d, top + low + c, rest), LoadPart(d, top + high + c, rest), right);
    const V lower = Blend(LoadPart(d, bottom + low + c, rest), LoadPart(d, bottom + high + c, rest), right);
    StorePart(Blend(upper, lower, down), d, y + c, rest);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {
namespace {

// TensorFlow computes positions in float; so must we, to round alike.
float scale_of(int64_t in, int64_t out, bool align_corners) {
  return align_corners && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                  : static_cast<float>(in) / static_cast<float>(out);
}

std::vector<ResizeBilinear::Tap> bilinear_taps(int64_t in, int64_t out, const ResizeShape& shape) {
  std::vector<ResizeBilinear::Tap> taps;
  const float scale = scale_of(in, out, shape.align_corners);
  for (int64_t i = 0; i < out; ++i) {
    const float at =
        shape.half_pixel_centers ? (static_cast<float>(i) + 0.5f) * scale - 0.5f : static_cast<float>(i) * scale;
    const float floor = std::floor(at);
    const int64_t low = std::max<int64_t>(static_cast<int64_t>(floor), 0);
    const int64_t high = std::min<int64_t>(static_cast<int64_t>(std::ceil(at)), in - 1);
    taps.push_back({std::min(low, in - 1), high, at - floor});
  }
  return taps;
}

std::vector<int64_t> nearest_indices(int64_t in, int64_t out, const ResizeShape& shape) {
  std::vector<int64_t> indices;
  const float scale = scale_of(in, out, shape.align_corners);
  for (int64_t i = 0; i < out; ++i) {
    const float at = (static_cast<float>(i) + (shape.half_pixel_centers ? 0.5f : 0.0f)) * scale;
    const auto nearest = static_cast<int64_t>(shape.align_corners ? std::round(at) : std::floor(at));
    indices.push_back(std::clamp<int64_t>(nearest, 0, in - 1));
  }
  return indices;
}

}  // namespace

ResizeBilinear::ResizeBilinear(const ResizeShape& shape)
    : shape_(shape),
      rows_(bilinear_taps(shape.height, shape.out_height, shape)),
      columns_(bilinear_taps(shape.width, shape.out_width, shape)) {
  const double pixel = 4 + 0.25 * static_cast<double>(shape.channels);
  shares_ = split_work(shape.batch * shape.out_height, pixel * static_cast<double>(shape.out_width));
}

void ResizeBilinear::run(const float* x, float* y, ThreadTeam& team) const {
  const auto row = TENON_BEST_TARGET(BilinearRow);
  const int64_t in_row = shape_.width * shape_.channels, out_row = shape_.out_width * shape_.channels;
  for_shares(shares_, team, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const Tap& tap = rows_[static_cast<size_t>(item % shape_.out_height)];
      const float* image = x + item / shape_.out_height * shape_.height * in_row;
      row(image + tap.low * in_row, image + tap.high * in_row, tap.weight, columns_.data(), shape_.out_width,
          shape_.channels, y + item * out_row);
    }
  });
}

ResizeNearest::ResizeNearest(const ResizeShape& shape, int64_t element_size)
    : shape_(shape),
      pixel_bytes_(shape.channels * element_size),
      rows_(nearest_indices(shape.height, shape.out_height, shape)),
      columns_(nearest_indices(shape.width, shape.out_width, shape)) {
  const double pixel = 4 + 0.05 * static_cast<double>(pixel_bytes_);
  shares_ = split_work(pixel_bytes_ == 0 ? 0 : shape.batch * shape.out_height, pixel * static_cast<double>(shape.out_width));
}

void ResizeNearest::run(const void* x, void* y, ThreadTeam& team) const {
  const int64_t in_row = shape_.width * pixel_bytes_, out_row = shape_.out_width * pixel_bytes_;
  for_shares(shares_, team, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t row = item / shape_.out_height * shape_.height + rows_[static_cast<size_t>(item % shape_.out_height)];
      const char* from = static_cast<const char*>(x) + row * in_row;
      char* to = static_cast<char*>(y) + item * out_row;
      for (int64_t column : columns_) {
        std::memcpy(to, from + column * pixel_bytes_, static_cast<size_t>(pixel_bytes_));
        to += pixel_bytes_;
      }
    }
  });
}

}  // namespace tenon::cpu
#endif
