// Loops of element-wise reference kernels: NumPy broadcasting of up to N operands, collapsed to few dimensions, with
// contiguous inner rows that the compiler vectorises, spread over the session's threads when that pays.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/thread_team.h"
#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"

namespace tenon::ops {

// Splits [0, count) into fixed shares of at least `grain` items and runs f(begin, end) on each; serially without a team.
template <class F>
void for_shares(ThreadTeam* team, std::int64_t count, std::int64_t grain, F&& f) {
  constexpr std::int64_t kMaxShares = 16;
  const std::int64_t shares = std::clamp<std::int64_t>(count / std::max<std::int64_t>(grain, 1), 1, kMaxShares);
  if (team == nullptr || shares == 1) {
    if (count > 0) f(std::int64_t{0}, count);
    return;
  }
  team->parallel(static_cast<int>(shares), [&](int share) { f(count * share / shares, count * (share + 1) / shares); });
}

// How N operands are walked to fill a result of their common shape.
template <int N>
struct Broadcast {
  Shape shape;                                        // of the result
  std::vector<std::int64_t> sizes;                    // collapsed dimensions, outermost first, never empty
  std::array<std::vector<std::int64_t>, N> strides;   // per operand and collapsed dimension, in elements; 0 repeats
  std::int64_t inner() const { return sizes.back(); }
  std::int64_t rows() const {
    std::int64_t rows = 1;
    for (std::size_t d = 0; d + 1 < sizes.size(); ++d) rows *= sizes[d];
    return rows;
  }
};

// The common shape of the operands; false when they do not broadcast.
bool broadcast_shape(std::span<const Shape* const> operands, Shape& result);
// Collapses dimensions. `strides` and `sizes` are filled for the result shape.
void collapse(std::span<const Shape* const> operands, const Shape& result, std::vector<std::int64_t>& sizes,
              std::span<std::vector<std::int64_t>> strides);

template <int N>
Broadcast<N> plan_broadcast(const ir::EvalContext& ctx, const std::array<const Shape*, N>& operands) {
  Broadcast<N> plan;
  if (!broadcast_shape(operands, plan.shape)) {
    std::string text;
    for (const Shape* shape : operands) text += (text.empty() ? "" : " and ") + shape->to_string();
    ctx.fail_node("shapes {} do not broadcast", text);
  }
  collapse(operands, plan.shape, plan.sizes, plan.strides);
  return plan;
}

// Calls row(result offset, operand offsets, count) for runs along the innermost collapsed dimension.
template <int N, class Row>
void for_rows(const Broadcast<N>& plan, ThreadTeam* team, std::int64_t grain, Row&& row) {
  const std::int64_t inner = plan.inner();
  const std::int64_t rows = plan.rows();
  if (inner == 0 || rows == 0) return;
  const int outer = static_cast<int>(plan.sizes.size()) - 1;
  if (outer == 0) {
    for_shares(team, inner, grain, [&](std::int64_t begin, std::int64_t end) {
      std::array<std::int64_t, N> offsets;
      for (int k = 0; k < N; ++k) offsets[k] = begin * plan.strides[k][0];
      row(begin, offsets, end - begin);
    });
    return;
  }
  for_shares(team, rows, std::max<std::int64_t>(1, grain / inner), [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> index(static_cast<std::size_t>(outer));
    std::array<std::int64_t, N> offsets{};
    std::int64_t rest = begin;
    for (int d = outer - 1; d >= 0; --d) {
      const auto u = static_cast<std::size_t>(d);
      index[u] = rest % plan.sizes[u];
      rest /= plan.sizes[u];
      for (int k = 0; k < N; ++k) offsets[k] += index[u] * plan.strides[k][u];
    }
    for (std::int64_t r = begin; r < end; ++r) {
      row(r * inner, offsets, inner);
      for (int d = outer - 1; d >= 0; --d) {
        const auto u = static_cast<std::size_t>(d);
        for (int k = 0; k < N; ++k) offsets[k] += plan.strides[k][u];
        if (++index[u] < plan.sizes[u]) break;
        for (int k = 0; k < N; ++k) offsets[k] -= index[u] * plan.strides[k][u];
        index[u] = 0;
      }
    }
  });
}

inline constexpr std::int64_t kElementGrain = 1 << 15;

// out[i] = f(in[i]); f takes and returns compute types. `out` may be `in`.
template <class A, class R, class F>
void map_elements(ThreadTeam* team, const A* in, R* out, std::int64_t count, F f) {
  for_shares(team, count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<R>(f(static_cast<ComputeType<A>>(in[i])));
  });
}

