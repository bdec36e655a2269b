#include "ops/sizes.h"

#include <algorithm>

namespace tenon::ops {
namespace {

std::optional<Dim> of_known(SizeFunction f, std::int64_t x, std::int64_t y) {
  std::int64_t result = 0;
  switch (f) {
    case SizeFunction::kAdd:
      if (__builtin_add_overflow(x, y, &result)) return std::nullopt;
      break;
    case SizeFunction::kSub:
      result = x - y;
      break;
    case SizeFunction::kMul:
      if (__builtin_mul_overflow(x, y, &result)) return std::nullopt;
      break;
    case SizeFunction::kDiv:
      if (y == 0) return std::nullopt;
      result = x / y;
      break;
    case SizeFunction::kMod:
      if (y == 0) return std::nullopt;
      result = x % y;
      break;
    case SizeFunction::kMaximum:
      result = std::max(x, y);
      break;
    case SizeFunction::kMinimum:
      result = std::min(x, y);
      break;
  }
  if (result < 0) return std::nullopt;
  return Dim(result);
}

// The operand that the result equals whatever the symbol stands for, if there is one.
std::optional<Dim> unchanged(SizeFunction f, Dim x, Dim y) {
  const Dim zero(0), one(1);
  switch (f) {
    case SizeFunction::kAdd:
      if (x == zero) return y;
      if (y == zero) return x;
      break;
    case SizeFunction::kSub:
      if (y == zero) return x;
      if (x == y) return zero;
      break;
    case SizeFunction::kMul:
      if (x == zero || y == one) return x;
      if (y == zero || x == one) return y;
      break;
    case SizeFunction::kDiv:
      if (y == one) return x;
      break;
    case SizeFunction::kMod:
      if (y == one) return zero;
      break;
    case SizeFunction::kMaximum:
      if (x == y || y == zero) return x;
      if (x == zero) return y;
      break;
    case SizeFunction::kMinimum:
      if (x == y || x == zero) return x;
      if (y == zero) return y;
      break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Dim> combine(ir::InferContext& ctx, SizeFunction f, Dim x, Dim y) {
  if (x.known() && y.known()) return of_known(f, x.size(), y.size());
  if (const auto same = unchanged(f, x, y)) return same;
  return ctx.fresh();
}

void combine_sizes(ir::InferContext& ctx, SizeFunction f) {
  const ir::ValueType& type = ctx.node().outputs.at(0);
  if ((type.dtype != DataType::kInt32 && type.dtype != DataType::kInt64) || !type.shape.known_rank() || type.shape.rank() > 1) return;
  const auto x = ctx.dims(0);
  const auto y = ctx.dims(1);
  if (!x || !y || x->empty() || y->empty()) return;
  if (x->size() != y->size() && x->size() != 1 && y->size() != 1) return;
  std::vector<Dim> result;
  for (std::size_t i = 0; i < std::max(x->size(), y->size()); ++i) {
    const auto size = combine(ctx, f, (*x)[x->size() == 1 ? 0 : i], (*y)[y->size() == 1 ? 0 : i]);
    if (!size) return;
    result.push_back(*size);
  }
  ctx.set_dims(0, std::move(result));
}

}  // namespace tenon::ops
