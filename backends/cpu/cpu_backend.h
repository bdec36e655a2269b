// The CPU backend: own kernels in float32, for AVX2 and AVX-512.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace tenon {

std::unique_ptr<Backend> make_cpu_backend();

}  // namespace tenon
