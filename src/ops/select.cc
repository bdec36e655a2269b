// Choosing and generating elements: select, where, cross products, sequences.
#include <cmath>
#include <limits>

#include "ops/arithmetic.h"
#include "ops/elementwise.h"
#include "ops/registry.h"
#include "ops/sizes.h"
#include "ops/storage.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// Operands condition, then, else. The condition has the others' shape, or is a scalar, or picks whole rows.
void infer_select(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, dtype_or_attr(ctx, 1), merge_shapes(ctx, ctx.input_shape(1), ctx.input_shape(2)));
}

void check_branches(EvalContext& ctx) {
  if (ctx.input(1).dtype() != ctx.input(2).dtype()) {
    ctx.fail_node("both branches must have one dtype, they are {} and {}", ctx.input(1).describe(), ctx.input(2).describe());
  }
}

void select_broadcast(EvalContext& ctx, const Shape& condition_shape) {
  const Tensor condition = ctx.input(0), yes = ctx.input(1), no = ctx.input(2);
  const auto plan = plan_broadcast<3>(ctx, {&condition_shape, &yes.shape(), &no.shape()});
  const bool* chosen = condition.flat<bool>().data();
  Tensor& out = ctx.allocate(0, yes.dtype(), plan.shape);
  const std::int64_t sc = plan.strides[0].back(), sy = plan.strides[1].back(), sn = plan.strides[2].back();
  visit_storage(yes.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    const S *from_yes = stored<S>(yes), *from_no = stored<S>(no);
    S* to = stored<S>(out);
    for_rows<3>(plan, ctx.team(), kElementGrain, [&](std::int64_t at, const std::array<std::int64_t, 3>& offsets, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        to[at + i] = chosen[offsets[0] + i * sc] ? from_yes[offsets[1] + i * sy] : from_no[offsets[2] + i * sn];
      }
    });
  });
}

void evaluate_select(EvalContext& ctx) {
  check_branches(ctx);
  const Tensor &condition = ctx.input(0), &yes = ctx.input(1), &no = ctx.input(2);
  if (yes.shape() != no.shape()) ctx.fail_node("both branches must have one shape, they are {} and {}", yes.describe(), no.describe());
  Shape shape = condition.shape();
  if (shape != yes.shape() && shape.rank() != 0) {
    if (shape.rank() != 1 || yes.rank() == 0 || shape[0] != yes.dim(0)) {
      ctx.fail_node("condition {} does not fit branches {}", condition.describe(), yes.describe());
    }
    while (shape.rank() < yes.rank()) shape.push_back(1);
  }
  select_broadcast(ctx, shape);
}

void infer_select_v2(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape branches = broadcast_shapes(ctx, ctx.input_shape(1), ctx.input_shape(2));
  const PartialShape shape = broadcast_shapes(ctx, ctx.input_shape(0), branches);
  ctx.set_output(0, dtype_or_attr(ctx, 1), shape);
  // A size that both branches agree on does not depend on the condition.
  if (!shape.known_rank() || shape.rank() > 1 || !ctx.input_shape(0).known_rank() || ctx.input_shape(0).rank() != 0) return;
  const auto yes = ctx.dims(1), no = ctx.dims(2);
  if (!yes || !no || yes->size() != no->size()) return;
  std::vector<Dim> sizes;
  for (std::size_t i = 0; i < yes->size(); ++i) sizes.push_back((*yes)[i] == (*no)[i] ? (*yes)[i] : ctx.fresh());
  ctx.set_dims(0, std::move(sizes));
}

void evaluate_select_v2(EvalContext& ctx) {
  check_branches(ctx);
  const Shape shape = ctx.input(0).shape();
  select_broadcast(ctx, shape);
}

void infer_where(InferContext& ctx) {
  ctx.expect_inputs(1);
  const PartialShape& in = ctx.input_shape(0);
  PartialShape shape = ctx.fresh_shape(2);
  if (in.known_rank()) shape[1] = in.rank();
  ctx.set_output(0, DataType::kInt64, shape);
}

// Coordinates [n, rank] of the elements that are not zero, in order.
void evaluate_where(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  if (in.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
  std::vector<std::int64_t> found;
  visit_dtype(PlainTypes{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto values = in.flat<T>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (static_cast<ComputeType<T>>(values[i]) != ComputeType<T>(0)) found.push_back(static_cast<std::int64_t>(i));
    }
  });
  const int rank = in.rank();
  Tensor& out = ctx.allocate(0, DataType::kInt64, Shape{static_cast<std::int64_t>(found.size()), rank});
  std::int64_t* to = out.flat<std::int64_t>().data();
  for (std::size_t n = 0; n < found.size(); ++n) {
    std::int64_t rest = found[n];
    for (int d = rank - 1; d >= 0; --d) {
      to[n * static_cast<std::size_t>(rank) + static_cast<std::size_t>(d)] = rest % in.dim(d);
      rest /= in.dim(d);
    }
  }
}

