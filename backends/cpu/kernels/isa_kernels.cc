#include "backends/cpu/kernels/isa_kernels.h"

namespace tenon::cpu {

const IsaKernels& kernels_avx512();
const IsaKernels& kernels_avx2();
const IsaKernels& kernels_generic();

const IsaKernels& isa_kernels(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return kernels_avx512();
    case Isa::kAvx2:
      return kernels_avx2();
    case Isa::kGeneric:
      break;
  }
  return kernels_generic();
}

}  // namespace tenon::cpu
