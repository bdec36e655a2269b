// Writing slices by index: into zeros, or into a copy of a tensor.
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// scatter_nd: indices, updates, shape. Updates that meet are added (joined, for strings).
void infer_scatter_nd(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.input_dtype(1), listed_shape(ctx, 2));
}

// tensor_scatter: tensor, indices, updates; attribute mode is update, add, sub, min or max.
void infer_tensor_scatter(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

enum class Mode { kUpdate, kAdd, kSub, kMin, kMax };

Mode mode_of(const ir::Attrs& attrs) {
  const auto name = attrs.get<std::string>("mode");
  if (name == "update") return Mode::kUpdate;
  if (name == "add") return Mode::kAdd;
  if (name == "sub") return Mode::kSub;
  if (name == "min") return Mode::kMin;
  if (name == "max") return Mode::kMax;
  fail(ErrorCode::kInvalidModel, "scatter mode \"{}\" is unknown", name);
}

template <class T>
T combine(Mode mode, const T& a, const T& b) {
  if (mode == Mode::kUpdate) return b;
  if constexpr (std::is_same_v<T, std::string>) {
    if (mode == Mode::kAdd) return a + b;
  } else if constexpr (kIsComplex<T>) {
    if (mode == Mode::kAdd) return a + b;
    if (mode == Mode::kSub) return a - b;
  } else {
    using C = typename std::conditional_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, std::make_unsigned<T>,
                                 TypeTag<ComputeType<T>>>::type;
    switch (mode) {
      case Mode::kAdd:
        return static_cast<T>(static_cast<C>(a) + static_cast<C>(b));
      case Mode::kSub:
        return static_cast<T>(static_cast<C>(a) - static_cast<C>(b));
      case Mode::kMin:
        return b < a ? b : a;
      case Mode::kMax:
        return a < b ? b : a;
      default:
        break;
    }
  }
  fail(ErrorCode::kUnsupported, "this dtype cannot be scattered in this mode");
}

// Where each update goes: the element offset of a slice of `inner` elements, -1 for one to be skipped.
struct Targets {
  std::vector<std::int64_t> offsets;
  std::int64_t inner = 1;
};

Targets find_targets(EvalContext& ctx, const Shape& shape, int indices_operand, const Tensor& updates) {
  const Tensor& indices = ctx.input(indices_operand);
  const int rank = indices.rank();
  if (rank == 0) ctx.fail_node("the indices are a scalar");
  const std::int64_t depth = indices.dim(rank - 1);
  if (depth > shape.rank()) ctx.fail_node("indices have {} coordinates for shape {}", depth, shape.to_string());
  Shape expected(std::vector<std::int64_t>(indices.shape().begin(), indices.shape().end() - 1));
  for (int i = static_cast<int>(depth); i < shape.rank(); ++i) expected.push_back(shape[i]);
  if (updates.shape() != expected) {
    ctx.fail_node("updates are {}, indices {} into shape {} need {}", updates.describe(), indices.describe(),
                  shape.to_string(), expected.to_string());
  }
  const bool ignore = ctx.attrs().get_or<std::string>("bad_indices_policy", "") == "IGNORE";
  const std::vector<std::int64_t> index = ctx.integers(indices_operand);
  Targets targets{{}, product(shape, static_cast<int>(depth), shape.rank())};
  for (std::int64_t row = 0; row < product(indices.shape(), 0, rank - 1); ++row) {
    std::int64_t position = 0;
    bool inside = true;
    for (int d = 0; d < depth; ++d) {
      const std::int64_t at = index[static_cast<std::size_t>(row * depth + d)];
      inside &= at >= 0 && at < shape[d];
      position = position * shape[d] + (inside ? at : 0);
    }
    if (!inside && !ignore) ctx.fail_node("row {} of the indices is outside {}", row, shape.to_string());
    targets.offsets.push_back(inside ? position * targets.inner : -1);
  }
  return targets;
}

void scatter_into(EvalContext& ctx, Tensor& output, const Targets& targets, const Tensor& updates, Mode mode) {
  visit_dtype(Join<PlainTypes, TypeList<std::string>>{}, output.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = stored<T>(updates);
    for (const std::int64_t offset : targets.offsets) {
      if (offset >= 0) {
        T* to = stored<T>(output) + offset;
        for (std::int64_t i = 0; i < targets.inner; ++i) to[i] = combine(mode, to[i], from[i]);
      }
      from += targets.inner;
    }
  });
}

void evaluate_scatter_nd(EvalContext& ctx) {
  const Tensor updates = ctx.input(1);
  const Shape shape = shape_operand(ctx, 2);
  Tensor output(updates.dtype(), shape);
  set_zero(output);
  scatter_into(ctx, output, find_targets(ctx, shape, 0, updates), updates, Mode::kAdd);
  ctx.set_output(0, std::move(output));
}

void evaluate_tensor_scatter(EvalContext& ctx) {
  const Mode mode = mode_of(ctx.attrs());
  const Tensor updates = ctx.input(2);
  if (updates.dtype() != ctx.input(0).dtype())
    ctx.fail_node("updates are {} for {}", updates.describe(), ctx.input(0).describe());
  const Targets targets = find_targets(ctx, ctx.input(0).shape(), 1, updates);
  Tensor output = ctx.take_input(0);
  if (!output.sole_owner()) output = output.clone();
  scatter_into(ctx, output, targets, updates, mode);
  ctx.set_output(0, std::move(output));
}

template <char kFirst>
void set_mode(ir::Attrs& attrs) {
  constexpr const char* name = kFirst == 'u'   ? "update"
                               : kFirst == 'a' ? "add"
                               : kFirst == 's' ? "sub"
                               : kFirst == 'i' ? "min"
                                               : "max";
  attrs.set("mode", std::string(name));
}

constexpr ir::OpDef kOps[] = {
    {"scatter_nd", infer_scatter_nd, evaluate_scatter_nd},
    {"tensor_scatter", infer_tensor_scatter, evaluate_tensor_scatter},
};

constexpr ImportRule kRules[] = {
    {"ScatterNd", "scatter_nd"},
    {"TensorScatterUpdate", "tensor_scatter", set_mode<'u'>},
    {"TensorScatterAdd", "tensor_scatter", set_mode<'a'>},
    {"TensorScatterSub", "tensor_scatter", set_mode<'s'>},
    {"TensorScatterMin", "tensor_scatter", set_mode<'i'>},
    {"TensorScatterMax", "tensor_scatter", set_mode<'x'>},
};

}  // namespace

const OpFamily& scatter_family() {
  static const OpFamily family{"scatter", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
