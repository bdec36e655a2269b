// How far two tensors are apart.
#pragma once

#include <string>

#include "tenon/tensor.h"

namespace tenon {

struct Difference {
  bool comparable = false;   // same dtype and shape, NaN and infinities at the same places, strings and booleans equal
  std::string problem;       // why not; empty when comparable
  double max_abs = 0;        // largest absolute difference of finite elements
  double scale = 0;          // largest absolute finite element of the first
};

Difference compare(const Tensor& a, const Tensor& b);

}  // namespace tenon
