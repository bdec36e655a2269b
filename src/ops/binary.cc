// Element-wise ops of two operands with NumPy broadcasting: arithmetic, comparisons, logic, bits; sums of many operands; bias.
#include "ops/arithmetic.h"
#include "ops/elementwise.h"
#include "ops/registry.h"
#include "ops/sizes.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
namespace op_of = arithmetic;

void infer_binary(InferContext& ctx) {
  ctx.expect_inputs(2);
  DataType dtype = dtype_or_attr(ctx, 0);
  if (dtype == DataType::kInvalid) dtype = ctx.input_dtype(1);
  ctx.set_output(0, dtype, broadcast_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

// Arithmetic that sizes go through on their way from Shape to Reshape.
template <SizeFunction f>
void infer_sizes(InferContext& ctx) {
  infer_binary(ctx);
  combine_sizes(ctx, f);
}

void infer_compare(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, DataType::kBool, broadcast_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

// Operands that do not broadcast are simply unequal when incompatible_shape_error is false; the result is then a scalar.
void infer_equal(InferContext& ctx) {
  if (ctx.attrs().get_or<bool>("incompatible_shape_error", true)) return infer_compare(ctx);
  ctx.expect_inputs(2);
  const PartialShape& a = ctx.input_shape(0);
  const PartialShape& b = ctx.input_shape(1);
  PartialShape result;
  if (a.fully_known() && b.fully_known()) {
    const Shape sa = a.to_shape(), sb = b.to_shape();
    const std::array<const Shape*, 2> both = {&sa, &sb};
    Shape shape;
    result = broadcast_shape(both, shape) ? shape : Shape{};
  } else if ((a.known_rank() && a.rank() == 0) || (b.known_rank() && b.rank() == 0)) {
    result = broadcast_shapes(ctx, a, b);
  }
  ctx.set_output(0, DataType::kBool, result);
}

void check_operands(EvalContext& ctx) {
  if (ctx.input(0).dtype() != ctx.input(1).dtype()) {
    ctx.fail_node("operands must have one dtype, they are {} and {}", ctx.input(0).describe(), ctx.input(1).describe());
  }
}

template <class T, class R, class F>
void run_binary(EvalContext& ctx, const Broadcast<2>& plan, DataType result, F f) {
  const T* a = ctx.input(0).flat<T>().data();
  const T* b = ctx.input(1).flat<T>().data();
  Tensor out = result_in_place(ctx, {0, 1}, result, plan.shape);
  map_pairs(plan, ctx.team(), a, b, out.flat<R>().data(), f);
  ctx.set_output(0, std::move(out));
}

template <class Op, class Types>
void evaluate_binary(EvalContext& ctx) {
  check_operands(ctx);
  const auto plan = plan_broadcast<2>(ctx, {&ctx.input(0).shape(), &ctx.input(1).shape()});
  const DataType dtype = ctx.input(0).dtype();
  visit_dtype(Types{}, dtype, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    run_binary<T, T>(ctx, plan, dtype, [](C x, C y) { return Op::template apply<T, C>(x, y); });
  });
}

// As evaluate_binary; an integer divisor of zero is the error it is in TensorFlow.
template <class Op, class Types>
void evaluate_division(EvalContext& ctx) {
  const Tensor& divisor = ctx.input(1);
  if (divisor.num_elements() > 0 && ctx.input(0).num_elements() > 0) {
    visit_dtype(Types{}, divisor.dtype(), ctx.node().describe(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_integral_v<T>) {
        const auto values = divisor.flat<T>();
        if (std::find(values.begin(), values.end(), T(0)) != values.end()) ctx.fail_node("integer division by zero");
      }
    });
  }
  evaluate_binary<Op, Types>(ctx);
}

template <class Types>
void evaluate_pow(EvalContext& ctx) {
  const Tensor& exponent = ctx.input(1);
  if (exponent.num_elements() > 0 && ctx.input(0).num_elements() > 0) {
    visit_dtype(Types{}, exponent.dtype(), ctx.node().describe(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_integral_v<T>) {
        for (T y : exponent.flat<T>()) {
          if (y < 0) ctx.fail_node("integers to negative integer powers are not allowed, found {}", static_cast<std::int64_t>(y));
        }
      }
    });
  }
  evaluate_binary<op_of::Pow, Types>(ctx);
}

