// Element-wise ops of one operand: arithmetic, elementary functions, activations, predicates; clipping.
#include "ops/unary.h"

#include <bit>
#include <cmath>
#include <limits>

#include "ops/arithmetic.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

using FloatsAndComplexes = Join<Floats, Complexes>;
using Signed = Join<Floats, SignedIntegers>;

template <class T>
constexpr bool kIsInteger = std::is_integral_v<T>;

constexpr auto kAbs = [](auto x) {
  using C = decltype(x);
  if constexpr (kIsInteger<C>) {
    return x < 0 ? arithmetic::Sub::apply<C, C>(0, x) : x;
  } else {
    return std::abs(x);
  }
};

constexpr auto kNeg = [](auto x) {
  using C = decltype(x);
  if constexpr (kIsInteger<C>) {
    return arithmetic::Sub::apply<C, C>(0, x);
  } else {
    return -x;
  }
};

// Complex numbers: the point of the unit circle in x's direction.
constexpr auto kSign = [](auto x) -> decltype(x) {
  using C = decltype(x);
  if constexpr (kIsComplex<C>) {
    const auto length = std::abs(x);
    return length == 0 ? C(0) : x / length;
  } else if constexpr (kIsInteger<C>) {
    return static_cast<C>((x > 0) - (x < 0));
  } else {
    if (x != x) return x;
    return static_cast<C>((x > 0) - (x < 0));
  }
};

constexpr auto kSquare = [](auto x) { return arithmetic::Mul::apply<decltype(x), decltype(x)>(x, x); };
constexpr auto kSqrt = [](auto x) { return std::sqrt(x); };
constexpr auto kRsqrt = [](auto x) { return decltype(x)(1) / std::sqrt(x); };
constexpr auto kReciprocal = [](auto x) { return decltype(x)(1) / x; };
constexpr auto kExp = [](auto x) { return std::exp(x); };
constexpr auto kExpm1 = [](auto x) {
  using C = decltype(x);
  if constexpr (kIsComplex<C>) {  // exp(a + bi) - 1 without cancellation near 0
    using R = typename C::value_type;
    const R half_sine = std::sin(x.imag() / 2);
    const R growth = std::expm1(x.real());
    return C(growth * std::cos(x.imag()) - 2 * half_sine * half_sine, (growth + 1) * std::sin(x.imag()));
  } else {
    return std::expm1(x);
  }
};
constexpr auto kLog = [](auto x) { return std::log(x); };
constexpr auto kLog1p = [](auto x) {
  if constexpr (kIsComplex<decltype(x)>) {
    return std::log(decltype(x)(1) + x);
  } else {
    return std::log1p(x);
  }
};
constexpr auto kSin = [](auto x) { return std::sin(x); };
constexpr auto kCos = [](auto x) { return std::cos(x); };
constexpr auto kTan = [](auto x) { return std::tan(x); };
constexpr auto kAsin = [](auto x) { return std::asin(x); };
constexpr auto kAcos = [](auto x) { return static_cast<decltype(x)>(std::acos(x)); };
constexpr auto kAtan = [](auto x) { return std::atan(x); };
constexpr auto kSinh = [](auto x) { return std::sinh(x); };
constexpr auto kCosh = [](auto x) { return std::cosh(x); };
constexpr auto kTanh = [](auto x) { return std::tanh(x); };
constexpr auto kAsinh = [](auto x) { return std::asinh(x); };
constexpr auto kAcosh = [](auto x) { return std::acosh(x); };
constexpr auto kAtanh = [](auto x) { return std::atanh(x); };
constexpr auto kErf = [](auto x) { return std::erf(x); };
constexpr auto kErfc = [](auto x) { return std::erfc(x); };

constexpr auto kSigmoid = [](auto x) {
  using C = decltype(x);
  return C(1) / (C(1) + std::exp(-x));
};

constexpr auto kFloor = [](auto x) { return std::floor(x); };
constexpr auto kCeil = [](auto x) { return std::ceil(x); };
// Halves go to the even neighbour; integers stay.
constexpr auto kRound = [](auto x) {
  if constexpr (kIsInteger<decltype(x)>) {
    return x;
  } else {
    return std::nearbyint(x);
  }
};

constexpr auto kIsNan = [](auto x) { return std::isnan(x); };
constexpr auto kIsInf = [](auto x) { return std::isinf(x); };
constexpr auto kIsFinite = [](auto x) { return std::isfinite(x); };
constexpr auto kLogicalNot = [](bool x) { return !x; };
constexpr auto kInvert = [](auto x) { return static_cast<decltype(x)>(~x); };

