// The FMA rate that the CPU reaches on registers alone: the denominator of "share of peak".
#include <immintrin.h>

#include <array>
#include <chrono>
#include <map>
#include <mutex>

#include "base/cpu_info.h"
#include "base/thread_team.h"
#include "tenon/profile.h"

namespace tenon {
namespace {

constexpr int kRounds = 40000;
constexpr int kChains = 12;  // independent accumulators, enough to hide the latency of an FMA

__attribute__((target("avx512f"))) float spin_avx512() {
  __m512 sum[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.999f);
  for (int r = 0; r < kRounds; ++r) {
    // Unrolled, so that the accumulators stay in registers.
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_fmadd_ps(sum[i], a, a);
  }
  float total = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) total += _mm512_cvtss_f32(sum[i]);
  return total;
}

__attribute__((target("avx2,fma"))) float spin_avx2() {
  __m256 sum[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.999f);
  for (int r = 0; r < kRounds; ++r) {
    // Unrolled, so that the accumulators stay in registers.
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = _mm256_fmadd_ps(sum[i], a, a);
  }
  float total = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) total += _mm256_cvtss_f32(sum[i]);
  return total;
}

float spin_generic() {
  __m128 sum[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum[i] = _mm_set1_ps(static_cast<float>(i));
  const __m128 a = _mm_set1_ps(0.999f);
  for (int r = 0; r < kRounds; ++r) {
    // Unrolled, so that the accumulators stay in registers.
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = _mm_add_ps(_mm_mul_ps(sum[i], a), a);
  }
  float total = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) total += _mm_cvtss_f32(sum[i]);
  return total;
}

int lanes(Isa isa) { return isa == Isa::kAvx512 ? 16 : isa == Isa::kAvx2 ? 8 : 4; }

double measure(int threads) {
  const Isa isa = cpu_info().isa;
  ThreadTeam team(threads);
  std::array<volatile float, 256> sink{};
  const auto once = [&] {
    const auto start = std::chrono::steady_clock::now();
    team.parallel(threads, [&](int share) {
      sink[static_cast<std::size_t>(share) % sink.size()] =
          isa == Isa::kAvx512 ? spin_avx512() : isa == Isa::kAvx2 ? spin_avx2() : spin_generic();
    });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double best = once();
  for (int i = 0; i < 30; ++i) best = std::min(best, once());
  return 2.0 * kRounds * kChains * lanes(isa) * threads / best;
}

}  // namespace

double measured_peak_flops(int threads) {
  static std::mutex mutex;
  static std::map<int, double> known;
  const std::lock_guard lock(mutex);
  const auto it = known.find(threads);
  return it != known.end() ? it->second : known[threads] = measure(threads);
}

}  // namespace tenon
