// Reductions along axes: sums, means, products, extremes, logic, norms.
#include "ops/reduce.h"

#include <cmath>
#include <limits>

#include "ops/arithmetic.h"
#include "ops/registry.h"
#include "ops/sizes.h"

namespace tenon::ops {

using ir::EvalContext;
using ir::InferContext;

std::vector<bool> reduced_axes(const EvalContext& ctx, int i, int rank) {
  std::vector<bool> reduced(static_cast<std::size_t>(rank), false);
  for (std::int64_t axis : ctx.integers(i)) {
    const auto at = static_cast<std::size_t>(ctx.normalize_axis(axis, rank));
    if (reduced[at]) ctx.fail_node("axis {} is given twice", axis);
    reduced[at] = true;
  }
  return reduced;
}

ReductionPlan plan_reduction(const Shape& input, const std::vector<bool>& reduced, bool keep_dims) {
  ReductionPlan plan;
  std::int64_t stride = 1;
  std::vector<ReductionPlan::Axis> axes;  // innermost first, neighbours of one kind merged
  std::vector<bool> kinds;
  for (int d = input.rank() - 1; d >= 0; --d) {
    const bool folds = reduced[static_cast<std::size_t>(d)];
    if (folds) plan.count *= input[d];
    if (input[d] != 1) {
      if (!axes.empty() && kinds.back() == folds) {
        axes.back().size *= input[d];
      } else {
        axes.push_back({input[d], stride});
        kinds.push_back(folds);
      }
    }
    stride *= input[d];
  }
  for (std::size_t i = axes.size(); i-- > 0;) {
    if (i == 0) {
      plan.inner = axes[0];
      plan.inner_reduced = kinds[0];
    } else {
      (kinds[i] ? plan.reduced : plan.kept).push_back(axes[i]);
    }
  }
  for (int d = 0; d < input.rank(); ++d) {
    if (!reduced[static_cast<std::size_t>(d)]) {
      plan.shape.push_back(input[d]);
    } else if (keep_dims) {
      plan.shape.push_back(1);
    }
  }
  return plan;
}

namespace {

// The result's shape when the axes are not known: its rank may still be.
PartialShape shape_without_axes(InferContext& ctx, bool keep_dims) {
  const PartialShape& in = ctx.input_shape(0);
  if (!in.known_rank()) return {};
  if (keep_dims) return ctx.fresh_shape(in.rank());
  const PartialShape& axes = ctx.input_shape(1);
  if (!axes.known_rank()) return {};
  const auto count = axes.num_elements();
  if (!count || *count > in.rank()) return {};
  return ctx.fresh_shape(in.rank() - static_cast<int>(*count));
}

PartialShape reduced_shape(InferContext& ctx) {
  const bool keep_dims = ctx.attrs().get_or<bool>("keep_dims", false);
  const auto axes = ctx.constant_integers(1);
  const PartialShape& in = ctx.input_shape(0);
  if (!axes) return shape_without_axes(ctx, keep_dims);
  if (!in.known_rank()) return {};
  std::vector<bool> reduced(static_cast<std::size_t>(in.rank()), false);
  for (std::int64_t axis : *axes) reduced[static_cast<std::size_t>(normalize_axis(ctx, axis, in.rank()))] = true;
  std::vector<Dim> dims;
  for (int d = 0; d < in.rank(); ++d) {
    if (!reduced[static_cast<std::size_t>(d)]) {
      dims.push_back(in[d]);
    } else if (keep_dims) {
      dims.push_back(1);
    }
  }
  return PartialShape(std::move(dims));
}

}  // namespace

void infer_reduction(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, dtype_or_attr(ctx, 0), reduced_shape(ctx));
}

