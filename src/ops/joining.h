// Ways to join values one after the other, for scans and reductions by segment: where to start, and one step.
#pragma once

#include "ops/arithmetic.h"

namespace tenon::ops {

struct Sum {
  template <class C>
  static C start() {
    return C(0);
  }
  template <class C>
  static C join(C a, C b) {
    return arithmetic::Add::apply<C, C>(a, b);
  }
};

struct Product {
  template <class C>
  static C start() {
    return C(1);
  }
  template <class C>
  static C join(C a, C b) {
    return arithmetic::Mul::apply<C, C>(a, b);
  }
};

}  // namespace tenon::ops
