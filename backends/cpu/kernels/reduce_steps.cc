#include "backends/cpu/kernels/reduce_steps.h"

#include <cmath>
#include <limits>

#include "backends/cpu/kernels/dispatch.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/reduce_steps.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/partial-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

// An operation: what it starts from, how it takes an element in, how it joins two results, what one element gives.
struct SumStep {
  static V Start() { return hn::Zero(D()); }
  static HWY_INLINE V Take(V sum, V x) { return hn::Add(sum, x); }
  static HWY_INLINE V Join(V a, V b) { return hn::Add(a, b); }
  static float Join(float a, float b) { return a + b; }
  static float First(float x) { return x; }
};
struct SquareStep : SumStep {
  static HWY_INLINE V Take(V sum, V x) { return hn::MulAdd(x, x, sum); }
  static float First(float x) { return x * x; }
};
struct ProductStep {
  static V Start() { return hn::Set(D(), 1.0f); }
  static HWY_INLINE V Take(V product, V x) { return hn::Mul(product, x); }
  static HWY_INLINE V Join(V a, V b) { return hn::Mul(a, b); }
  static float Join(float a, float b) { return a * b; }
  static float First(float x) { return x; }
};
// Max and Min give the second operand when one is NaN.
struct MaximumStep {
  static V Start() { return hn::Set(D(), -std::numeric_limits<float>::infinity()); }
  static HWY_INLINE V Take(V a, V x) { return hn::IfThenElse(hn::IsNaN(a), a, hn::Max(a, x)); }
  static HWY_INLINE V Join(V a, V b) { return Take(a, b); }
  static float Join(float a, float b) { return std::isnan(a) || a > b ? a : b; }
  static float First(float x) { return x; }
};
struct MinimumStep {
  static V Start() { return hn::Set(D(), std::numeric_limits<float>::infinity()); }
  static HWY_INLINE V Take(V a, V x) { return hn::IfThenElse(hn::IsNaN(a), a, hn::Min(a, x)); }
  static HWY_INLINE V Join(V a, V b) { return Take(a, b); }
  static float Join(float a, float b) { return std::isnan(a) || a < b ? a : b; }
  static float First(float x) { return x; }
};

template <class Step>
HWY_INLINE float JoinLanes(V v) {
  const D d;
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t half = hn::Lanes(d) / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] = Step::Join(lanes[i], lanes[i + half]);
  }
  return lanes[0];
}

// One run of at most kRun elements.
template <class Step>
HWY_INLINE V TakeRun(const float* x, size_t n) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V a[4] = {Step::Start(), Step::Start(), Step::Start(), Step::Start()};
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (size_t k = 0; k < 4; ++k) a[k] = Step::Take(a[k], hn::LoadU(d, x + i + k * lanes));
  }
  for (; i + lanes <= n; i += lanes) a[0] = Step::Take(a[0], hn::LoadU(d, x + i));
  if (i < n) {
    const V last = LoadPart(d, x + i, n - i);
    a[1] = hn::IfThenElse(hn::FirstN(d, n - i), Step::Take(a[1], last), a[1]);
  }
  return Step::Join(Step::Join(a[0], a[1]), Step::Join(a[2], a[3]));
}

// Runs are summed on their own first: rounding errors stay small in long sums.
template <class Step>
float ReduceRow(const float* x, int64_t n, float value) {
  constexpr int64_t kRun = 8192;
  V total = Step::Start();
  for (int64_t i = 0; i < n; i += kRun) {
    total = Step::Join(total, TakeRun<Step>(x + i, static_cast<size_t>(HWY_MIN(kRun, n - i))));
  }
  return Step::Join(value, JoinLanes<Step>(total));
}

