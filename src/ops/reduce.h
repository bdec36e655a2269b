// Folding the elements of a tensor along some of its axes.
#pragma once

#include <vector>

#include "ops/elementwise.h"

namespace tenon::ops {

// A tensor's dimensions with runs of kept and of reduced ones merged, outermost first.
struct ReductionPlan {
  struct Axis {
    std::int64_t size, stride;
  };
  std::vector<Axis> kept, reduced;  // each outermost first; the innermost dimension of the tensor is in `inner`
  Axis inner{1, 1};
  bool inner_reduced = false;
  std::int64_t count = 1;  // elements folded into one result
  Shape shape;             // of the result
};

// Axes as operand `i` gives them: in [-rank, rank), none twice.
std::vector<bool> reduced_axes(const ir::EvalContext& ctx, int i, int rank);
ReductionPlan plan_reduction(const Shape& input, const std::vector<bool>& reduced, bool keep_dims);
// The result type of a reduction whose axes are operand 1.
void infer_reduction(ir::InferContext& ctx);

// Calls f(offset) for every combination of the axes, in order.
template <class F>
void for_offsets(const std::vector<ReductionPlan::Axis>& axes, std::int64_t first, std::int64_t last, F&& f) {
  for (std::int64_t i = first; i < last; ++i) {
    std::int64_t offset = 0, rest = i;
    for (std::size_t d = axes.size(); d-- > 0;) {
      offset += rest % axes[d].size * axes[d].stride;
      rest /= axes[d].size;
    }
    f(offset);
  }
}

inline std::int64_t combinations(const std::vector<ReductionPlan::Axis>& axes) {
  std::int64_t count = 1;
  for (const auto& axis : axes) count *= axis.size;
  return count;
}

// Folds `count` elements that lie together, in lanes that the compiler keeps in vectors.
// A Fold has: type Sum; load(T) -> Sum; identity() -> Sum; join(Sum, Sum) -> Sum.
template <class Fold, class T>
typename Fold::Sum fold_run(const T* in, std::int64_t count) {
  using Sum = typename Fold::Sum;
  constexpr int kLanes = 8;
  Sum lanes[kLanes];
  for (Sum& lane : lanes) lane = Fold::identity();
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] = Fold::join(lanes[l], Fold::load(in[i + l]));
  }
  for (; i < count; ++i) lanes[0] = Fold::join(lanes[0], Fold::load(in[i]));
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] = Fold::join(lanes[l], lanes[l + half]);
  }
  return lanes[0];
}

// out[i] = finish(fold of everything that falls on i).
template <class Fold, class T, class R, class Finish>
void reduce(ThreadTeam* team, const ReductionPlan& plan, const T* in, R* out, Finish finish) {
  using Sum = typename Fold::Sum;
  const std::int64_t outer = combinations(plan.kept), folds = combinations(plan.reduced);
  const std::int64_t width = plan.inner_reduced ? 1 : plan.inner.size;
  if (outer * width == 0) return;
  const std::int64_t work = std::max<std::int64_t>(1, folds * plan.inner.size);
  for_shares(team, outer, std::max<std::int64_t>(1, kElementGrain / work), [&](std::int64_t begin, std::int64_t end) {
    std::vector<Sum> sums(static_cast<std::size_t>(width));
    std::int64_t at = begin;
    for_offsets(plan.kept, begin, end, [&](std::int64_t base) {
      std::fill(sums.begin(), sums.end(), Fold::identity());
      for_offsets(plan.reduced, 0, folds, [&](std::int64_t offset) {
        const T* run = in + base + offset;
        if (plan.inner_reduced) {
          sums[0] = Fold::join(sums[0], fold_run<Fold>(run, plan.inner.size));
        } else {
          Sum* s = sums.data();
          for (std::int64_t j = 0; j < width; ++j) s[j] = Fold::join(s[j], Fold::load(run[j]));
        }
      });
      for (std::int64_t j = 0; j < width; ++j) out[at * width + j] = finish(sums[static_cast<std::size_t>(j)]);
      ++at;
    });
  });
}

}  // namespace tenon::ops
