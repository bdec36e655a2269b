// What the benches of kernels share: the measured multiply-add peak, buffers, reporting.
#pragma once

#include <benchmark/benchmark.h>
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "base/cpu_info.h"

namespace tenon::bench {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Independent multiply-adds, as many as hide their latency; returns the floating-point operations done.
__attribute__((target("avx512f"))) inline double multiply_add_512(int64_t rounds) {
  __m512 sum[16];
  for (auto& s : sum) s = _mm512_set1_ps(1.0f);
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (auto& s : sum) s = _mm512_fmadd_ps(s, a, b);
  }
  for (auto& s : sum) benchmark::DoNotOptimize(s);
  return static_cast<double>(rounds) * 16 * 32;
}

__attribute__((target("avx2,fma"))) inline double multiply_add_256(int64_t rounds) {
  __m256 sum[12];
  for (auto& s : sum) s = _mm256_set1_ps(1.0f);
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (auto& s : sum) s = _mm256_fmadd_ps(s, a, b);
  }
  for (auto& s : sum) benchmark::DoNotOptimize(s);
  return static_cast<double>(rounds) * 12 * 16;
}

// GFLOP/s of one core in multiply-adds of the widest vectors that kernels may use; 0 where there are none. Measured once.
inline double peak_gflops() {
  static const double peak = [] {
    double best = 0;
    for (int i = 0; i < 20 && cpu_info().isa != Isa::kGeneric; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const double work = cpu_info().isa == Isa::kAvx512 ? multiply_add_512(200000) : multiply_add_256(200000);
      best = std::max(best, work / seconds_since(start) / 1e9);
    }
    return best;
  }();
  return peak;
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float, Free>;

// 64-byte aligned, small values of both signs.
inline Buffer buffer(size_t floats) {
  Buffer p(static_cast<float*>(std::aligned_alloc(64, (floats * sizeof(float) + 128) / 64 * 64)));
  for (size_t i = 0; i < floats; ++i) p.get()[i] = static_cast<float>(static_cast<int>(i * 40503 % 1021) - 510) / 512;
  return p;
}

// Times `body` and reports the fastest run too: neighbours on the machine only ever add time.
template <class Body>
void report(benchmark::State& state, double flops, int threads, Body&& body) {
  double best = 1e30;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
  }
  state.counters["best_us"] = best * 1e6;
  state.counters["GFLOP/s"] = flops / best / 1e9;
  state.counters["of_peak"] = peak_gflops() > 0 ? flops / best / 1e9 / (peak_gflops() * threads) : 0;
}

}  // namespace tenon::bench
