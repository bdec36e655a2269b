// The kernels for avx2: module.cmake compiles this file alone for that set, so all of it has internal linkage.
#include "backends/cpu/kernels/isa_kernels.h"

#include <immintrin.h>

#include <cstring>
#include <utility>

namespace tenon::cpu {
namespace {

#include "backends/cpu/kernels/simd_avx2.h"
// The vectors come first.
#include "backends/cpu/kernels/kernels.inc"

}  // namespace

const IsaKernels& kernels_avx2() {
  static constexpr IsaKernels kKernels = make_kernels(Isa::kAvx2);
  return kKernels;
}

}  // namespace tenon::cpu