void evaluate_add(EvalContext& ctx) {
  if (ctx.input(0).dtype() != DataType::kString) return evaluate_binary<op_of::Add, Numbers>(ctx);
  check_operands(ctx);
  const auto plan = plan_broadcast<2>(ctx, {&ctx.input(0).shape(), &ctx.input(1).shape()});
  run_binary<std::string, std::string>(ctx, plan, DataType::kString, [](const std::string& x, const std::string& y) { return x + y; });
}

template <class Op, class Types>
void evaluate_compare(EvalContext& ctx) {
  check_operands(ctx);
  const auto plan = plan_broadcast<2>(ctx, {&ctx.input(0).shape(), &ctx.input(1).shape()});
  visit_dtype(Types{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    run_binary<T, bool>(ctx, plan, DataType::kBool, [](const C& x, const C& y) { return Op::template apply<T, C>(x, y); });
  });
}

template <class Op>
void evaluate_equal(EvalContext& ctx) {
  if (!ctx.attrs().get_or<bool>("incompatible_shape_error", true)) {
    const std::array<const Shape*, 2> both = {&ctx.input(0).shape(), &ctx.input(1).shape()};
    Shape shape;
    if (!broadcast_shape(both, shape)) {
      ctx.set_output(0, Tensor::scalar(std::is_same_v<Op, op_of::NotEqual>));
      return;
    }
  }
  evaluate_compare<Op, Join<PlainTypes, TypeList<std::string>>>(ctx);
}

void infer_approximate_equal(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, DataType::kBool, merge_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

void evaluate_approximate_equal(EvalContext& ctx) {
  check_operands(ctx);
  if (ctx.input(0).shape() != ctx.input(1).shape()) {
    ctx.fail_node("operands must have one shape, they are {} and {}", ctx.input(0).describe(), ctx.input(1).describe());
  }
  const auto tolerance = ctx.attrs().get_or<float>("tolerance", 1e-5f);
  const auto plan = plan_broadcast<2>(ctx, {&ctx.input(0).shape(), &ctx.input(1).shape()});
  visit_dtype(RealNumbers{}, ctx.input(0).dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    run_binary<T, bool>(ctx, plan, DataType::kBool, [tolerance](C x, C y) {
      return (x < y ? op_of::Sub::apply<T, C>(y, x) : op_of::Sub::apply<T, C>(x, y)) < static_cast<C>(tolerance);
    });
  });
}

void infer_bias_add(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(1, 1);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) {
    const bool channels_first = ctx.attrs().get_or<std::string>("data_format", "NHWC") == "NCHW";
    if (shape.rank() < 2) ctx.fail_node("the value must have at least rank 2, its shape is {}", shape.to_string());
    const int axis = channels_first ? 1 : shape.rank() - 1;
    const PartialShape& bias = ctx.input_shape(1);
    if (bias.known_rank()) {
      if (bias[0].known() && shape[axis].known() && bias[0] != shape[axis]) {
        ctx.fail_node("the bias has {} elements, the value {} channels", bias[0].size(), shape[axis].size());
      }
      if (bias[0].known()) shape[axis] = bias[0];
    }
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_bias_add(EvalContext& ctx) {
  check_operands(ctx);
  const Tensor& value = ctx.input(0);
  const Tensor& bias = ctx.input(1);
  const bool channels_first = ctx.attrs().get_or<std::string>("data_format", "NHWC") == "NCHW";
  if (value.rank() < 2 || bias.rank() != 1) ctx.fail_node("cannot add bias {} to {}", bias.describe(), value.describe());
  const int axis = channels_first ? 1 : value.rank() - 1;
  if (bias.dim(0) != value.dim(axis)) ctx.fail_node("cannot add bias {} to {}", bias.describe(), value.describe());
  std::vector<std::int64_t> dims(static_cast<std::size_t>(value.rank() - axis), 1);
  dims[0] = bias.dim(0);
  const Shape aligned(std::move(dims));
  const auto plan = plan_broadcast<2>(ctx, {&value.shape(), &aligned});
  const DataType dtype = value.dtype();
  visit_dtype(Numbers{}, dtype, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    run_binary<T, T>(ctx, plan, dtype, [](C x, C y) { return op_of::Add::apply<T, C>(x, y); });
  });
}

