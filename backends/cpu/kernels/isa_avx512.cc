// The kernels for avx512: module.cmake compiles this file alone for that set, so all of it has internal linkage.
#include "backends/cpu/kernels/isa_kernels.h"

#include <immintrin.h>

#include <cstring>
#include <utility>

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns inside immintrin.h

namespace tenon::cpu {
namespace {

#include "backends/cpu/kernels/simd_avx512.h"
// The vectors come first.
#include "backends/cpu/kernels/kernels.inc"

}  // namespace

const IsaKernels& kernels_avx512() {
  static constexpr IsaKernels kKernels = make_kernels(Isa::kAvx512);
  return kKernels;
}

}  // namespace tenon::cpu
