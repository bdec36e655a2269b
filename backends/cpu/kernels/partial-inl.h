// Loads and stores of fewer elements than a vector holds, which touch no byte outside. Include after hwy/highway.h.
#if defined(TENON_CPU_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENON_CPU_PARTIAL_INL_H_
#undef TENON_CPU_PARTIAL_INL_H_
#else
#define TENON_CPU_PARTIAL_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The first `count` lanes from memory, the others zero; count is less than the vector's lanes.
template <class D>
HWY_INLINE hn::VFromD<D> LoadPart(D d, const float* from, size_t count) {
#if HWY_TARGET == HWY_SSE4
  HWY_ALIGN float lanes[hn::MaxLanes(d)] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(d, lanes);
#else
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#endif
}

// Stores the first `count` lanes.
template <class D>
HWY_INLINE void StorePart(hn::VFromD<D> v, D d, float* to, size_t count) {
#if HWY_TARGET == HWY_SSE4
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) to[i] = lanes[i];
#else
  hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#endif  // TENON_CPU_PARTIAL_INL_H_