void infer_add_n(InferContext& ctx) {
  if (ctx.num_inputs() == 0) ctx.fail_node("has no inputs");
  PartialShape shape = ctx.input_shape(0);
  for (int i = 1; i < ctx.num_inputs(); ++i) shape = merge_shapes(ctx, shape, ctx.input_shape(i));
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_add_n(EvalContext& ctx) {
  const DataType dtype = ctx.input(0).dtype();
  const Shape shape = ctx.input(0).shape();
  for (int i = 1; i < ctx.num_inputs(); ++i) {
    if (ctx.input(i).dtype() != dtype || ctx.input(i).shape() != shape) {
      ctx.fail_node("operands must be alike, they are {} and {}", ctx.input(0).describe(), ctx.input(i).describe());
    }
  }
  if (ctx.num_inputs() == 1) return ctx.set_output(0, ctx.take_input(0));
  visit_dtype(Numbers{}, dtype, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    std::vector<const T*> operands;
    for (int i = 0; i < ctx.num_inputs(); ++i) operands.push_back(ctx.input(i).flat<T>().data());
    T* out = ctx.allocate(0, dtype, shape).flat<T>().data();
    for_shares(ctx.team(), shape.num_elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      constexpr std::int64_t kBlock = 256;
      C sum[kBlock];  // 16-bit floats keep float sums
      for (std::int64_t at = begin; at < end; at += kBlock) {
        const std::int64_t count = std::min(kBlock, end - at);
        std::copy_n(operands[0] + at, count, sum);
        for (std::size_t k = 1; k < operands.size(); ++k) {
          for (std::int64_t i = 0; i < count; ++i) sum[i] = op_of::Add::apply<T, C>(sum[i], static_cast<C>(operands[k][at + i]));
        }
        for (std::int64_t i = 0; i < count; ++i) out[at + i] = static_cast<T>(sum[i]);
      }
    });
  });
}

using FloatsAndComplexes = Join<Floats, Complexes>;

