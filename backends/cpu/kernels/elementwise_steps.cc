#include "backends/cpu/kernels/elementwise_steps.h"

#include <algorithm>
#include <cmath>

#include "backends/cpu/kernels/dispatch.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/elementwise_steps.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/partial-inl.h"
#include "backends/cpu/kernels/vector_math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

// What a step reads and writes.
struct Lines {
  const float* a;
  const float* b;
  const float* c;
  float* to;
  size_t n;
};

template <class F>
HWY_INLINE void Unary(const Lines& lines, F f) {
  const D d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= lines.n; i += hn::Lanes(d)) hn::StoreU(f(d, hn::LoadU(d, lines.a + i)), d, lines.to + i);
  const size_t rest = lines.n - i;
  if (rest != 0) StorePart(f(d, LoadPart(d, lines.a + i, rest)), d, lines.to + i, rest);
}

template <class F>
HWY_INLINE void Binary(const Lines& lines, F f) {
  const D d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= lines.n; i += hn::Lanes(d)) {
    hn::StoreU(f(d, hn::LoadU(d, lines.a + i), hn::LoadU(d, lines.b + i)), d, lines.to + i);
  }
  const size_t rest = lines.n - i;
  if (rest != 0) StorePart(f(d, LoadPart(d, lines.a + i, rest), LoadPart(d, lines.b + i, rest)), d, lines.to + i, rest);
}

template <class F>
HWY_INLINE void Ternary(const Lines& lines, F f) {
  const D d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= lines.n; i += hn::Lanes(d)) {
    hn::StoreU(f(d, hn::LoadU(d, lines.a + i), hn::LoadU(d, lines.b + i), hn::LoadU(d, lines.c + i)), d, lines.to + i);
  }
  const size_t rest = lines.n - i;
  if (rest == 0) return;
  StorePart(f(d, LoadPart(d, lines.a + i, rest), LoadPart(d, lines.b + i, rest), LoadPart(d, lines.c + i, rest)), d,
            lines.to + i, rest);
}

template <class Mask>
HWY_INLINE V Truth(D d, Mask mask) {
  return hn::IfThenElseZero(mask, hn::Set(d, 1.0f));
}
HWY_INLINE hn::MFromD<D> IsTrue(D d, V v) { return hn::Not(hn::Eq(v, hn::Zero(d))); }  // NaN is true

void Scalar(const Lines& lines, float (*f)(float)) {
  for (size_t i = 0; i < lines.n; ++i) lines.to[i] = f(lines.a[i]);
}
void Scalar(const Lines& lines, float (*f)(float, float)) {
  for (size_t i = 0; i < lines.n; ++i) lines.to[i] = f(lines.a[i], lines.b[i]);
}

inline float floor_mod(float a, float b) {
  const float rest = std::fmod(a, b);
  return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}

#define TENON_UNARY(name, expression) \
  case VectorOp::name:                \
    return Unary(lines, [&](auto d, auto a) HWY_ATTR { return expression; });
#define TENON_BINARY(name, expression)                          \
  case VectorOp::name:                                          \
    return Binary(lines, [&](auto d, auto a, auto b) HWY_ATTR { \
      (void)d;                                                  \
      return expression;                                        \
    });
#define TENON_TERNARY(name, expression)                                  \
  case VectorOp::name:                                                   \
    return Ternary(lines, [&](auto d, auto a, auto b, auto c) HWY_ATTR { \
      (void)d;                                                           \
      return expression;                                                 \
    });
#define TENON_SCALAR(name, expression) \
  case VectorOp::name:                 \
    return Scalar(lines, [](float a) -> float { return expression; });
#define TENON_SCALAR2(name, expression) \
  case VectorOp::name:                  \
    return Scalar(lines, [](float a, float b) -> float { return expression; });

void RunActivation(const ElementwiseStep& step, const Lines& lines) {
  switch (step.op) {
    TENON_UNARY(kTanh, Tanh(d, a))
    TENON_UNARY(kSigmoid, Sigmoid(d, a))
    TENON_UNARY(kErf, Erf(d, a))
    TENON_UNARY(kErfc, Erfc(d, a))
    TENON_UNARY(kGeluErf, GeluErf(d, a))
    TENON_UNARY(kGeluTanh, GeluTanh(d, a))
    TENON_UNARY(kSoftplus, Softplus(d, a))
    TENON_UNARY(kSoftsign, Softsign(d, a))
    TENON_UNARY(kSwish, Swish(d, a))
    TENON_UNARY(kHardSwish, HardSwish(d, a))
    TENON_UNARY(kHardSigmoid, HardSigmoid(d, a))
    TENON_UNARY(kRelu, Relu(d, a))
    TENON_UNARY(kRelu6, Relu6(d, a))
    TENON_UNARY(kElu, Elu(d, a))
    TENON_UNARY(kSelu, Selu(d, a))
    TENON_UNARY(kMish, hn::Mul(a, Tanh(d, Softplus(d, a))))
    TENON_UNARY(kLeakyRelu, LeakyRelu(d, a, hn::Set(d, step.p)))
    TENON_UNARY(kClip, hn::Min(hn::Set(d, step.q), hn::Max(hn::Set(d, step.p), a)))
    default:
      return;
  }
}

