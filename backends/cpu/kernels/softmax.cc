#include "backends/cpu/kernels/softmax.h"

#include <cmath>

#include "backends/cpu/kernels/dispatch.h"
#include "backends/cpu/kernels/shares.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/softmax.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/softmax-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

// y = x a + b.
void ScaleRow(const float* x, float* y, size_t n, float a, float b) {
  const hn::ScalableTag<float> d;
  const auto va = hn::Set(d, a), vb = hn::Set(d, b);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) hn::StoreU(hn::MulAdd(hn::LoadU(d, x + i), va, vb), d, y + i);
  if (i < n) StorePart(hn::MulAdd(LoadPart(d, x + i, n - i), va, vb), d, y + i, n - i);
}

void SoftmaxRows(const float* x, float* y, int64_t rows, int64_t length) {
  const auto n = static_cast<size_t>(length);
  for (int64_t r = 0; r < rows; ++r, x += length, y += length) {
    const float sum = RowExpSum<true>(x, y, n, RowMaximum(x, n));
    ScaleRow(y, y, n, 1 / sum, 0);
  }
}

void LogSoftmaxRows(const float* x, float* y, int64_t rows, int64_t length) {
  const auto n = static_cast<size_t>(length);
  const hn::ScalableTag<float> d;
  for (int64_t r = 0; r < rows; ++r, x += length, y += length) {
    const float maximum = RowMaximum(x, n);
    const float log_sum = std::log(RowExpSum<false>(x, nullptr, n, maximum));
    // Two subtractions: the maximum may be large and the logarithm small.
    const auto shift = hn::Set(d, maximum), second = hn::Set(d, log_sum);
    size_t i = 0;
    for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
      hn::StoreU(hn::Sub(hn::Sub(hn::LoadU(d, x + i), shift), second), d, y + i);
    }
    if (i < n) StorePart(hn::Sub(hn::Sub(LoadPart(d, x + i, n - i), shift), second), d, y + i, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {
namespace {

using RowsFunction = void(const float* x, float* y, int64_t rows, int64_t length);

void run_rows(RowsFunction* function, const float* x, float* y, int64_t rows, int64_t length, ThreadTeam& team) {
  if (length <= 0) return;
  for_shares(split_work(rows, 20 + 0.35 * static_cast<double>(length)), team,
             [&](int64_t begin, int64_t end) { function(x + begin * length, y + begin * length, end - begin, length); });
}

}  // namespace

void softmax(const float* x, float* y, int64_t rows, int64_t length, ThreadTeam& team) {
  run_rows(TENON_BEST_TARGET(SoftmaxRows), x, y, rows, length, team);
}

void log_softmax(const float* x, float* y, int64_t rows, int64_t length, ThreadTeam& team) {
  run_rows(TENON_BEST_TARGET(LogSoftmaxRows), x, y, rows, length, team);
}

}  // namespace tenon::cpu
#endif