// NaN stays NaN.
constexpr auto kRelu = [](auto x) { return x < decltype(x)(0) ? decltype(x)(0) : x; };
constexpr auto kRelu6 = [](auto x) {
  using C = decltype(x);
  return x < C(0) ? C(0) : x > C(6) ? C(6) : x;
};
constexpr auto kElu = [](auto x) { return x < 0 ? std::expm1(x) : x; };
constexpr auto kSelu = [](auto x) {
  using C = decltype(x);
  constexpr C kScale = C(1.0507009873554804934193349852946);
  constexpr C kScaleAlpha = C(1.7580993408473768599402175208123);
  return x < 0 ? kScaleAlpha * std::expm1(x) : kScale * x;
};
constexpr auto kSoftsign = [](auto x) { return x / (std::abs(x) + 1); };

// log(1 + exp(x)), without overflow and without losing small results.
template <class T>
auto softplus(ComputeType<T> x) {
  using C = ComputeType<T>;
  constexpr double kEpsilon = std::is_same_v<T, Half>       ? 0x1p-10
                              : std::is_same_v<T, BFloat16> ? 0x1p-7
                                                            : static_cast<double>(std::numeric_limits<C>::epsilon());
  const C threshold = static_cast<C>(std::log(kEpsilon)) + 2;
  if (x > -threshold) return x;
  const C power = std::exp(x);
  return x < threshold ? power : std::log1p(power);
}

void evaluate_softplus(EvalContext& ctx) {
  visit_dtype(Floats{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    apply_unary<T>(ctx, [](ComputeType<T> x) { return softplus<T>(x); });
  });
}

void evaluate_leaky_relu(EvalContext& ctx) {
  const auto alpha = ctx.attrs().get_or<float>("alpha", 0.2f);
  visit_dtype(Floats{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    apply_unary<T>(ctx, [slope = static_cast<C>(alpha)](C x) { return x > 0 ? x : slope * x; });
  });
}

// The operand itself, provided that it holds neither NaN nor infinity.
void evaluate_check_numerics(EvalContext& ctx) {
  visit_dtype(Floats{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (T stored : ctx.input(0).flat<T>()) {
      const auto value = static_cast<ComputeType<T>>(stored);
      if (std::isfinite(value)) continue;
      ctx.fail_node("{}: the tensor has {} values", ctx.attrs().get_or<std::string>("message", ""), std::isnan(value) ? "NaN" : "Inf");
    }
  });
  ctx.set_output(0, ctx.take_input(0));
}

void infer_population_count(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kUInt8, ctx.input_shape(0));
}

void evaluate_population_count(EvalContext& ctx) {
  visit_dtype(Integers{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Tensor in = ctx.input(0);
    Tensor& out = ctx.allocate(0, DataType::kUInt8, in.shape());
    map_elements(ctx.team(), in.flat<T>().data(), out.flat<std::uint8_t>().data(), in.num_elements(),
                 [](T x) { return std::popcount(static_cast<std::make_unsigned_t<T>>(x)); });
  });
}

void infer_clip_by_value(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

void evaluate_clip_by_value(EvalContext& ctx) {
  const Tensor value = ctx.input(0), low = ctx.input(1), high = ctx.input(2);
  const auto plan = plan_broadcast<3>(ctx, {&value.shape(), &low.shape(), &high.shape()});
  if (plan.shape != value.shape() || low.dtype() != value.dtype() || high.dtype() != value.dtype()) {
    ctx.fail_node("cannot clip {} between {} and {}", value.describe(), low.describe(), high.describe());
  }
  visit_dtype(RealNumbers{}, value.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const T *x = value.flat<T>().data(), *lo = low.flat<T>().data(), *hi = high.flat<T>().data();
    T* out = ctx.allocate(0, value.dtype(), plan.shape).flat<T>().data();
    const std::int64_t sx = plan.strides[0].back(), sl = plan.strides[1].back(), sh = plan.strides[2].back();
    for_rows<3>(plan, ctx.team(), kElementGrain, [&](std::int64_t at, const std::array<std::int64_t, 3>& offsets, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        const C v = x[offsets[0] + i * sx], l = lo[offsets[1] + i * sl], h = hi[offsets[2] + i * sh];
        const C lowered = h < v ? h : v;
        out[at + i] = static_cast<T>(lowered < l ? l : lowered);
      }
    });
  });
}

// Sizes are not negative, so these leave them alone.
void infer_sizes_pass(InferContext& ctx) {
  infer_same_as_input(ctx);
  if (auto dims = ctx.dims(0)) ctx.set_dims(0, *std::move(dims));
}