void RunUnary(const ElementwiseStep& step, const Lines& lines) {
  switch (step.op) {
    TENON_UNARY(kNeg, ((void)d, hn::Neg(a)))
    TENON_UNARY(kAbs, ((void)d, hn::Abs(a)))
    TENON_UNARY(kSquare, ((void)d, hn::Mul(a, a)))
    TENON_UNARY(kReciprocal, hn::Div(hn::Set(d, 1.0f), a))
    TENON_UNARY(kSqrt, Sqrt(d, a))
    TENON_UNARY(kRsqrt, Rsqrt(d, a))
    TENON_UNARY(kExp, Exp(d, a))
    TENON_UNARY(kExpm1, Expm1(d, a))
    TENON_UNARY(kLog, Log(d, a))
    TENON_UNARY(kLog1p, Log1p(d, a))
    TENON_UNARY(kSin, Sin(d, a))
    TENON_UNARY(kCos, Cos(d, a))
    TENON_SCALAR(kTan, std::tan(a))
    TENON_SCALAR(kAsin, std::asin(a))
    TENON_SCALAR(kAcos, std::acos(a))
    TENON_SCALAR(kAtan, std::atan(a))
    TENON_SCALAR(kSinh, std::sinh(a))
    TENON_SCALAR(kCosh, std::cosh(a))
    TENON_SCALAR(kAsinh, std::asinh(a))
    TENON_SCALAR(kAcosh, std::acosh(a))
    TENON_SCALAR(kAtanh, std::atanh(a))
    TENON_UNARY(kFloor, Floor(d, a))
    TENON_UNARY(kCeil, Ceil(d, a))
    TENON_UNARY(kRound, Round(d, a))
    TENON_UNARY(kTrunc, ((void)d, hn::Trunc(a)))
    TENON_UNARY(kSign, Sign(d, a))
    TENON_UNARY(kNot, Truth(d, hn::Eq(a, hn::Zero(d))))
    TENON_UNARY(kIsNan, Truth(d, hn::IsNaN(a)))
    TENON_UNARY(kIsInf, Truth(d, hn::Eq(hn::Abs(a), hn::Set(d, HUGE_VALF))))
    TENON_UNARY(kIsFinite, Truth(d, hn::Lt(hn::Abs(a), hn::Set(d, HUGE_VALF))))
    TENON_UNARY(kAffine, hn::MulAdd(a, hn::Set(d, step.p), hn::Set(d, step.q)))
    TENON_UNARY(kToBool, Truth(d, IsTrue(d, a)))
    default:
      return RunActivation(step, lines);
  }
}

void RunComparison(const ElementwiseStep& step, const Lines& lines) {
  switch (step.op) {
    TENON_BINARY(kEqual, Truth(d, hn::Eq(a, b)))
    TENON_BINARY(kNotEqual, Truth(d, hn::Not(hn::Eq(a, b))))
    TENON_BINARY(kLess, Truth(d, hn::Lt(a, b)))
    TENON_BINARY(kLessEqual, Truth(d, hn::Le(a, b)))
    TENON_BINARY(kGreater, Truth(d, hn::Gt(a, b)))
    TENON_BINARY(kGreaterEqual, Truth(d, hn::Ge(a, b)))
    TENON_BINARY(kAnd, Truth(d, hn::And(IsTrue(d, a), IsTrue(d, b))))
    TENON_BINARY(kOr, Truth(d, hn::Or(IsTrue(d, a), IsTrue(d, b))))
    TENON_BINARY(kXor, Truth(d, hn::Xor(IsTrue(d, a), IsTrue(d, b))))
    default:
      return RunUnary(step, lines);
  }
}

void RunStep(const ElementwiseStep& step, const Lines& lines) {
  switch (step.op) {
    case VectorOp::kConstant:
      std::fill_n(lines.to, lines.n, step.p);
      return;
      TENON_BINARY(kAdd, hn::Add(a, b))
      TENON_BINARY(kSub, hn::Sub(a, b))
      TENON_BINARY(kMul, hn::Mul(a, b))
      TENON_BINARY(kDiv, hn::Div(a, b))
      TENON_BINARY(kMaximum, hn::IfThenElse(hn::IsNaN(a), a, hn::Max(a, b)))
      TENON_BINARY(kMinimum, hn::IfThenElse(hn::IsNaN(a), a, hn::Min(a, b)))
      TENON_SCALAR2(kPow, std::pow(a, b))
      TENON_BINARY(kSquaredDifference, hn::Mul(hn::Sub(a, b), hn::Sub(a, b)))
      TENON_BINARY(kFloorDiv, hn::Floor(hn::Div(a, b)))
      TENON_SCALAR2(kFloorMod, floor_mod(a, b))
      TENON_SCALAR2(kTruncMod, std::fmod(a, b))
      TENON_SCALAR2(kAtan2, std::atan2(a, b))
      TENON_BINARY(kDivNoNan, hn::IfThenZeroElse(hn::Eq(b, hn::Zero(d)), hn::Div(a, b)))
      TENON_BINARY(kMulNoNan, hn::IfThenZeroElse(hn::Eq(b, hn::Zero(d)), hn::Mul(a, b)))
      TENON_TERNARY(kSelect, hn::IfThenElse(IsTrue(d, a), b, c))
      TENON_TERNARY(kMulAdd, hn::MulAdd(a, b, c))
    default:
      return RunComparison(step, lines);
  }
}

#undef TENON_UNARY
#undef TENON_BINARY
#undef TENON_TERNARY
#undef TENON_SCALAR
#undef TENON_SCALAR2

void RunSteps(const ElementwiseStep* steps, int64_t count, float* const* slots, int64_t n) {
  for (int64_t i = 0; i < count; ++i) {
    const ElementwiseStep& step = steps[i];
    RunStep(step, {slots[step.a], slots[step.b], slots[step.c], slots[step.to], static_cast<size_t>(n)});
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {

StepsFunction* elementwise_steps() { return TENON_BEST_TARGET(RunSteps); }

}  // namespace tenon::cpu
#endif
