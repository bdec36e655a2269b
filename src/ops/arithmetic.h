// What the arithmetic ops compute on one pair of elements. S is the stored type, C = ComputeType<S>; signed integers wrap.
#pragma once

#include <cmath>
#include <complex>
#include <type_traits>

#include "base/visit_dtype.h"

namespace tenon::ops::arithmetic {

// The value a 16-bit float keeps of an intermediate result; other types are exact already.
template <class S, class C>
C rounded(C value) {
  if constexpr (kIsHalf<S>) {
    return static_cast<float>(S(value));
  } else {
    return value;
  }
}

template <class C>
using Wrapping = std::make_unsigned_t<std::conditional_t<(sizeof(C) < sizeof(int)), int, C>>;

struct Add {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) return static_cast<C>(static_cast<Wrapping<C>>(x) + static_cast<Wrapping<C>>(y));
    else return x + y;
  }
};

struct Sub {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) return static_cast<C>(static_cast<Wrapping<C>>(x) - static_cast<Wrapping<C>>(y));
    else return x - y;
  }
};

struct Mul {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) return static_cast<C>(static_cast<Wrapping<C>>(x) * static_cast<Wrapping<C>>(y));
    else return x * y;
  }
};

// Integer division truncates; the caller has seen to it that no divisor is zero. min / -1 wraps.
struct Div {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C> && std::is_signed_v<C>) {
      if (y == C(-1)) return Sub::apply<S, C>(0, x);
    }
    return static_cast<C>(x / y);
  }
};

struct TruncateDiv {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) return Div::apply<S, C>(x, y);
    else return std::trunc(rounded<S>(x / y));
  }
};

struct TruncateMod {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) {
      if constexpr (std::is_signed_v<C>) {
        if (y == C(-1)) return 0;
      }
      return static_cast<C>(x % y);
    } else {
      return std::fmod(x, y);
    }
  }
};

struct FloorDiv {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) {
      const C quotient = Div::apply<S, C>(x, y);
      if constexpr (std::is_signed_v<C>) {
        if (((x < 0) != (y < 0)) && TruncateMod::apply<S, C>(x, y) != 0) return static_cast<C>(quotient - 1);
      }
      return quotient;
    } else {
      return std::floor(rounded<S>(x / y));
    }
  }
};

struct FloorMod {
  template <class S, class C>
  static C apply(C x, C y) {
    const C rest = TruncateMod::apply<S, C>(x, y);
    if constexpr (std::is_signed_v<C> || std::is_floating_point_v<C>) {
      if (rest != 0 && (rest < 0) != (y < 0)) return static_cast<C>(rest + y);
    }
    return rest;
  }
};

struct DivNoNan {
  template <class S, class C>
  static C apply(C x, C y) {
    return y == C(0) ? C(0) : x / y;
  }
};

struct MulNoNan {
  template <class S, class C>
  static C apply(C x, C y) {
    return y == C(0) ? C(0) : x * y;
  }
};

struct Xdivy {
  template <class S, class C>
  static C apply(C x, C y) {
    return x == C(0) ? C(0) : x / y;
  }
};

struct Xlogy {
  template <class S, class C>
  static C apply(C x, C y) {
    return x == C(0) ? C(0) : x * std::log(y);
  }
};

struct Xlog1py {
  template <class S, class C>
  static C apply(C x, C y) {
    if (x == C(0)) return C(0);
    if constexpr (kIsComplex<C>) return x * std::log(C(1) + y);
    else return x * std::log1p(y);
  }
};

// NaN when either operand is NaN.
struct Maximum {
  template <class S, class C>
  static C apply(C x, C y) {
    return x < y || y != y ? y : x;
  }
};

struct Minimum {
  template <class S, class C>
  static C apply(C x, C y) {
    return y < x || y != y ? y : x;
  }
};

// Integer exponents are not negative: the caller has checked.
struct Pow {
  template <class S, class C>
  static C apply(C x, C y) {
    if constexpr (std::is_integral_v<C>) {
      C result = 1;
      for (C rest = y; rest > 0; rest = static_cast<C>(rest >> 1)) {
        if (rest & 1) result = Mul::apply<S, C>(result, x);
        x = Mul::apply<S, C>(x, x);
      }
      return result;
    } else {
      return std::pow(x, y);
    }
  }
};

struct SquaredDifference {
  template <class S, class C>
  static C apply(C x, C y) {
    const C difference = rounded<S>(Sub::apply<S, C>(x, y));
    if constexpr (kIsComplex<C>) return difference * std::conj(difference);
    else return Mul::apply<S, C>(difference, difference);
  }
};

struct Atan2 {
  template <class S, class C>
  static C apply(C y, C x) {
    return std::atan2(y, x);
  }
};

struct NextAfter {
  template <class S, class C>
  static C apply(C x, C y) {
    return std::nextafter(x, y);
  }
};

struct BitwiseAnd {
  template <class S, class C>
  static C apply(C x, C y) {
    return static_cast<C>(x & y);
  }
};

struct BitwiseOr {
  template <class S, class C>
  static C apply(C x, C y) {
    return static_cast<C>(x | y);
  }
};

struct BitwiseXor {
  template <class S, class C>
  static C apply(C x, C y) {
    return static_cast<C>(x ^ y);
  }
};

// Counts outside [0, bits) are clamped into it, as TensorFlow does.
template <class C>
int shift_count(C count) {
  constexpr int kLast = static_cast<int>(sizeof(C) * 8) - 1;
  if (count < C(0)) return 0;
  return count > static_cast<C>(kLast) ? kLast : static_cast<int>(count);
}

struct LeftShift {
  template <class S, class C>
  static C apply(C x, C y) {
    return static_cast<C>(static_cast<std::make_unsigned_t<C>>(x) << shift_count(y));
  }
};

struct RightShift {
  template <class S, class C>
  static C apply(C x, C y) {
    return static_cast<C>(x >> shift_count(y));
  }
};

struct LogicalAnd {
  template <class S, class C>
  static bool apply(C x, C y) {
    return x && y;
  }
};

struct LogicalOr {
  template <class S, class C>
  static bool apply(C x, C y) {
    return x || y;
  }
};

struct Less {
  template <class S, class C>
  static bool apply(C x, C y) {
    return x < y;
  }
};

struct LessEqual {
  template <class S, class C>
  static bool apply(C x, C y) {
    return x <= y;
  }
};

struct Greater {
  template <class S, class C>
  static bool apply(C x, C y) {
    return x > y;
  }
};

struct GreaterEqual {
  template <class S, class C>
  static bool apply(C x, C y) {
    return x >= y;
  }
};

struct Equal {
  template <class S, class C>
  static bool apply(const C& x, const C& y) {
    return x == y;
  }
};

struct NotEqual {
  template <class S, class C>
  static bool apply(const C& x, const C& y) {
    return x != y;
  }
};

}  // namespace tenon::ops::arithmetic
