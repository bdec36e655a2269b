// Conversions between element types: casts, bit casts, complex numbers and their parts.
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/elementwise.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// Float to integer as x86 does it, also where C++ leaves it open: what does not fit becomes the smallest number, and narrow
// types take the low bits of the wider conversion.
template <class Wide, class F>
Wide truncate_to(F x) {
  constexpr F kEnd = -static_cast<F>(std::numeric_limits<Wide>::min());
  return x >= -kEnd && x < kEnd ? static_cast<Wide>(x) : std::numeric_limits<Wide>::min();
}

template <class D, class F>
D integer_of(F x) {
  if constexpr (std::is_same_v<D, std::uint64_t>) {
    constexpr F kHalfway = static_cast<F>(9223372036854775808.0);
    if (x < kHalfway) return static_cast<D>(truncate_to<std::int64_t>(x));
    return static_cast<D>(truncate_to<std::int64_t>(x - kHalfway)) ^ (std::uint64_t{1} << 63);
  } else if constexpr (sizeof(D) == 8 || std::is_same_v<D, std::uint32_t>) {
    return static_cast<D>(truncate_to<std::int64_t>(x));
  } else {
    return static_cast<D>(truncate_to<std::int32_t>(x));
  }
}

// One element; S and D are stored types.
template <class D, class S>
D convert(S stored) {
  if constexpr (std::is_same_v<S, D>) {
    return stored;
  } else {
    const ComputeType<S> x = stored;
    if constexpr (kIsComplex<S>) {
      if constexpr (kIsComplex<D>) {
        return D(static_cast<typename D::value_type>(x.real()), static_cast<typename D::value_type>(x.imag()));
      } else if constexpr (std::is_same_v<D, bool>) {
        return x != S(0);
      } else {
        return convert<D>(x.real());
      }
    } else if constexpr (kIsComplex<D>) {
      return D(static_cast<typename D::value_type>(x), 0);
    } else if constexpr (std::is_same_v<D, bool>) {
      return x != ComputeType<S>(0);
    } else if constexpr (std::is_floating_point_v<ComputeType<S>> && std::is_integral_v<D>) {
      return integer_of<D>(x);
    } else if constexpr (kIsHalf<D>) {
      return D(static_cast<float>(x));
    } else {
      return static_cast<D>(x);
    }
  }
}

template <class S, class D>
void cast_elements(EvalContext& ctx, const Tensor& in, Tensor& out) {
  const S* from = in.flat<S>().data();
  D* to = out.flat<D>().data();
  for_shares(ctx.team(), in.num_elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = convert<D>(from[i]);
  });
}

// Clears the bits that the narrower float cannot hold, so that rounding becomes truncation.
float without_tail(float value, int kept_bits) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7f800000u) != 0x7f800000u) bits &= ~((1u << (23 - kept_bits)) - 1);
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

double without_tail(double value, int kept_bits) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7ff0000000000000u) != 0x7ff0000000000000u) bits &= ~((std::uint64_t{1} << (52 - kept_bits)) - 1);
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

// The operand of a truncating cast with its excess bits cleared.
Tensor truncated(const Tensor& in, DataType target) {
  const int kept = target == DataType::kFloat16 ? 10 : target == DataType::kBFloat16 ? 7 : target == DataType::kFloat32 ? 23 : 52;
  Tensor out = in;
  if (in.dtype() == DataType::kFloat64 && kept < 52) {
    out = in.clone();
    for (double& v : out.flat<double>()) v = without_tail(v, kept);
  } else if (in.dtype() == DataType::kFloat32 && kept < 23) {
    out = in.clone();
    for (float& v : out.flat<float>()) v = without_tail(v, kept);
  }
  return out;
}

void infer_cast(InferContext& ctx) {
  ctx.expect_inputs(1);
  const auto target = ctx.attrs().get<DataType>("DstT");
  ctx.set_output(0, target, ctx.input_shape(0));
  if (target != DataType::kInt32 && target != DataType::kInt64) return;
  if (auto dims = ctx.dims(0)) ctx.set_dims(0, *std::move(dims));
}

void evaluate_cast(EvalContext& ctx) {
  const auto target = ctx.attrs().get<DataType>("DstT");
  if (target == ctx.input(0).dtype()) return ctx.set_output(0, ctx.take_input(0));
  Tensor in = ctx.input(0);
  if (ctx.attrs().get_or<bool>("Truncate", false)) in = truncated(in, target);
  Tensor& out = ctx.allocate(0, target, in.shape());
  const std::string who = ctx.node().describe();
  visit_dtype(PlainTypes{}, in.dtype(), who, [&](auto from) {
    using S = typename decltype(from)::type;
    visit_dtype(PlainTypes{}, target, who, [&](auto to) { cast_elements<S, typename decltype(to)::type>(ctx, in, out); });
  });
}

void infer_to_bool(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kBool, Shape{});
}

// A scalar is true when it is not zero (a string: not empty), another tensor when it has elements.
void evaluate_to_bool(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  bool truth = in.num_elements() > 0;
  if (in.rank() == 0) {
    visit_dtype(Join<PlainTypes, TypeList<std::string>>{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_same_v<T, std::string>) truth = !in.flat<T>()[0].empty();
      else truth = convert<bool>(in.flat<T>()[0]);
    });
  }
  ctx.set_output(0, Tensor::scalar(truth));
}

