#include "base/cpu_info.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tenon {
namespace {

int64_t cache_bytes(int name, int64_t otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<int64_t>(bytes) : otherwise;
}

void detect_features(CpuInfo& info, Isa cap) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  info.isa = std::min(cap, avx512 ? Isa::kAvx512 : avx2 ? Isa::kAvx2 : Isa::kGeneric);
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0, eax1 = 0, unused = 0;
  if (info.isa < Isa::kAvx2 || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return;
  if (eax >= 1) __get_cpuid_count(7, 1, &eax1, &unused, &unused, &unused);
  info.avx_vnni = eax1 >> 4 & 1;
  if (info.isa < Isa::kAvx512) return;
  info.avx512_vnni = ecx >> 11 & 1;
  info.avx512_bf16 = eax1 >> 5 & 1;
  info.avx512_fp16 = edx >> 23 & 1;
  info.amx_tile = edx >> 24 & 1;
  info.amx_bf16 = info.amx_tile && (edx >> 22 & 1);
  info.amx_int8 = info.amx_tile && (edx >> 25 & 1);
#else
  (void)cap;
#endif
}

std::string make_stamp(const CpuInfo& info) {
  std::string stamp = isa_name(info.isa);
  const auto add = [&](bool has, const char* name) { stamp += has ? name : ""; };
  add(info.avx_vnni, "+avxvnni");
  add(info.avx512_vnni, "+vnni");
  add(info.avx512_bf16, "+bf16");
  add(info.avx512_fp16, "+fp16");
  add(info.amx_bf16, "+amxbf16");
  add(info.amx_int8, "+amxint8");
  return stamp;
}

CpuInfo detect() {
  CpuInfo info;
  const char* cap = std::getenv("TENON_MAX_CPU_ISA");
  detect_features(info, parse_isa_cap(cap ? cap : ""));
  info.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  info.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20);
  info.l3_bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE, 8 << 20);
  info.stamp = make_stamp(info);
  return info;
}

}  // namespace

const char* isa_name(Isa isa) noexcept { return isa == Isa::kAvx512 ? "avx512" : isa == Isa::kAvx2 ? "avx2" : "generic"; }

Isa parse_isa_cap(std::string_view value) noexcept {
  const auto is = [&](std::string_view name) {
    return std::equal(value.begin(), value.end(), name.begin(), name.end(),
                      [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; });
  };
  if (is("SSE2") || is("GENERIC")) return Isa::kGeneric;
  return is("AVX2") ? Isa::kAvx2 : Isa::kAvx512;
}

const CpuInfo& cpu_info() {
  static const CpuInfo info = detect();
  return info;
}

}  // namespace tenon