constexpr ir::OpDef kOps[] = {
    {"add", infer_sizes<SizeFunction::kAdd>, evaluate_add},
    {"sub", infer_sizes<SizeFunction::kSub>, evaluate_binary<op_of::Sub, Numbers>},
    {"mul", infer_sizes<SizeFunction::kMul>, evaluate_binary<op_of::Mul, Numbers>},
    {"div", infer_sizes<SizeFunction::kDiv>, evaluate_division<op_of::Div, Numbers>},
    {"floor_div", infer_sizes<SizeFunction::kDiv>, evaluate_division<op_of::FloorDiv, RealNumbers>},
    {"truncate_div", infer_sizes<SizeFunction::kDiv>, evaluate_division<op_of::TruncateDiv, RealNumbers>},
    {"floor_mod", infer_sizes<SizeFunction::kMod>, evaluate_division<op_of::FloorMod, RealNumbers>},
    {"truncate_mod", infer_sizes<SizeFunction::kMod>, evaluate_division<op_of::TruncateMod, RealNumbers>},
    {"div_no_nan", infer_binary, evaluate_binary<op_of::DivNoNan, FloatsAndComplexes>},
    {"mul_no_nan", infer_binary, evaluate_binary<op_of::MulNoNan, FloatsAndComplexes>},
    {"xdivy", infer_binary, evaluate_binary<op_of::Xdivy, FloatsAndComplexes>},
    {"xlogy", infer_binary, evaluate_binary<op_of::Xlogy, FloatsAndComplexes>},
    {"xlog1py", infer_binary, evaluate_binary<op_of::Xlog1py, FloatsAndComplexes>},
    {"maximum", infer_sizes<SizeFunction::kMaximum>, evaluate_binary<op_of::Maximum, RealNumbers>},
    {"minimum", infer_sizes<SizeFunction::kMinimum>, evaluate_binary<op_of::Minimum, RealNumbers>},
    {"pow", infer_binary, evaluate_pow<Join<FloatsAndComplexes, SignedIntegers>>},
    {"squared_difference", infer_binary, evaluate_binary<op_of::SquaredDifference, Numbers>},
    {"atan2", infer_binary, evaluate_binary<op_of::Atan2, Floats>},
    {"next_after", infer_binary, evaluate_binary<op_of::NextAfter, FullFloats>},
    {"less", infer_compare, evaluate_compare<op_of::Less, RealNumbers>},
    {"less_equal", infer_compare, evaluate_compare<op_of::LessEqual, RealNumbers>},
    {"greater", infer_compare, evaluate_compare<op_of::Greater, RealNumbers>},
    {"greater_equal", infer_compare, evaluate_compare<op_of::GreaterEqual, RealNumbers>},
    {"equal", infer_equal, evaluate_equal<op_of::Equal>},
    {"not_equal", infer_equal, evaluate_equal<op_of::NotEqual>},
    {"approximate_equal", infer_approximate_equal, evaluate_approximate_equal},
    {"logical_and", infer_compare, evaluate_compare<op_of::LogicalAnd, TypeList<bool>>},
    {"logical_or", infer_compare, evaluate_compare<op_of::LogicalOr, TypeList<bool>>},
    {"bitwise_and", infer_binary, evaluate_binary<op_of::BitwiseAnd, Integers>},
    {"bitwise_or", infer_binary, evaluate_binary<op_of::BitwiseOr, Integers>},
    {"bitwise_xor", infer_binary, evaluate_binary<op_of::BitwiseXor, Integers>},
    {"left_shift", infer_binary, evaluate_binary<op_of::LeftShift, Integers>},
    {"right_shift", infer_binary, evaluate_binary<op_of::RightShift, Integers>},
    {"bias_add", infer_bias_add, evaluate_bias_add},
    {"add_n", infer_add_n, evaluate_add_n},
};

constexpr ImportRule kRules[] = {
    {"Add", "add"},
    {"AddV2", "add"},
    {"Sub", "sub"},
    {"Mul", "mul"},
    {"Div", "div"},
    {"RealDiv", "div"},
    {"FloorDiv", "floor_div"},
    {"TruncateDiv", "truncate_div"},
    {"FloorMod", "floor_mod"},
    {"Mod", "truncate_mod"},
    {"TruncateMod", "truncate_mod"},
    {"DivNoNan", "div_no_nan"},
    {"MulNoNan", "mul_no_nan"},
    {"Xdivy", "xdivy"},
    {"Xlogy", "xlogy"},
    {"Xlog1py", "xlog1py"},
    {"Maximum", "maximum"},
    {"Minimum", "minimum"},
    {"Pow", "pow"},
    {"SquaredDifference", "squared_difference"},
    {"Atan2", "atan2"},
    {"NextAfter", "next_after"},
    {"Less", "less"},
    {"LessEqual", "less_equal"},
    {"Greater", "greater"},
    {"GreaterEqual", "greater_equal"},
    {"Equal", "equal"},
    {"NotEqual", "not_equal"},
    {"ApproximateEqual", "approximate_equal"},
    {"LogicalAnd", "logical_and"},
    {"LogicalOr", "logical_or"},
    {"BitwiseAnd", "bitwise_and"},
    {"BitwiseOr", "bitwise_or"},
    {"BitwiseXor", "bitwise_xor"},
    {"LeftShift", "left_shift"},
    {"RightShift", "right_shift"},
    {"BiasAdd", "bias_add"},
    {"BiasAddV1", "bias_add"},
    {"AddN", "add_n"},
    {"AccumulateNV2", "add_n"},
};

}  // namespace

const OpFamily& binary_family() {
  static const OpFamily family{"binary", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
