// What the CPU offers: instruction sets, cache sizes, and the stamp that ties a plan to a kind of machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

// Instruction sets that own kernels are compiled for; each includes the ones before it.
enum class Isa : uint8_t {
  kGeneric,  // what every x86-64 CPU has (SSE2)
  kAvx2,     // AVX2 and FMA
  kAvx512,   // AVX-512 F, BW, DQ, VL
};

// "generic", "avx2" or "avx512".
const char* isa_name(Isa isa) noexcept;

struct CpuInfo {
  Isa isa = Isa::kGeneric;  // the best set that the CPU has and TENON_MAX_CPU_ISA permits
  bool avx512_vnni = false, avx512_bf16 = false, avx512_fp16 = false, avx_vnni = false;  // false when capped below
  bool amx_tile = false, amx_bf16 = false, amx_int8 = false;
  int64_t l1_bytes = 0, l2_bytes = 0, l3_bytes = 0;  // data caches of one core; L3 as a whole
  std::string stamp;                                 // such as "avx512+vnni+bf16"; plans with another stamp are rebuilt
};

// Read once per process. The environment variable TENON_MAX_CPU_ISA (SSE2, AVX2, AVX512; any case) caps the sets; other
// values are ignored.
const CpuInfo& cpu_info();

// The cap that `value` names; kAvx512 (no cap) for anything unknown or empty.
Isa parse_isa_cap(std::string_view value) noexcept;

}  // namespace tenon
