// AVX2 vectors for the kernel sources; included by isa_avx2.cc alone, inside its namespace.

constexpr int kLanes = 8;
constexpr int kRegisters = 16;
using Floats = __m256;
typedef int32_t Ints __attribute__((vector_size(32)));

inline Floats load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Floats v) { _mm256_storeu_ps(p, v); }
inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Floats load_first(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
inline void store_first(float* p, Floats v, int64_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
inline Floats splat(float x) { return _mm256_set1_ps(x); }
// Keeps a value that is used several times in a register: compilers like to load it again for every use.
inline void pin(Floats& v) { asm("" : "+x"(v)); }
inline Floats zeros() { return _mm256_setzero_ps(); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
// The second operand where either is NaN.
inline Floats minimum(Floats a, Floats b) { return _mm256_min_ps(a, b); }
inline Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }

// a * 2^n for the integer n, given both as floats and as integers; exact into the subnormals and to infinity.
inline Floats scale_by_power_of_two(Floats a, Floats, Ints n) {
  const Ints half = n >> 1;
  return a * reinterpret_cast<Floats>((half + 127) << 23) * reinterpret_cast<Floats>((n - half + 127) << 23);
}

inline Floats fast_reciprocal(Floats x) { return splat(1.0f) / x; }