namespace {

// The number of elements of a shape vector.
void infer_prod(InferContext& ctx) {
  infer_reduction(ctx);
  const PartialShape& shape = ctx.node().outputs[0].shape;
  const auto sizes = ctx.dims(0);
  if (!sizes || !ctx.input_shape(0).known_rank() || ctx.input_shape(0).rank() != 1 || !shape.known_rank()) return;
  if (shape.rank() != 0 && shape[0] != Dim(1)) return;
  const auto axes = ctx.constant_integers(1);
  if (!axes || axes->empty()) return;
  std::optional<Dim> product = Dim(1);
  for (Dim size : *sizes) {
    product = combine(ctx, SizeFunction::kMul, *product, size);
    if (!product) return;
  }
  ctx.set_dims(0, {*product});
}

// What elements are summed in: more precision than they have, integers in their own (they wrap).
template <class T>
struct SumTypeOf {
  using type = T;
};
template <>
struct SumTypeOf<float> {
  using type = double;
};
template <>
struct SumTypeOf<Half> {
  using type = float;
};
template <>
struct SumTypeOf<BFloat16> {
  using type = float;
};
template <>
struct SumTypeOf<std::complex<float>> {
  using type = std::complex<double>;
};
template <class T>
using SumType = typename SumTypeOf<T>::type;

template <class T>
struct SumFold {
  using Sum = SumType<T>;
  static Sum identity() { return Sum(0); }
  static Sum load(T x) { return Sum(x); }
  static Sum join(Sum a, Sum b) { return arithmetic::Add::apply<Sum, Sum>(a, b); }
};

template <class T>
struct ProdFold {
  using Sum = SumType<T>;
  static Sum identity() { return Sum(1); }
  static Sum load(T x) { return Sum(x); }
  static Sum join(Sum a, Sum b) { return arithmetic::Mul::apply<Sum, Sum>(a, b); }
};

// Integers are averaged without wrapping.
template <class T>
struct MeanFold {
  using Sum = std::conditional_t<std::is_integral_v<T>, std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>, SumType<T>>;
  static Sum identity() { return Sum(0); }
  static Sum load(T x) { return Sum(x); }
  static Sum join(Sum a, Sum b) { return arithmetic::Add::apply<Sum, Sum>(a, b); }
};

// Sums of |x| squared.
template <class T>
struct SquareFold {
  using Sum = SumType<T>;
  static Sum identity() { return Sum(0); }
  static Sum load(T x) {
    const Sum v(x);
    if constexpr (kIsComplex<T>) return v * std::conj(v);
    else return arithmetic::Mul::apply<Sum, Sum>(v, v);
  }
  static Sum join(Sum a, Sum b) { return arithmetic::Add::apply<Sum, Sum>(a, b); }
};

template <class T>
constexpr ComputeType<T> lowest() {
  using C = ComputeType<T>;
  if constexpr (std::is_floating_point_v<C>) return -std::numeric_limits<C>::infinity();
  else return std::numeric_limits<C>::lowest();
}

template <class T>
constexpr ComputeType<T> highest() {
  using C = ComputeType<T>;
  if constexpr (std::is_floating_point_v<C>) return std::numeric_limits<C>::infinity();
  else return std::numeric_limits<C>::max();
}

template <class T>
struct MaxFold {
  using Sum = ComputeType<T>;
  static Sum identity() { return lowest<T>(); }
  static Sum load(T x) { return x; }
  static Sum join(Sum a, Sum b) { return b > a || b != b ? b : a; }  // a NaN stays: nothing is above it
};

template <class T>
struct MinFold {
  using Sum = ComputeType<T>;
  static Sum identity() { return highest<T>(); }
  static Sum load(T x) { return x; }
  static Sum join(Sum a, Sum b) { return b < a || b != b ? b : a; }
};

struct AllFold {
  using Sum = std::uint8_t;
  static Sum identity() { return 1; }
  static Sum load(bool x) { return x; }
  static Sum join(Sum a, Sum b) { return a & b; }
};

struct AnyFold {
  using Sum = std::uint8_t;
  static Sum identity() { return 0; }
  static Sum load(bool x) { return x; }
  static Sum join(Sum a, Sum b) { return a | b; }
};

// Runs a fold of every type of `Types`; finish(sum, tag, plan) makes the stored result.
template <template <class> class Fold, class Types, class Finish>
void evaluate_fold(EvalContext& ctx, Finish finish) {
  const Tensor in = ctx.input(0);
  const auto plan = plan_reduction(in.shape(), reduced_axes(ctx, 1, in.rank()), ctx.attrs().get_or<bool>("keep_dims", false));
  visit_dtype(Types{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor& out = ctx.allocate(0, in.dtype(), plan.shape);
    reduce<Fold<T>>(ctx.team(), plan, in.flat<T>().data(), out.flat<T>().data(),
                    [&](typename Fold<T>::Sum sum) { return finish(sum, tag, plan); });
  });
}

// The sum as the stored type.
constexpr auto kStore = [](auto sum, auto tag, const ReductionPlan&) {
  using T = typename decltype(tag)::type;
  return T(sum);
};

template <template <class> class Fold, class Types>
void evaluate_plain(EvalContext& ctx) {
  evaluate_fold<Fold, Types>(ctx, kStore);
}

void evaluate_mean(EvalContext& ctx) {
  evaluate_fold<MeanFold, Numbers>(ctx, [](auto sum, auto tag, const ReductionPlan& plan) {
    using T = typename decltype(tag)::type;
    using Sum = decltype(sum);
    if constexpr (std::is_integral_v<Sum>) {
      return static_cast<T>(plan.count == 0 ? Sum(0) : sum / static_cast<Sum>(plan.count));
    } else if constexpr (kIsComplex<T>) {
      return plan.count == 0 ? T(0) : T(sum / Sum(static_cast<double>(plan.count)));
    } else {
      return T(sum / static_cast<Sum>(plan.count));
    }
  });
}

void evaluate_norm(EvalContext& ctx) {
  evaluate_fold<SquareFold, Numbers>(ctx, [](auto sum, auto tag, const ReductionPlan&) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      // An overflown sum may be negative; TensorFlow gives what the CPU makes of an integer from the root's NaN.
      if (sum < 0) return sizeof(T) < 4 ? T(0) : std::numeric_limits<T>::min();
      return static_cast<T>(std::sqrt(static_cast<double>(sum)));
    } else {
      return T(std::sqrt(sum));
    }
  });
}