template <class Step, size_t kVectors>
HWY_INLINE void TakeColumns(const float* x, int64_t rows, int64_t stride, float* values) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V a[kVectors];
  for (size_t k = 0; k < kVectors; ++k) a[k] = Step::Start();
  for (int64_t r = 0; r < rows; ++r, x += stride) {
    for (size_t k = 0; k < kVectors; ++k) a[k] = Step::Take(a[k], hn::LoadU(d, x + k * lanes));
  }
  for (size_t k = 0; k < kVectors; ++k) {
    hn::StoreU(Step::Join(hn::LoadU(d, values + k * lanes), a[k]), d, values + k * lanes);
  }
}

template <class Step>
void ReduceColumns(const float* x, int64_t rows, int64_t stride, int64_t width, float* values) {
  const D d;
  constexpr int64_t kRun = 256;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t first = 0; first < rows; first += kRun, x += kRun * stride) {
    const int64_t count = HWY_MIN(kRun, rows - first);
    int64_t c = 0;
    for (; c + 4 * lanes <= width; c += 4 * lanes) TakeColumns<Step, 4>(x + c, count, stride, values + c);
    for (; c + lanes <= width; c += lanes) TakeColumns<Step, 1>(x + c, count, stride, values + c);
    if (c == width) continue;
    const auto rest = static_cast<size_t>(width - c);
    V a = Step::Start();
    for (int64_t r = 0; r < count; ++r) a = Step::Take(a, LoadPart(d, x + r * stride + c, rest));
    StorePart(Step::Join(LoadPart(d, values + c, rest), a), d, values + c, rest);
  }
}

template <class Step>
void ReduceShortRows(const float* x, int64_t count, int64_t n, float* y) {
  for (int64_t r = 0; r < count; ++r, x += n) {
    float value = Step::First(x[0]);
    for (int64_t i = 1; i < n; ++i) value = Step::Join(value, Step::First(x[i]));
    y[r] = value;
  }
}

void ShortRows(ReduceOp op, const float* x, int64_t count, int64_t n, float* y) {
  switch (op) {
    case ReduceOp::kSumSquares:
      return ReduceShortRows<SquareStep>(x, count, n, y);
    case ReduceOp::kProduct:
      return ReduceShortRows<ProductStep>(x, count, n, y);
    case ReduceOp::kMaximum:
      return ReduceShortRows<MaximumStep>(x, count, n, y);
    case ReduceOp::kMinimum:
      return ReduceShortRows<MinimumStep>(x, count, n, y);
    default:
      return ReduceShortRows<SumStep>(x, count, n, y);
  }
}

float Row(ReduceOp op, const float* x, int64_t n, float value) {
  switch (op) {
    case ReduceOp::kSumSquares:
      return ReduceRow<SquareStep>(x, n, value);
    case ReduceOp::kProduct:
      return ReduceRow<ProductStep>(x, n, value);
    case ReduceOp::kMaximum:
      return ReduceRow<MaximumStep>(x, n, value);
    case ReduceOp::kMinimum:
      return ReduceRow<MinimumStep>(x, n, value);
    default:
      return ReduceRow<SumStep>(x, n, value);
  }
}

void Columns(ReduceOp op, const float* x, int64_t rows, int64_t stride, int64_t width, float* values) {
  switch (op) {
    case ReduceOp::kSumSquares:
      return ReduceColumns<SquareStep>(x, rows, stride, width, values);
    case ReduceOp::kProduct:
      return ReduceColumns<ProductStep>(x, rows, stride, width, values);
    case ReduceOp::kMaximum:
      return ReduceColumns<MaximumStep>(x, rows, stride, width, values);
    case ReduceOp::kMinimum:
      return ReduceColumns<MinimumStep>(x, rows, stride, width, values);
    default:
      return ReduceColumns<SumStep>(x, rows, stride, width, values);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {

ReduceSteps reduce_steps() { return {TENON_BEST_TARGET(Row), TENON_BEST_TARGET(ShortRows), TENON_BEST_TARGET(Columns)}; }

}  // namespace tenon::cpu
#endif
