// Pieces of softmax over one row. Include after hwy/highway.h.
#if defined(TENON_CPU_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENON_CPU_SOFTMAX_INL_H_
#undef TENON_CPU_SOFTMAX_INL_H_
#else
#define TENON_CPU_SOFTMAX_INL_H_
#endif

#include <limits>

#include "backends/cpu/kernels/partial-inl.h"
#include "backends/cpu/kernels/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

// The largest of n numbers, -infinity for none; NaN is passed over.
HWY_INLINE float RowMaximum(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  using V = hn::VFromD<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  V m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    m0 = hn::Max(hn::LoadU(d, x + i), m0);
    m1 = hn::Max(hn::LoadU(d, x + i + lanes), m1);
    m2 = hn::Max(hn::LoadU(d, x + i + 2 * lanes), m2);
    m3 = hn::Max(hn::LoadU(d, x + i + 3 * lanes), m3);
  }
  for (; i + lanes <= n; i += lanes) m0 = hn::Max(hn::LoadU(d, x + i), m0);
  if (i < n) m1 = hn::Max(hn::IfThenElse(hn::FirstN(d, n - i), LoadPart(d, x + i, n - i), lowest), m1);
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(m0, m1), hn::Max(m2, m3))));
}

// y = e^(x - maximum); returns the sum. `y` may be `x`.
template <bool kStore>
HWY_INLINE float RowExpSum(const float* x, float* y, size_t n, float maximum) {
  const hn::ScalableTag<float> d;
  using V = hn::VFromD<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const V shift = hn::Set(d, maximum);
  V s0 = hn::Zero(d), s1 = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const V e0 = ExpNonPositive(d, hn::Sub(hn::LoadU(d, x + i), shift));
    const V e1 = ExpNonPositive(d, hn::Sub(hn::LoadU(d, x + i + lanes), shift));
    if (kStore) hn::StoreU(e0, d, y + i);
    if (kStore) hn::StoreU(e1, d, y + i + lanes);
    s0 = hn::Add(s0, e0);
    s1 = hn::Add(s1, e1);
  }
  for (; i < n; i += lanes) {
    const size_t count = HWY_MIN(n - i, lanes);
    if (count == lanes) {
      const V e = ExpNonPositive(d, hn::Sub(hn::LoadU(d, x + i), shift));
      if (kStore) hn::StoreU(e, d, y + i);
      s0 = hn::Add(s0, e);
    } else {
      const V e = ExpNonPositive(d, hn::Sub(LoadPart(d, x + i, count), shift));
      if (kStore) StorePart(e, d, y + i, count);
      s1 = hn::Add(s1, hn::IfThenElseZero(hn::FirstN(d, count), e));
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#endif  // TENON_CPU_SOFTMAX_INL_H_
