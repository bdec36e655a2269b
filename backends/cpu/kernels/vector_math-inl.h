// Elementary functions on float vectors, for every Highway target. Include inside a Highway translation unit after
// hwy/highway.h; every function takes (tag, vector) and returns a vector. Errors are at most about 5 units in the last place
// (gelu: 5 units of |x|; erfc without fused multiply-add: 64). Subnormal results of exp become zero. NaN goes through;
// limits at +-infinity are those of the function.
#if defined(TENON_CPU_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TENON_CPU_VECTOR_MATH_INL_H_
#undef TENON_CPU_VECTOR_MATH_INL_H_
#else
#define TENON_CPU_VECTOR_MATH_INL_H_
#endif

#include <cmath>
#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Evaluates c0 + c1 x + c2 x^2 + ... by Horner's rule, lowest coefficient first.
template <class D, class V>
HWY_INLINE V Polynomial(D d, V, float c0) {
  return hn::Set(d, c0);
}
template <class D, class V, class... Rest>
HWY_INLINE V Polynomial(D d, V x, float c0, Rest... rest) {
  return hn::MulAdd(Polynomial(d, x, rest...), x, hn::Set(d, c0));
}

// Applies a scalar function to each lane; for functions that are rare or hard.
template <class D, class V, class F>
HWY_INLINE V ForEachLane(D d, V x, F f) {
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(x, d, lanes);
  for (size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = f(lanes[i]);
  return hn::Load(d, lanes);
}

// x = n ln 2 + r with |r| <= ln 2 / 2. `shifted` holds n in its low bits.
template <class V>
struct ExpArgument {
  V shifted;
  V n;
  V r;
};
template <class D, class V>
HWY_INLINE ExpArgument<V> ReduceExp(D d, V x) {
  const V magic = hn::Set(d, 12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  return {shifted, n, r};
}

// e^x.
template <class D, class V>
HWY_INLINE V Exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  const auto a = ReduceExp(d, x);
  V p = Polynomial(d, a.r, 0.5f, 0.166665137f, 0.0416661873f, 0.00836959016f, 0.00139517034f);
  p = hn::Add(hn::MulAdd(hn::Mul(a.r, a.r), p, a.r), hn::Set(d, 1.0f));
  V y = hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, a.shifted))));
  const V above = hn::Add(x, hn::Set(d, std::numeric_limits<float>::infinity()));  // infinity, or NaN
  y = hn::IfThenElse(hn::Le(x, hn::Set(d, 88.7228317f)), y, above);
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3365402f)), y);
}

// e^x for x <= 0 or NaN (softmax: x - max): fewer steps than Exp.
template <class D, class V>
HWY_INLINE V ExpNonPositive(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12583039.0f);  // as in ReduceExp, plus the bias of the exponent
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = Polynomial(d, r, 0.5f, 0.166665137f, 0.0416661873f, 0.00836959016f, 0.00139517034f);
  p = hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), hn::Set(d, 1.0f));
  const V power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, shifted)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3365402f)), hn::Mul(p, power));
}

// e^x - 1, accurate near 0.
template <class D, class V>
HWY_INLINE V Expm1(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V low = hn::Set(d, -20.0f);
  const auto a = ReduceExp(d, hn::Max(low, x));
  const V p = Polynomial(d, a.r, 0.5f, 0.166666672f, 0.0416663438f, 0.00833327137f, 0.0013942048f, 0.000199150163f);
  const V q = hn::MulAdd(hn::Mul(a.r, a.r), p, a.r);
  const V half = hn::Set(d, 0.5f);
  // t = 2^(n-1), so that n = 128 does not overflow before the end.
  const V t = hn::BitCast(d, hn::Add(hn::BitCast(di, half), hn::ShiftLeft<23>(hn::BitCast(di, a.shifted))));
  const V y = hn::MulAdd(t, q, hn::Sub(t, half));
  const V result = hn::IfThenElse(hn::Eq(a.n, hn::Zero(d)), q, hn::Add(y, y));
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, 88.7228317f)), hn::Set(d, std::numeric_limits<float>::infinity()), result);
}