// The shape of the same bytes read as elements of another size: a last dimension is added or taken away.
void infer_bitcast(InferContext& ctx) {
  ctx.expect_inputs(1);
  const auto target = ctx.attrs().get<DataType>("type");
  const auto from = static_cast<std::int64_t>(dtype_size(dtype_or_attr(ctx, 0)));
  const auto to = static_cast<std::int64_t>(dtype_size(target));
  PartialShape shape = ctx.input_shape(0);
  if (from == 0 || to == 0) shape = {};
  if (shape.known_rank() && from > to) {
    shape.dims().push_back(from / to);
  } else if (shape.known_rank() && from < to) {
    if (shape.rank() == 0) ctx.fail_node("a scalar cannot be read as {}", dtype_name(target));
    const Dim last = shape.dims().back();
    if (last.known() && last.size() != to / from) {
      ctx.fail_node("the last dimension of {} must be {}", shape.to_string(), to / from);
    }
    shape.dims().pop_back();
  }
  ctx.set_output(0, target, shape);
}

void evaluate_bitcast(EvalContext& ctx) {
  const auto target = ctx.attrs().get<DataType>("type");
  const Tensor in = ctx.take_input(0);
  const auto from = static_cast<std::int64_t>(dtype_size(in.dtype()));
  const auto to = static_cast<std::int64_t>(dtype_size(target));
  for (DataType dtype : {in.dtype(), target}) {
    if (dtype == DataType::kString || dtype == DataType::kResource || dtype == DataType::kVariant || dtype_size(dtype) == 0) {
      ctx.fail_node("{} has no bits to read as {}", in.describe(), dtype_name(target));
    }
  }
  std::vector<std::int64_t> dims = in.shape().dims();
  if (from > to) {
    dims.push_back(from / to);
  } else if (from < to) {
    if (dims.empty() || dims.back() != to / from) ctx.fail_node("{} cannot be read as {}", in.describe(), dtype_name(target));
    dims.pop_back();
  }
  auto owner = std::make_shared<Tensor>(in);
  ctx.set_output(0, Tensor::borrow(target, Shape(std::move(dims)), owner->data(), owner));
}

DataType part_of(DataType dtype) {
  return dtype == DataType::kComplex128 ? DataType::kFloat64 : dtype == DataType::kComplex64 ? DataType::kFloat32 : dtype;
}

void infer_part(InferContext& ctx) {
  ctx.expect_inputs(1);
  const DataType fallback = part_of(dtype_or_attr(ctx, 0));
  ctx.set_output(0, ctx.attrs().get_or<DataType>("Tout", fallback), ctx.input_shape(0));
}

template <auto f>
void evaluate_part(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  visit_dtype(Complexes{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using R = typename T::value_type;
    Tensor& out = ctx.allocate(0, DataTypeOf<R>::value, in.shape());
    map_elements(ctx.team(), in.flat<T>().data(), out.flat<R>().data(), in.num_elements(), f);
  });
}

constexpr auto kReal = [](auto x) { return x.real(); };
constexpr auto kImag = [](auto x) { return x.imag(); };
constexpr auto kAngle = [](auto x) { return std::arg(x); };
constexpr auto kLength = [](auto x) { return std::abs(x); };

void infer_conj(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

void evaluate_conj(EvalContext& ctx) {
  const Tensor in = ctx.take_input(0);
  if (part_of(in.dtype()) == in.dtype()) return ctx.set_output(0, in);
  visit_dtype(Complexes{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor& out = ctx.allocate(0, in.dtype(), in.shape());
    map_elements(ctx.team(), in.flat<T>().data(), out.flat<T>().data(), in.num_elements(), [](T x) { return std::conj(x); });
  });
}

void infer_complex(InferContext& ctx) {
  ctx.expect_inputs(2);
  const DataType fallback = dtype_or_attr(ctx, 0) == DataType::kFloat64 ? DataType::kComplex128 : DataType::kComplex64;
  ctx.set_output(0, ctx.attrs().get_or<DataType>("Tout", fallback), broadcast_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

void evaluate_complex(EvalContext& ctx) {
  const Tensor real = ctx.input(0), imag = ctx.input(1);
  if (real.dtype() != imag.dtype()) ctx.fail_node("parts must have one dtype, they are {} and {}", real.describe(), imag.describe());
  const auto plan = plan_broadcast<2>(ctx, {&real.shape(), &imag.shape()});
  visit_dtype(FullFloats{}, real.dtype(), ctx.node().describe(), [&](auto tag) {
    using R = typename decltype(tag)::type;
    using T = std::complex<R>;
    Tensor& out = ctx.allocate(0, DataTypeOf<T>::value, plan.shape);
    map_pairs(plan, ctx.team(), real.flat<R>().data(), imag.flat<R>().data(), out.flat<T>().data(), [](R a, R b) { return T(a, b); });
  });
}

constexpr ir::OpDef kOps[] = {
    {"cast", infer_cast, evaluate_cast},
    {"to_bool", infer_to_bool, evaluate_to_bool},
    {"bitcast", infer_bitcast, evaluate_bitcast},
    {"real", infer_part, evaluate_part<kReal>},
    {"imag", infer_part, evaluate_part<kImag>},
    {"angle", infer_part, evaluate_part<kAngle>},
    {"complex_abs", infer_part, evaluate_part<kLength>},
    {"conj", infer_conj, evaluate_conj},
    {"complex", infer_complex, evaluate_complex},
};

constexpr ImportRule kRules[] = {
    {"Cast", "cast"},
    {"ToBool", "to_bool"},
    {"Bitcast", "bitcast"},
    {"Real", "real"},
    {"Imag", "imag"},
    {"Angle", "angle"},
    {"ComplexAbs", "complex_abs"},
    {"Conj", "conj"},
    {"Complex", "complex"},
};

}  // namespace

const OpFamily& cast_family() {
  static const OpFamily family{"cast", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