constexpr ir::OpDef kOps[] = {
    {"abs", infer_sizes_pass, evaluate_unary<Signed, kAbs>},
    {"neg", infer_same_as_input, evaluate_unary<Numbers, kNeg>},
    {"sign", infer_same_as_input, evaluate_unary<Numbers, kSign>},
    {"square", infer_same_as_input, evaluate_unary<Numbers, kSquare>},
    {"sqrt", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kSqrt>},
    {"rsqrt", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kRsqrt>},
    {"reciprocal", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kReciprocal>},
    {"exp", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kExp>},
    {"expm1", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kExpm1>},
    {"log", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kLog>},
    {"log1p", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kLog1p>},
    {"sin", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kSin>},
    {"cos", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kCos>},
    {"tan", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kTan>},
    {"asin", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kAsin>},
    {"acos", infer_same_as_input, evaluate_unary<Join<FloatsAndComplexes, SignedIntegers>, kAcos>},
    {"atan", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kAtan>},
    {"sinh", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kSinh>},
    {"cosh", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kCosh>},
    {"tanh", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kTanh>},
    {"asinh", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kAsinh>},
    {"acosh", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kAcosh>},
    {"atanh", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kAtanh>},
    {"sigmoid", infer_same_as_input, evaluate_unary<FloatsAndComplexes, kSigmoid>},
    {"erf", infer_same_as_input, evaluate_unary<Floats, kErf>},
    {"erfc", infer_same_as_input, evaluate_unary<Floats, kErfc>},
    {"floor", infer_same_as_input, evaluate_unary<Floats, kFloor>},
    {"ceil", infer_same_as_input, evaluate_unary<Floats, kCeil>},
    {"round", infer_sizes_pass, evaluate_unary<RealNumbers, kRound>},
    {"is_nan", infer_predicate, evaluate_predicate<Floats, kIsNan>},
    {"is_inf", infer_predicate, evaluate_predicate<Floats, kIsInf>},
    {"is_finite", infer_predicate, evaluate_predicate<Floats, kIsFinite>},
    {"logical_not", infer_predicate, evaluate_predicate<TypeList<bool>, kLogicalNot>},
    {"invert", infer_same_as_input, evaluate_unary<Integers, kInvert>},
    {"relu", infer_same_as_input, evaluate_unary<RealNumbers, kRelu>},
    {"relu6", infer_same_as_input, evaluate_unary<RealNumbers, kRelu6>},
    {"leaky_relu", infer_same_as_input, evaluate_leaky_relu},
    {"elu", infer_same_as_input, evaluate_unary<Floats, kElu>},
    {"selu", infer_same_as_input, evaluate_unary<Floats, kSelu>},
    {"softplus", infer_same_as_input, evaluate_softplus},
    {"softsign", infer_same_as_input, evaluate_unary<Floats, kSoftsign>},
    {"check_numerics", infer_sizes_pass, evaluate_check_numerics},
    {"population_count", infer_population_count, evaluate_population_count},
    {"clip_by_value", infer_clip_by_value, evaluate_clip_by_value},
};

constexpr ImportRule kRules[] = {
    {"Abs", "abs"},
    {"Neg", "neg"},
    {"Sign", "sign"},
    {"Square", "square"},
    {"Sqrt", "sqrt"},
    {"Rsqrt", "rsqrt"},
    {"Reciprocal", "reciprocal"},
    {"Inv", "reciprocal"},
    {"Exp", "exp"},
    {"Expm1", "expm1"},
    {"Log", "log"},
    {"Log1p", "log1p"},
    {"Sin", "sin"},
    {"Cos", "cos"},
    {"Tan", "tan"},
    {"Asin", "asin"},
    {"Acos", "acos"},
    {"Atan", "atan"},
    {"Sinh", "sinh"},
    {"Cosh", "cosh"},
    {"Tanh", "tanh"},
    {"Asinh", "asinh"},
    {"Acosh", "acosh"},
    {"Atanh", "atanh"},
    {"Sigmoid", "sigmoid"},
    {"Erf", "erf"},
    {"Erfc", "erfc"},
    {"Floor", "floor"},
    {"Ceil", "ceil"},
    {"Round", "round"},
    {"Rint", "round"},
    {"IsNan", "is_nan"},
    {"IsInf", "is_inf"},
    {"IsFinite", "is_finite"},
    {"LogicalNot", "logical_not"},
    {"Invert", "invert"},
    {"Relu", "relu"},
    {"Relu6", "relu6"},
    {"LeakyRelu", "leaky_relu"},
    {"Elu", "elu"},
    {"Selu", "selu"},
    {"Softplus", "softplus"},
    {"Softsign", "softsign"},
    {"CheckNumerics", "check_numerics"},
    {"CheckNumericsV2", "check_numerics"},
    {"PopulationCount", "population_count"},
    {"ClipByValue", "clip_by_value"},
};

}  // namespace

const OpFamily& unary_family() {
  static const OpFamily family{"unary", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