// Natural logarithm of a positive, normal, finite number.
template <class D, class V>
HWY_INLINE V LogPositive(D d, V x, V exponent_bias) {
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, x);
  const auto centre = hn::Set(di, 0x3f2aaaab);  // 2/3: the mantissa lands in [2/3, 4/3)
  const auto e = hn::ShiftRight<23>(hn::Sub(bits, centre));
  const V f = hn::Sub(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(e))), hn::Set(d, 1.0f));
  const V n = hn::Add(hn::ConvertTo(d, e), exponent_bias);
  const V f2 = hn::Mul(f, f);
  const V p = Polynomial(d, f, 0.333332241f, -0.249996886f, 0.200100437f, -0.166854665f, 0.140109196f, -0.121151261f,
                         0.139624506f, -0.131916463f);
  V tail = hn::Mul(hn::Mul(f2, f), p);
  tail = hn::MulAdd(n, hn::Set(d, -2.12194440e-4f), tail);
  tail = hn::NegMulAdd(hn::Set(d, 0.5f), f2, tail);
  return hn::MulAdd(n, hn::Set(d, 0.693359375f), hn::Add(f, tail));
}

// Natural logarithm; -infinity at 0, NaN below.
template <class D, class V>
HWY_INLINE V Log(D d, V x) {
  const V inf = hn::Set(d, std::numeric_limits<float>::infinity());
  const auto small = hn::Lt(x, hn::Set(d, std::numeric_limits<float>::min()));
  const V scaled = hn::IfThenElse(small, hn::Mul(x, hn::Set(d, 8388608.0f)), x);
  V y = LogPositive(d, scaled, hn::IfThenElseZero(small, hn::Set(d, -23.0f)));
  y = hn::IfThenElse(hn::Lt(x, inf), y, x);  // +inf and NaN
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(inf), y);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, std::numeric_limits<float>::quiet_NaN()), y);
}

// log(1 + x), accurate near 0.
template <class D, class V>
HWY_INLINE V Log1p(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V u = hn::Add(one, x);
  const V lost = hn::Sub(x, hn::Sub(u, one));
  const V y = Log(d, u);
  const V corrected = hn::Add(y, hn::Div(lost, u));
  const auto regular = hn::And(hn::Gt(u, hn::Zero(d)), hn::Lt(u, hn::Set(d, std::numeric_limits<float>::infinity())));
  return hn::IfThenElse(hn::Eq(u, one), x, hn::IfThenElse(regular, corrected, y));
}

template <class D, class V>
HWY_INLINE V Tanh(D d, V x) {
  const V t = Expm1(d, hn::Min(hn::Set(d, 20.0f), hn::Mul(hn::Set(d, 2.0f), hn::Abs(x))));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, 2.0f))), x);
}

// 1 / (1 + e^-x).
template <class D, class V>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

template <class D, class V>
HWY_INLINE V Erf(D d, V x) {
  const V limit = hn::Set(d, 4.1f);  // here the quotient is surely above 1, and cut to 1 below
  const V one = hn::Set(d, 1.0f);
  const V c = hn::Max(hn::Neg(limit), hn::Min(limit, x));
  const V z = hn::Mul(c, c);
  const V p = Polynomial(d, z, 1.12837915f, 0.190783781f, 0.0527902805f, 0.00377960753f, 0.000284808645f, 2.04197213e-06f);
  const V q = Polynomial(d, z, 1.0f, 0.502410443f, 0.114257503f, 0.0149974337f, 0.00116521247f, 3.80040913e-05f);
  const V y = hn::Div(hn::Mul(c, p), q);
  return hn::Max(hn::Neg(one), hn::Min(one, y));
}

