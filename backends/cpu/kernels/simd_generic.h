// Vectors of four for any CPU (the compiler's vector types); included by isa_generic.cc alone, inside its namespace.

constexpr int kLanes = 4;
constexpr int kRegisters = 16;
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));

inline Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }
inline Floats load_first(const float* p, int64_t n) {
  Floats v{};
  for (int64_t i = 0; i < n && i < kLanes; ++i) v[i] = p[i];
  return v;
}
inline void store_first(float* p, Floats v, int64_t n) {
  for (int64_t i = 0; i < n && i < kLanes; ++i) p[i] = v[i];
}
inline Floats splat(float x) { return Floats{x, x, x, x}; }
// Keeps a value that is used several times in a register: compilers like to load it again for every use.
inline void pin(Floats& v) { asm("" : "+x"(v)); }
inline Floats zeros() { return Floats{}; }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return a * b + c; }
// The second operand where either is NaN.
inline Floats minimum(Floats a, Floats b) { return a < b ? a : b; }
inline Floats maximum(Floats a, Floats b) { return a > b ? a : b; }

// a * 2^n for the integer n, given both as floats and as integers; exact into the subnormals and to infinity.
inline Floats scale_by_power_of_two(Floats a, Floats, Ints n) {
  const Ints half = n >> 1;
  return a * reinterpret_cast<Floats>((half + 127) << 23) * reinterpret_cast<Floats>((n - half + 127) << 23);
}

inline Floats fast_reciprocal(Floats x) { return splat(1.0f) / x; }
