// Running sums, products and log-sum-exps along an axis.
#include <cmath>
#include <limits>

#include "ops/joining.h"
#include "ops/elementwise.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_scan(InferContext& ctx) {
  ctx.expect_inputs(2);
  const auto axis = ctx.constant_integers(1);
  if (axis && axis->size() == 1 && ctx.input_shape(0).known_rank()) normalize_axis(ctx, (*axis)[0], ctx.input_shape(0).rank());
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

struct LogSumExp {
  template <class C>
  static C start() {
    return -std::numeric_limits<C>::infinity();
  }
  template <class C>
  static C join(C a, C b) {
    if (a != a || b != b) return a + b;
    const C high = std::max(a, b), low = std::min(a, b);
    if (std::isinf(high) && high == low) return high;
    return high + std::log1p(std::exp(low - high));
  }
};

struct Axis {
  std::int64_t outer = 1, size = 1, inner = 1;
};

template <class Step, class T>
void scan(ThreadTeam* team, const T* in, T* out, const Axis& axis, bool exclusive, bool reverse) {
  using C = ComputeType<T>;
  for_shares(team, axis.outer, std::max<std::int64_t>(1, kElementGrain / (axis.size * axis.inner)),
             [&](std::int64_t begin, std::int64_t end) {
               std::vector<C> sums(static_cast<std::size_t>(axis.inner));
               for (std::int64_t o = begin; o < end; ++o) {
                 std::fill(sums.begin(), sums.end(), Step::template start<C>());
                 for (std::int64_t i = 0; i < axis.size; ++i) {
                   const std::int64_t at = (o * axis.size + (reverse ? axis.size - 1 - i : i)) * axis.inner;
                   for (std::int64_t j = 0; j < axis.inner; ++j) {
                     C& sum = sums[static_cast<std::size_t>(j)];
                     const C before = sum;
                     sum = Step::template join<C>(sum, static_cast<C>(in[at + j]));
                     out[at + j] = static_cast<T>(exclusive ? before : sum);
                   }
                 }
               }
             });
}

template <class Step, class Types>
void evaluate_scan(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const std::int64_t wanted = ctx.integer(1);
  if (ctx.input(1).rank() != 0) ctx.fail_node("the axis must be a scalar, it is {}", ctx.input(1).describe());
  Tensor& out = ctx.allocate(0, in.dtype(), in.shape());
  const int at = ctx.normalize_axis(wanted, in.rank());
  Axis axis;
  for (int d = 0; d < in.rank(); ++d) (d < at ? axis.outer : d == at ? axis.size : axis.inner) *= in.dim(d);
  if (in.num_elements() == 0) return;
  const bool exclusive = ctx.attrs().get_or<bool>("exclusive", false), reverse = ctx.attrs().get_or<bool>("reverse", false);
  visit_dtype(Types{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    scan<Step>(ctx.team(), in.flat<T>().data(), out.flat<T>().data(), axis, exclusive, reverse);
  });
}

constexpr ir::OpDef kOps[] = {
    {"cumsum", infer_scan, evaluate_scan<Sum, Numbers>},
    {"cumprod", infer_scan, evaluate_scan<Product, Numbers>},
    {"cumulative_logsumexp", infer_scan, evaluate_scan<LogSumExp, Floats>},
};

constexpr ImportRule kRules[] = {
    {"Cumsum", "cumsum"},
    {"Cumprod", "cumprod"},
    {"CumulativeLogsumexp", "cumulative_logsumexp"},
};

}  // namespace

const OpFamily& scan_family() {
  static const OpFamily family{"scan", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
