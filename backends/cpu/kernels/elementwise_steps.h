// The inner loop of Elementwise: a program on one block of float vectors. Private to elementwise.cc.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/elementwise.h"

namespace tenon::cpu {

// One instruction on slots; a slot is a pointer to a block's floats.
struct ElementwiseStep {
  VectorOp op = VectorOp::kConstant;
  uint8_t to = 0, a = 0, b = 0, c = 0;
  float p = 0, q = 0;
};

// Runs `count` steps on blocks of n floats. Slots may be equal to one another.
using StepsFunction = void(const ElementwiseStep* steps, int64_t count, float* const* slots, int64_t n);

// The build for this CPU.
StepsFunction* elementwise_steps();

}  // namespace tenon::cpu