// Operands flat indices and the dimensions of a tensor; the result [rank, n] (or [rank]) has their coordinates.
void infer_unravel_index(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(1, 1);
  const PartialShape &indices = ctx.input_shape(0), &dims = ctx.input_shape(1);
  PartialShape shape;
  if (indices.known_rank()) {
    const Dim rank = dims.known_rank() ? dims[0] : ctx.fresh();
    const auto count = indices.num_elements();
    shape = indices.rank() == 0 ? PartialShape{rank} : PartialShape{rank, count ? Dim(*count) : indices.rank() == 1 ? indices[0] : ctx.fresh()};
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0, "Tidx"), shape);
}

void evaluate_unravel_index(EvalContext& ctx) {
  const Tensor indices = ctx.input(0);
  const std::vector<std::int64_t> flat = ctx.integers(0), dims = ctx.integers(1);
  if (ctx.input(1).rank() != 1) ctx.fail_node("the dimensions must be a vector, they are {}", ctx.input(1).describe());
  std::int64_t size = 1;
  for (std::int64_t dim : dims) {
    if (dim <= 0 || __builtin_mul_overflow(size, dim, &size)) ctx.fail_node("{} is no dimension here", dim);
  }
  const auto rank = static_cast<std::int64_t>(dims.size()), count = indices.num_elements();
  Tensor& out = ctx.allocate(0, indices.dtype(), indices.rank() == 0 ? Shape{rank} : Shape{rank, count});
  visit_dtype(IndexIntegers{}, indices.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = out.flat<T>().data();
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t rest = flat[static_cast<std::size_t>(i)];
      if (rest < 0 || rest >= size) ctx.fail_node("index {} is outside [0, {})", rest, size);
      for (std::int64_t d = rank - 1; d >= 0; --d) {
        to[d * count + i] = static_cast<T>(rest % dims[static_cast<std::size_t>(d)]);
        rest /= dims[static_cast<std::size_t>(d)];
      }
    }
  });
}

void infer_cross(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, dtype_or_attr(ctx, 0), merge_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

// Vector products along the last dimension, which has three elements.
void evaluate_cross(EvalContext& ctx) {
  const Tensor a = ctx.input(0), b = ctx.input(1);
  if (a.shape() != b.shape() || a.dtype() != b.dtype() || a.rank() == 0 || a.dim(a.rank() - 1) != 3) {
    ctx.fail_node("operands must be alike with last dimension 3, they are {} and {}", a.describe(), b.describe());
  }
  Tensor& out = ctx.allocate(0, a.dtype(), a.shape());
  visit_dtype(RealNumbers{}, a.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    using arithmetic::Mul, arithmetic::Sub;
    const T *x = a.flat<T>().data(), *y = b.flat<T>().data();
    T* z = out.flat<T>().data();
    for (std::int64_t at = 0; at < a.num_elements(); at += 3) {
      for (int i = 0; i < 3; ++i) {
        const int j = (i + 1) % 3, k = (i + 2) % 3;
        const C left = Mul::apply<T, C>(x[at + j], y[at + k]), right = Mul::apply<T, C>(x[at + k], y[at + j]);
        z[at + i] = static_cast<T>(Sub::apply<T, C>(arithmetic::rounded<T>(left), arithmetic::rounded<T>(right)));
      }
    }
  });
}

void infer_lin_space(InferContext& ctx) {
  ctx.expect_inputs(3);
  const auto count = ctx.dims(2);
  ctx.set_output(0, dtype_or_attr(ctx, 0), PartialShape{count && count->size() == 1 ? (*count)[0] : ctx.fresh()});
}

