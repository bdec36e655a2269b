// The inner loops of Reduce. Private to reduce.cc.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/reduce.h"

namespace tenon::cpu {

struct ReduceSteps {
  // Reduces n neighbours and joins the result to `value`.
  float (*row)(ReduceOp op, const float* x, int64_t n, float value);
  // Reduces each of `count` rows of n neighbours that follow one another, 0 < n < 16.
  void (*short_rows)(ReduceOp op, const float* x, int64_t count, int64_t n, float* y);
  // Joins `rows` rows of `width` floats, `stride` apart, to `values`.
  void (*columns)(ReduceOp op, const float* x, int64_t rows, int64_t stride, int64_t width, float* values);
};

// The builds for this CPU. kMean is kSum here.
ReduceSteps reduce_steps();

}  // namespace tenon::cpu
