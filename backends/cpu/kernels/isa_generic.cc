// The kernels for generic: module.cmake compiles this file alone for that set, so all of it has internal linkage.
#include "backends/cpu/kernels/isa_kernels.h"

#include <cstring>
#include <utility>

namespace tenon::cpu {
namespace {

#include "backends/cpu/kernels/simd_generic.h"
// The vectors come first.
#include "backends/cpu/kernels/kernels.inc"

}  // namespace

const IsaKernels& kernels_generic() {
  static constexpr IsaKernels kKernels = make_kernels(Isa::kGeneric);
  return kKernels;
}

}  // namespace tenon::cpu