void evaluate_lin_space(EvalContext& ctx) {
  const Tensor start = ctx.input(0), stop = ctx.input(1);
  const std::int64_t count = ctx.integer(2);
  if (count <= 0) ctx.fail_node("the number of elements is {}, at least 1 is needed", count);
  for (int i = 0; i < 3; ++i) {
    if (ctx.input(i).rank() != 0) ctx.fail_node("operand {} must be a scalar, it is {}", i, ctx.input(i).describe());
  }
  if (stop.dtype() != start.dtype()) ctx.fail_node("start and stop must have one dtype");
  visit_dtype(Floats{}, start.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const C first = start.flat<T>()[0], last = stop.flat<T>()[0];
    const C step = count > 1 ? (last - first) / static_cast<C>(count - 1) : C(0);
    const auto to = ctx.allocate(0, start.dtype(), Shape{count}).template flat<T>();
    for (std::int64_t i = 0; i < count; ++i) to[static_cast<std::size_t>(i)] = static_cast<T>(first + step * static_cast<C>(i));
    if (count > 1) to.back() = static_cast<T>(last);
  });
}

// Operands start, limit, delta. Limits that are sizes give a result of that size.
void infer_range(InferContext& ctx) {
  ctx.expect_inputs(3);
  const DataType dtype = dtype_or_attr(ctx, 0, "Tidx");
  Dim size = ctx.fresh();
  const auto start = ctx.dims(0), limit = ctx.dims(1), delta = ctx.dims(2);
  if (start && limit && delta && start->size() == 1 && limit->size() == 1 && delta->size() == 1 && (*delta)[0] == Dim(1)) {
    if (const auto difference = combine(ctx, SizeFunction::kSub, (*limit)[0], (*start)[0])) size = *difference;
  }
  ctx.set_output(0, dtype, PartialShape{size});
}

// How many elements a range has; throws for a step of zero or away from the limit.
template <class T, class C = ComputeType<T>>
std::int64_t range_size(EvalContext& ctx, C start, C limit, C delta) {
  if (delta == C(0)) ctx.fail_node("the step is zero");
  if (delta > C(0) ? start > limit : start < limit) {
    ctx.fail_node("a range from {} to {} cannot have steps of {}", static_cast<double>(start), static_cast<double>(limit),
                  static_cast<double>(delta));
  }
  if constexpr (std::is_integral_v<C>) {
    using U = std::make_unsigned_t<C>;
    const U distance = delta > 0 ? static_cast<U>(limit) - static_cast<U>(start) : static_cast<U>(start) - static_cast<U>(limit);
    U step = static_cast<U>(delta);
    if (delta < 0) step = U(0) - step;
    const U count = static_cast<U>(distance / step + (distance % step != 0));
    if (static_cast<std::uint64_t>(count) > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      ctx.fail_node("the range has too many elements");
    }
    return static_cast<std::int64_t>(count);
  } else {
    using arithmetic::rounded;
    const C count = std::ceil(std::abs(rounded<T>(rounded<T>(limit - start) / delta)));
    if (!(count < C(1e15))) ctx.fail_node("the range has too many elements");
    return static_cast<std::int64_t>(count);
  }
}

using RangeTypes = Join<Floats, Integers>;

void evaluate_range(EvalContext& ctx) {
  const Tensor start = ctx.input(0), limit = ctx.input(1), delta = ctx.input(2);
  for (int i = 0; i < 3; ++i) {
    if (ctx.input(i).num_elements() != 1 || ctx.input(i).dtype() != start.dtype()) {
      ctx.fail_node("operands must be scalars of one dtype, operand {} is {}", i, ctx.input(i).describe());
    }
  }
  visit_dtype(RangeTypes{}, start.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const C first = start.flat<T>()[0], last = limit.flat<T>()[0], step = delta.flat<T>()[0];
    const std::int64_t count = range_size<T>(ctx, first, last, step);
    T* to = ctx.allocate(0, start.dtype(), Shape{count}).template flat<T>().data();
    for (std::int64_t i = 0; i < count; ++i) {
      to[i] = static_cast<T>(arithmetic::Add::apply<T, C>(first, arithmetic::Mul::apply<T, C>(static_cast<C>(i), step)));
    }
  });
}

constexpr ir::OpDef kOps[] = {
    {"select", infer_select, evaluate_select},
    {"select_v2", infer_select_v2, evaluate_select_v2},
    {"where", infer_where, evaluate_where},
    {"unravel_index", infer_unravel_index, evaluate_unravel_index},
    {"cross", infer_cross, evaluate_cross},
    {"lin_space", infer_lin_space, evaluate_lin_space},
    {"range", infer_range, evaluate_range},
};

constexpr ImportRule kRules[] = {
    {"Select", "select"},
    {"SelectV2", "select_v2"},
    {"Where", "where"},
    {"UnravelIndex", "unravel_index"},
    {"Cross", "cross"},
    {"LinSpace", "lin_space"},
    {"Range", "range"},
};

}  // namespace

const OpFamily& select_family() {
  static const OpFamily family{"select", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