// 1 - erf(x), with small relative error in the right tail.
template <class D, class V>
HWY_INLINE V Erfc(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V three = hn::Set(d, 3.0f);
  const V a = hn::Min(hn::Set(d, 10.2f), hn::Abs(x));
  const V t = hn::Div(three, hn::Add(three, a));
  const V p = hn::Mul(t, Polynomial(d, t, 0.188036442f, 0.188672334f, 0.171541065f, 0.191603407f, -0.000372259325f,
                                    0.400659204f, -0.437788337f, 0.533213198f, -0.291088969f, 0.0555239283f));
  // e^(-a^2) with the square's rounding error put back (where the target multiplies and adds in one rounding).
  const V s = hn::Mul(a, a);
  const V lost = hn::MulSub(a, a, s);
  const V tail = hn::Mul(hn::Mul(Exp(d, hn::Neg(s)), hn::Sub(one, lost)), p);
  const V far = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Sub(hn::Set(d, 2.0f), tail), tail);
  return hn::IfThenElse(hn::Lt(hn::Abs(x), hn::Set(d, 0.5f)), hn::Sub(one, Erf(d, x)), far);
}

// x/2 (1 + erf(x / sqrt 2)).
template <class D, class V>
HWY_INLINE V GeluErf(D d, V x) {
  const V half = hn::Mul(hn::Set(d, 0.5f), x);
  return hn::MulAdd(half, Erf(d, hn::Mul(x, hn::Set(d, 0.707106781f))), half);
}

// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
template <class D, class V>
HWY_INLINE V GeluTanh(D d, V x) {
  const V x2 = hn::Mul(x, x);
  const V inner = hn::Mul(x, hn::MulAdd(x2, hn::Set(d, -0.0713548162726f), hn::Set(d, -1.59576912160573f)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), Exp(d, inner)));
}

// x sigmoid(x).
template <class D, class V>
HWY_INLINE V Swish(D d, V x) {
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), Exp(d, hn::Neg(x))));
}

// log(1 + e^x).
template <class D, class V>
HWY_INLINE V Softplus(D d, V x) {
  return hn::Add(hn::Max(hn::Zero(d), x), Log1p(d, Exp(d, hn::Neg(hn::Abs(x)))));
}

// x / (1 + |x|).
template <class D, class V>
HWY_INLINE V Softsign(D d, V x) {
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), hn::Abs(x)));
}

// Max and Min return their second operand when one is NaN: x stands second, so NaN goes through.
template <class D, class V>
HWY_INLINE V Relu(D d, V x) {
  return hn::Max(hn::Zero(d), x);
}
template <class D, class V>
HWY_INLINE V Relu6(D d, V x) {
  return hn::Min(hn::Set(d, 6.0f), Relu(d, x));
}
template <class D, class V>
HWY_INLINE V LeakyRelu(D d, V x, V alpha) {
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(x, alpha));
}

// relu6(x + 3) / 6.
template <class D, class V>
HWY_INLINE V HardSigmoid(D d, V x) {
  return hn::Mul(Relu6(d, hn::Add(x, hn::Set(d, 3.0f))), hn::Set(d, 1.0f / 6.0f));
}
// x relu6(x + 3) / 6.
template <class D, class V>
HWY_INLINE V HardSwish(D d, V x) {
  return hn::Mul(x, HardSigmoid(d, x));
}

template <class D, class V>
HWY_INLINE V Elu(D d, V x) {
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), Expm1(d, x), x);
}
template <class D, class V>
HWY_INLINE V Selu(D d, V x) {
  const V negative = hn::Mul(hn::Set(d, 1.75809934f), Expm1(d, x));
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), negative, hn::Mul(hn::Set(d, 1.05070099f), x));
}

template <class D, class V>
HWY_INLINE V Sqrt(D, V x) {
  return hn::Sqrt(x);
}
template <class D, class V>
HWY_INLINE V Rsqrt(D d, V x) {
  return hn::Div(hn::Set(d, 1.0f), hn::Sqrt(x));
}

