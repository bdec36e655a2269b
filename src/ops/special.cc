// Special functions, as Eigen computes them for TensorFlow: gamma, beta, zeta, error and Bessel functions.
#include <cmath>
#include <limits>

// Eigen's special functions need its vector header first.
#include <Eigen/Core>
#include <unsupported/Eigen/SpecialFunctions>

#include "ops/registry.h"
#include "ops/unary.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
namespace numext = Eigen::numext;

constexpr auto kLgamma = [](auto x) { return numext::lgamma(x); };
constexpr auto kDigamma = [](auto x) { return numext::digamma(x); };
constexpr auto kErfinv = [](auto x) {
  using C = decltype(x);
  return numext::ndtri(x / 2 + C(0.5)) * C(0.70710678118654752440);
};
constexpr auto kNdtri = [](auto x) { return x < 0 || x > 1 ? std::numeric_limits<decltype(x)>::quiet_NaN() : numext::ndtri(x); };
constexpr auto kBesselI0 = [](auto x) { return numext::bessel_i0(x); };
constexpr auto kBesselI0e = [](auto x) { return numext::bessel_i0e(x); };
constexpr auto kBesselI1 = [](auto x) { return numext::bessel_i1(x); };
constexpr auto kBesselI1e = [](auto x) { return numext::bessel_i1e(x); };
constexpr auto kBesselJ0 = [](auto x) { return numext::bessel_j0(x); };
constexpr auto kBesselJ1 = [](auto x) { return numext::bessel_j1(x); };
constexpr auto kBesselK0 = [](auto x) { return numext::bessel_k0(x); };
constexpr auto kBesselK0e = [](auto x) { return numext::bessel_k0e(x); };
constexpr auto kBesselK1 = [](auto x) { return numext::bessel_k1(x); };
constexpr auto kBesselK1e = [](auto x) { return numext::bessel_k1e(x); };
constexpr auto kBesselY0 = [](auto x) { return numext::bessel_y0(x); };
constexpr auto kBesselY1 = [](auto x) { return numext::bessel_y1(x); };

constexpr auto kIgamma = [](auto a, auto x) { return numext::igamma(a, x); };
constexpr auto kIgammac = [](auto a, auto x) { return numext::igammac(a, x); };
constexpr auto kIgammaGradA = [](auto a, auto x) { return numext::igamma_der_a(a, x); };
constexpr auto kRandomGammaGrad = [](auto a, auto sample) { return numext::gamma_sample_der_alpha(a, sample); };
constexpr auto kZeta = [](auto x, auto q) { return numext::zeta(x, q); };
constexpr auto kPolygamma = [](auto n, auto x) { return numext::polygamma(n, x); };

void infer_pair(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, dtype_or_attr(ctx, 0), broadcast_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

template <auto f>
void evaluate_pair(EvalContext& ctx) {
  const Tensor a = ctx.input(0), b = ctx.input(1);
  if (a.dtype() != b.dtype()) ctx.fail_node("operands must have one dtype, they are {} and {}", a.describe(), b.describe());
  const auto plan = plan_broadcast<2>(ctx, {&a.shape(), &b.shape()});
  visit_dtype(Floats{}, a.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = ctx.allocate(0, a.dtype(), plan.shape).template flat<T>().data();
    map_pairs(plan, ctx.team(), a.flat<T>().data(), b.flat<T>().data(), out, f);
  });
}

// Operands a, b, x of one shape; scalars repeat.
void infer_betainc(InferContext& ctx) {
  ctx.expect_inputs(3);
  PartialShape shape = ctx.input_shape(0);
  for (int i = 1; i < 3; ++i) shape = broadcast_shapes(ctx, shape, ctx.input_shape(i));
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_betainc(EvalContext& ctx) {
  const Tensor a = ctx.input(0), b = ctx.input(1), x = ctx.input(2);
  const auto plan = plan_broadcast<3>(ctx, {&a.shape(), &b.shape(), &x.shape()});
  for (const Tensor* t : {&a, &b, &x}) {
    if (t->dtype() != a.dtype() || (t->rank() != 0 && t->shape() != plan.shape)) {
      ctx.fail_node("operands must be alike or scalars, they are {}, {} and {}", a.describe(), b.describe(), x.describe());
    }
  }
  visit_dtype(FullFloats{}, a.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *pa = a.flat<T>().data(), *pb = b.flat<T>().data(), *px = x.flat<T>().data();
    T* out = ctx.allocate(0, a.dtype(), plan.shape).template flat<T>().data();
    for_rows<3>(plan, ctx.team(), 1 << 10, [&](std::int64_t at, const std::array<std::int64_t, 3>& offsets, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        out[at + i] = numext::betainc(pa[offsets[0] + i * plan.strides[0].back()], pb[offsets[1] + i * plan.strides[1].back()],
                                      px[offsets[2] + i * plan.strides[2].back()]);
      }
    });
  });
}

