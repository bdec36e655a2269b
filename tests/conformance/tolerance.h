// How far a result may be from TensorFlow's: |got - want| <= relative * |want| + absolute * max(largest |want|, 0.1).
#pragma once

#include "tenon/tensor.h"

namespace tenon::conformance {

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

// Integers, bools and strings are exact.
inline Tolerance tolerance_of(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
    case DataType::kComplex64:
      return {1e-5, 2e-6};
    case DataType::kFloat64:
    case DataType::kComplex128:
      return {1e-11, 1e-12};
    case DataType::kFloat16:
      return {2e-3, 1e-3};
    case DataType::kBFloat16:
      return {1.6e-2, 8e-3};
    default:
      return {};
  }
}

}  // namespace tenon::conformance