// x = n pi/2 + r; good up to |x| = 8192.
template <class V>
struct CircleArgument {
  V shifted;
  V r;
};
template <class D, class V>
HWY_INLINE CircleArgument<V> ReduceCircle(D d, V x) {
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 0.636619772f), magic);
  const V n = hn::Sub(shifted, magic);
  // pi/2 in four parts of few bits: the first products are exact without fused multiply-add.
  V r = hn::NegMulAdd(n, hn::Set(d, 1.5703125f), x);
  r = hn::NegMulAdd(n, hn::Set(d, 4.83751297e-4f), r);
  r = hn::NegMulAdd(n, hn::Set(d, 7.54953362e-8f), r);
  return {shifted, hn::NegMulAdd(n, hn::Set(d, 2.5633441e-12f), r)};
}
// sin of x + quarter * pi/2.
template <class D, class V>
HWY_INLINE V SinQuarter(D d, V x, int quarter) {
  const hn::RebindToSigned<D> di;
  const auto a = ReduceCircle(d, x);
  const auto n = hn::Add(hn::BitCast(di, a.shifted), hn::Set(di, quarter));
  const V z = hn::Mul(a.r, a.r);
  const V sine =
      hn::MulAdd(hn::Mul(z, a.r), Polynomial(d, z, -0.166666672f, 0.00833332911f, -0.000198393347f, 2.71831163e-06f), a.r);
  const V cosine =
      hn::Add(hn::MulAdd(hn::Mul(z, z), Polynomial(d, z, 0.0416666679f, -0.00138888834f, 2.47995195e-05f, -2.72102312e-07f),
                         hn::Mul(z, hn::Set(d, -0.5f))),
              hn::Set(d, 1.0f));
  const auto odd = hn::RebindMask(d, hn::Ne(hn::And(n, hn::Set(di, 1)), hn::Zero(di)));
  const V sign = hn::BitCast(d, hn::ShiftLeft<31>(hn::ShiftRight<1>(n)));
  return hn::Xor(hn::IfThenElse(odd, cosine, sine), sign);
}
template <class D, class V>
HWY_INLINE V Sin(D d, V x) {
  if (HWY_UNLIKELY(!hn::AllTrue(d, hn::Le(hn::Abs(x), hn::Set(d, 8192.0f))))) {
    return ForEachLane(d, x, [](float v) { return std::sin(v); });
  }
  return SinQuarter(d, x, 0);
}
template <class D, class V>
HWY_INLINE V Cos(D d, V x) {
  if (HWY_UNLIKELY(!hn::AllTrue(d, hn::Le(hn::Abs(x), hn::Set(d, 8192.0f))))) {
    return ForEachLane(d, x, [](float v) { return std::cos(v); });
  }
  return SinQuarter(d, x, 1);
}

// x^y with all of C's special cases.
template <class D, class V>
HWY_INLINE V Pow(D d, V x, V y) {
  HWY_ALIGN float base[hn::MaxLanes(d)];
  HWY_ALIGN float exponent[hn::MaxLanes(d)];
  hn::Store(x, d, base);
  hn::Store(y, d, exponent);
  for (size_t i = 0; i < hn::Lanes(d); ++i) base[i] = std::pow(base[i], exponent[i]);
  return hn::Load(d, base);
}

template <class D, class V>
HWY_INLINE V Floor(D, V x) {
  return hn::Floor(x);
}
template <class D, class V>
HWY_INLINE V Ceil(D, V x) {
  return hn::Ceil(x);
}
// To the nearest integer, ties to even.
template <class D, class V>
HWY_INLINE V Round(D, V x) {
  return hn::Round(x);
}
// -1, 0 or 1; NaN stays.
template <class D, class V>
HWY_INLINE V Sign(D d, V x) {
  const V unit = hn::CopySign(hn::Set(d, 1.0f), x);
  return hn::IfThenElse(hn::Or(hn::Eq(x, hn::Zero(d)), hn::IsNaN(x)), x, unit);
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#endif  // TENON_CPU_VECTOR_MATH_INL_H_
