// AVX-512 vectors for the kernel sources; included by isa_avx512.cc alone, inside its namespace.

constexpr int kLanes = 16;
constexpr int kRegisters = 32;
using Floats = __m512;
typedef int32_t Ints __attribute__((vector_size(64)));

inline Floats load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Floats v) { _mm512_storeu_ps(p, v); }
inline __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
inline Floats load_first(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store_first(float* p, Floats v, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
inline Floats splat(float x) { return _mm512_set1_ps(x); }
// Keeps a value that is used several times in a register: compilers like to load it again for every use.
inline void pin(Floats& v) { asm("" : "+v"(v)); }
inline Floats zeros() { return _mm512_setzero_ps(); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
// The second operand where either is NaN.
inline Floats minimum(Floats a, Floats b) { return _mm512_min_ps(a, b); }
inline Floats maximum(Floats a, Floats b) { return _mm512_max_ps(a, b); }

// a * 2^n for the integer n, given both as floats and as integers; exact into the subnormals and to infinity.
inline Floats scale_by_power_of_two(Floats a, Floats n, Ints) { return _mm512_scalef_ps(a, n); }

// 1 / x for x of at least 1, infinity included, to about one unit in the last place.
inline Floats fast_reciprocal(Floats x) {
  const Floats r = _mm512_rcp14_ps(x);
  const Floats refined = _mm512_fmadd_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(1.0f)), r);
  return _mm512_mask_mov_ps(refined, _mm512_cmp_ps_mask(x, _mm512_set1_ps(1e38f), _CMP_GT_OQ), r);
}