template <class Fold>
void evaluate_logic(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const auto plan = plan_reduction(in.shape(), reduced_axes(ctx, 1, in.rank()), ctx.attrs().get_or<bool>("keep_dims", false));
  Tensor& out = ctx.allocate(0, DataType::kBool, plan.shape);
  reduce<Fold>(ctx.team(), plan, in.flat<bool>().data(), out.flat<bool>().data(), [](std::uint8_t sum) { return sum != 0; });
}

void infer_l2_loss(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, dtype_or_attr(ctx, 0), Shape{});
}

// Half the sum of the squares.
void evaluate_l2_loss(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  visit_dtype(Floats{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto sum = fold_run<SquareFold<T>>(in.flat<T>().data(), in.num_elements());
    *ctx.allocate(0, in.dtype(), Shape{}).flat<T>().data() = T(sum / 2);
  });
}

constexpr ir::OpDef kOps[] = {
    {"sum", infer_reduction, evaluate_plain<SumFold, Numbers>},
    {"mean", infer_reduction, evaluate_mean},
    {"prod", infer_prod, evaluate_plain<ProdFold, Numbers>},
    {"max", infer_reduction, evaluate_plain<MaxFold, RealNumbers>},
    {"min", infer_reduction, evaluate_plain<MinFold, RealNumbers>},
    {"all", infer_reduction, evaluate_logic<AllFold>},
    {"any", infer_reduction, evaluate_logic<AnyFold>},
    {"euclidean_norm", infer_reduction, evaluate_norm},
    {"l2_loss", infer_l2_loss, evaluate_l2_loss},
};

constexpr ImportRule kRules[] = {
    {"Sum", "sum"},
    {"Mean", "mean"},
    {"Prod", "prod"},
    {"Max", "max"},
    {"Min", "min"},
    {"All", "all"},
    {"Any", "any"},
    {"EuclideanNorm", "euclidean_norm"},
    {"L2Loss", "l2_loss"},
};

}  // namespace

const OpFamily& reduce_family() {
  static const OpFamily family{"reduce", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
