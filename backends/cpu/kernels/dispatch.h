// Picks one of the builds that foreach_target.h made of a function.
#pragma once

#include "base/cpu_info.h"

namespace tenon::cpu {

// The build for the best instruction set that the CPU has and TENON_MAX_CPU_ISA permits.
template <class Function>
Function* best_target(Function* generic, Function* avx2, Function* avx512) {
  const Isa isa = cpu_info().isa;
  return isa == Isa::kAvx512 ? avx512 : isa == Isa::kAvx2 ? avx2 : generic;
}

}  // namespace tenon::cpu

// Use in the namespace that encloses HWY_NAMESPACE, below #if HWY_ONCE.
#define TENON_BEST_TARGET(function) ::tenon::cpu::best_target(N_SSE4::function, N_AVX2::function, N_AVX3::function)