constexpr ir::OpDef kOps[] = {
    {"lgamma", infer_same_as_input, evaluate_unary<Floats, kLgamma>},
    {"digamma", infer_same_as_input, evaluate_unary<Floats, kDigamma>},
    {"erfinv", infer_same_as_input, evaluate_unary<Floats, kErfinv>},
    {"ndtri", infer_same_as_input, evaluate_unary<Floats, kNdtri>},
    {"bessel_i0", infer_same_as_input, evaluate_unary<Floats, kBesselI0>},
    {"bessel_i0e", infer_same_as_input, evaluate_unary<Floats, kBesselI0e>},
    {"bessel_i1", infer_same_as_input, evaluate_unary<Floats, kBesselI1>},
    {"bessel_i1e", infer_same_as_input, evaluate_unary<Floats, kBesselI1e>},
    {"bessel_j0", infer_same_as_input, evaluate_unary<Floats, kBesselJ0>},
    {"bessel_j1", infer_same_as_input, evaluate_unary<Floats, kBesselJ1>},
    {"bessel_k0", infer_same_as_input, evaluate_unary<Floats, kBesselK0>},
    {"bessel_k0e", infer_same_as_input, evaluate_unary<Floats, kBesselK0e>},
    {"bessel_k1", infer_same_as_input, evaluate_unary<Floats, kBesselK1>},
    {"bessel_k1e", infer_same_as_input, evaluate_unary<Floats, kBesselK1e>},
    {"bessel_y0", infer_same_as_input, evaluate_unary<Floats, kBesselY0>},
    {"bessel_y1", infer_same_as_input, evaluate_unary<Floats, kBesselY1>},
    {"igamma", infer_pair, evaluate_pair<kIgamma>},
    {"igammac", infer_pair, evaluate_pair<kIgammac>},
    {"igamma_grad_a", infer_pair, evaluate_pair<kIgammaGradA>},
    {"random_gamma_grad", infer_pair, evaluate_pair<kRandomGammaGrad>},
    {"zeta", infer_pair, evaluate_pair<kZeta>},
    {"polygamma", infer_pair, evaluate_pair<kPolygamma>},
    {"betainc", infer_betainc, evaluate_betainc},
};

constexpr ImportRule kRules[] = {
    {"Lgamma", "lgamma"},
    {"Digamma", "digamma"},
    {"Erfinv", "erfinv"},
    {"Ndtri", "ndtri"},
    {"BesselI0", "bessel_i0"},
    {"BesselI0e", "bessel_i0e"},
    {"BesselI1", "bessel_i1"},
    {"BesselI1e", "bessel_i1e"},
    {"BesselJ0", "bessel_j0"},
    {"BesselJ1", "bessel_j1"},
    {"BesselK0", "bessel_k0"},
    {"BesselK0e", "bessel_k0e"},
    {"BesselK1", "bessel_k1"},
    {"BesselK1e", "bessel_k1e"},
    {"BesselY0", "bessel_y0"},
    {"BesselY1", "bessel_y1"},
    {"Igamma", "igamma"},
    {"Igammac", "igammac"},
    {"IgammaGradA", "igamma_grad_a"},
    {"RandomGammaGrad", "random_gamma_grad"},
    {"Zeta", "zeta"},
    {"Polygamma", "polygamma"},
    {"Betainc", "betainc"},
};

}  // namespace

const OpFamily& special_family() {
  static const OpFamily family{"special", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