// One run of pairs; a step is 1, 0 (the operand repeats) or anything else.
template <class A, class R, class F>
void map_run(const A* a, std::int64_t step_a, const A* b, std::int64_t step_b, R* out, std::int64_t count, F& f) {
  using C = ComputeType<A>;
  if (step_a == 1 && step_b == 1) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<R>(f(static_cast<C>(a[i]), static_cast<C>(b[i])));
  } else if (step_a == 1 && step_b == 0) {
    const C y = static_cast<C>(*b);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<R>(f(static_cast<C>(a[i]), y));
  } else if (step_a == 0 && step_b == 1) {
    const C x = static_cast<C>(*a);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<R>(f(x, static_cast<C>(b[i])));
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] = static_cast<R>(f(static_cast<C>(a[i * step_a]), static_cast<C>(b[i * step_b])));
    }
  }
}

// True for [rows, inner] with few columns whose second operand repeats one row: images and their per-channel numbers.
inline bool repeats_short_row(const Broadcast<2>& plan) {
  constexpr std::int64_t kShort = 32;
  return plan.sizes.size() == 2 && plan.inner() < kShort && plan.sizes[0] >= kShort && plan.strides[0][0] == plan.inner() &&
         plan.strides[0][1] == 1 && plan.strides[1][0] == 0 && plan.strides[1][1] == 1;
}

// out = f(a, b) with broadcasting. `out` may be an operand of the result's shape.
template <class A, class R, class F>
void map_pairs(const Broadcast<2>& plan, ThreadTeam* team, const A* a, const A* b, R* out, F f) {
  if constexpr (std::is_trivially_copyable_v<A>) {
    if (repeats_short_row(plan)) {  // written out a number of times, the row makes long runs
      constexpr std::int64_t kRepeats = 32;
      const std::int64_t inner = plan.inner(), block = inner * kRepeats, count = plan.sizes[0] * inner;
      std::unique_ptr<A[]> repeated(new A[static_cast<std::size_t>(block)]);
      for (std::int64_t i = 0; i < block; ++i) repeated[static_cast<std::size_t>(i)] = b[i % inner];
      for_shares(team, (count + block - 1) / block, std::max<std::int64_t>(1, kElementGrain / block), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin * block; at < std::min(end * block, count); at += block) {
          map_run(a + at, 1, repeated.get(), 1, out + at, std::min(block, count - at), f);
        }
      });
      return;
    }
  }
  const std::int64_t step_a = plan.strides[0].back(), step_b = plan.strides[1].back();
  for_rows<2>(plan, team, kElementGrain, [&](std::int64_t at, const std::array<std::int64_t, 2>& offsets, std::int64_t count) {
    map_run(a + offsets[0], step_a, b + offsets[1], step_b, out + at, count, f);
  });
}

// The operand's tensor to write the result into when nobody else holds it and it has the result's type; else a new tensor.
Tensor result_in_place(ir::EvalContext& ctx, std::initializer_list<int> operands, DataType dtype, const Shape& shape);

// The dtype of operand i, or the attribute `name` when that is not known.
DataType dtype_or_attr(const ir::InferContext& ctx, int i, const char* name = "T");

}  // namespace tenon::ops
