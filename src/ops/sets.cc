// Sets of elements along the last dimension.
#include <algorithm>
#include <iterator>
#include <set>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using Integers = std::vector<std::int64_t>;

// The number of elements of a shape that an operand gives; fails when it is negative or cannot be counted.
std::int64_t checked_count(const EvalContext& ctx, const Integers& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) ctx.fail_node("a dense shape is negative or too large");
  }
  return count;
}

// The rows of both operands as sets; the results are sorted and come as a sparse tensor.

void infer_set_operation(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape& a = ctx.input_shape(0);
  const Dim rank = a.known_rank() ? Dim(a.rank()) : ctx.fresh();
  const Dim count = ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, rank});
  ctx.set_output(1, ctx.input_dtype(0), PartialShape{count});
  ctx.set_output(2, DataType::kInt64, PartialShape{rank});
}

template <class T>
std::vector<T> combine(const EvalContext& ctx, const std::set<T>& a, const std::set<T>& b, const std::string& operation) {
  std::vector<T> out;
  if (operation == "a-b") {
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  } else if (operation == "b-a") {
    std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(out));
  } else if (operation == "intersection") {
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  } else if (operation == "union") {
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  } else {
    ctx.fail_node("set operation \"{}\" is not known", operation);
  }
  return out;
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

void evaluate_set_operation(EvalContext& ctx) {
  const Tensor& a = ctx.input(0);
  const Tensor& b = ctx.input(1);
  const std::string operation = lower_case(ctx.attrs().get<std::string>("set_operation"));
  if (a.rank() < 2 || a.rank() != b.rank() || a.dtype() != b.dtype()) ctx.fail_node("operands {} and {}", a.describe(), b.describe());
  Integers shape(a.shape().begin(), a.shape().end());
  for (int d = 0; d + 1 < a.rank(); ++d) {
    if (a.dim(d) != b.dim(d)) ctx.fail_node("operands {} and {}", a.describe(), b.describe());
  }
  const std::int64_t a_row = shape.back(), b_row = b.dim(b.rank() - 1);
  shape.back() = 1;
  const std::int64_t groups = checked_count(ctx, shape);
  using Types = Join<TypeList<std::int8_t, std::int16_t, std::uint8_t, std::uint16_t, std::string>, IndexIntegers>;
  visit_dtype(Types{}, a.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Integers indices;
    std::vector<T> values;
    std::int64_t longest = 0;
    Integers index(shape.size(), 0);
    for (std::int64_t g = 0; g < groups; ++g) {
      const T* x = a.flat<T>().data() + g * a_row;
      const T* y = b.flat<T>().data() + g * b_row;
      const std::vector<T> row = combine(ctx, std::set<T>(x, x + a_row), std::set<T>(y, y + b_row), operation);
      for (std::size_t i = 0; i < row.size(); ++i) {
        index.back() = static_cast<std::int64_t>(i);
        indices.insert(indices.end(), index.begin(), index.end());
        values.push_back(row[i]);
      }
      longest = std::max(longest, static_cast<std::int64_t>(row.size()));
      for (std::size_t d = shape.size() - 1; d-- > 0;) {
        if (++index[d] < shape[d]) break;
        index[d] = 0;
      }
    }
    shape.back() = longest;
    const auto count = static_cast<std::int64_t>(values.size());
    ctx.set_output(0, Tensor::vector<std::int64_t>(indices).reshaped({count, static_cast<std::int64_t>(shape.size())}));
    ctx.set_output(1, Tensor::vector<T>(values));
    ctx.set_output(2, Tensor::vector<std::int64_t>(shape));
  });
}

constexpr ir::OpDef kOps[] = {
    {"dense_set_operation", infer_set_operation, evaluate_set_operation},
};

constexpr ImportRule kRules[] = {
    {"DenseToDenseSetOperation", "dense_set_operation"},
};

}  // namespace

const OpFamily& sets_family() {
  static const OpFamily family{"sets", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
