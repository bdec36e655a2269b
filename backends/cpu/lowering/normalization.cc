// Softmax and normalisation along the last dimensions, and reductions.
#include <cmath>

#include "backends/cpu/kernels/layer_norm.h"
#include "backends/cpu/kernels/reduce.h"
#include "backends/cpu/kernels/softmax.h"
#include "backends/cpu/lowering/integer_reduce.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/fused.h"

namespace tenon::cpu {
namespace {

Verdict supports_float(const ir::Node& node) { return require_float32(node, static_cast<int>(node.inputs.size())); }

Lowered lower_softmax(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.in_place = {0};
  lowered.prepare = [logarithm = node.is("log_softmax")](PlanContext& ctx) {
    const Place& x = ctx.operand(0);
    return make_step([=, from = x.slot, to = ctx.result().slot, rows = x.rows(), length = x.last()](const Frame& frame) {
      (logarithm ? log_softmax : softmax)(frame.at<const float>(from), frame.at<float>(to), rows, length, *frame.team);
    });
  };
  return lowered;
}

// gamma and beta by element of the normalised dimensions: a value that broadcasts over them is written out.
std::vector<float> spread(const Place& place, const Shape& inner) {
  std::vector<float> values;
  if (place.shape == inner || place.constant == nullptr) return values;
  const auto from = place.constant->flat<float>();
  const std::vector<std::int64_t> strides = broadcast_place(place, inner);
  std::vector<std::int64_t> at(static_cast<std::size_t>(inner.rank()), 0);
  for (std::int64_t i = 0; i < inner.num_elements(); ++i) {
    std::int64_t rest = i, offset = 0;
    for (int d = inner.rank() - 1; d >= 0; --d) {
      offset += rest % inner[d] * strides[static_cast<std::size_t>(d)];
      rest /= inner[d];
    }
    values.push_back(from[static_cast<std::size_t>(offset)]);
  }
  return values;
}

std::unique_ptr<Step> prepare_layer_norm(PlanContext& ctx, const ops::LayerNormAttrs& attrs) {
  const Place& x = ctx.operand(0);
  if (attrs.axes_count > x.shape.rank() || (attrs.has_residual && ctx.operand(3).shape != x.shape)) {
    fail(ErrorCode::kUnsupported, "{}: operands do not fit {}", ctx.node().describe(), x.shape.to_string());
  }
  Shape inner;
  for (int d = x.shape.rank() - attrs.axes_count; d < x.shape.rank(); ++d) inner.push_back(x.shape[d]);
  LayerNorm shape;
  shape.length = inner.num_elements();
  shape.rows = shape.length == 0 ? 0 : x.elements() / shape.length;
  shape.epsilon = attrs.epsilon;
  std::vector<float> gamma = spread(ctx.operand(1), inner), beta = spread(ctx.operand(2), inner);
  for (int i = 1; i <= 2; ++i) {
    const bool whole = ctx.operand(i).elements() == shape.length;
    if (!whole && ctx.operand(i).constant == nullptr) {
      fail(ErrorCode::kUnsupported, "{}: operand {} must have the size of the normalised dimensions", ctx.node().describe(), i);
    }
  }
  const Slot residual = attrs.has_residual ? ctx.operand(3).slot : -1;
  return make_step([=, gamma = std::move(gamma), beta = std::move(beta), from = x.slot, g = ctx.operand(1).slot, b = ctx.operand(2).slot,
                    to = ctx.result().slot](const Frame& frame) {
    LayerNormData data;
    data.x = frame.at<const float>(from);
    data.residual = residual < 0 ? nullptr : frame.at<const float>(residual);
    data.gamma = gamma.empty() ? frame.at<const float>(g) : gamma.data();
    data.beta = beta.empty() ? frame.at<const float>(b) : beta.data();
    data.y = frame.at<float>(to);
    layer_norm(shape, data, *frame.team);
  });
}

Lowered lower_layer_norm(const ir::Node& node, WeightSource&) {
  const auto attrs = ops::LayerNormAttrs::parse(node.attrs);
  Lowered lowered;
  lowered.kernel = attrs.has_residual ? "layer_norm +r" : "layer_norm";
  lowered.in_place = {0, 3};
  lowered.prepare = [attrs](PlanContext& ctx) { return prepare_layer_norm(ctx, attrs); };
  return lowered;
}

// --- reductions

struct ReduceName {
  std::string_view name;
  ReduceOp op;
};
constexpr ReduceName kReductions[] = {
    {"sum", ReduceOp::kSum},      {"mean", ReduceOp::kMean}, {"max", ReduceOp::kMaximum}, {"min", ReduceOp::kMinimum},
    {"prod", ReduceOp::kProduct}, {"any", ReduceOp::kAny},   {"all", ReduceOp::kAll},
};

ReduceOp reduce_op(const ir::Node& node) {
  for (const ReduceName& known : kReductions) {
    if (node.is(known.name)) return known.op;
  }
  fail(ErrorCode::kInternal, "{}: no reduction", node.describe());
}

Verdict supports_reduction(const ir::Node& node) {
  const ir::Value& input = node.inputs.at(0);
  const ir::ValueType& type = input.node->outputs.at(static_cast<std::size_t>(input.index));
  if (!Reduce::supports(reduce_op(node), type.dtype) && !is_integer_reduction(node)) {
    return Verdict::no(fmt::format("{} of {} does not run in an engine", node.op->name, type.dtype == DataType::kInvalid ? "unknown dtype" : dtype_name(type.dtype)));
  }
  if (!type.shape.known_rank()) return Verdict::no("the rank is not known");
  return require_known(node, 1, "the axes");
}

// The mean over whole dimensions of size 1 and the like is a copy; everything else runs the kernel.
Lowered lower_reduction(const ir::Node& node, WeightSource&) {
  if (is_integer_reduction(node)) return lower_integer_reduction(node);
  Lowered lowered;
  lowered.kernel = fmt::format("reduce {}", node.op->name);
  lowered.unread = {1};
  lowered.prepare = [op = reduce_op(node)](PlanContext& ctx) {
    const Place& x = ctx.operand(0);
    const int rank = x.shape.rank();
    auto reduced = std::make_unique<bool[]>(static_cast<std::size_t>(rank) + 1);
    for (const std::int64_t axis : ctx.integers(1)) reduced[static_cast<std::size_t>(resolve_axis(ctx, axis, rank))] = true;
    const std::span<const bool> flags(reduced.get(), static_cast<std::size_t>(rank));
    auto kernel = std::make_shared<const Reduce>(op, x.dtype, x.shape.dims(), flags);
    return make_step([kernel, from = x.slot, to = ctx.result().slot](const Frame& frame) {
      kernel->run(frame.at<const void>(from), frame.at<void>(to), *frame.team);
    });
  };
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"softmax", supports_float, lower_softmax},
    {"log_softmax", supports_float, lower_softmax},
    {"layer_norm", supports_float, lower_layer_norm},
    {"sum", supports_reduction, lower_reduction},
    {"mean", supports_reduction, lower_reduction},
    {"max", supports_reduction, lower_reduction},
    {"min", supports_reduction, lower_reduction},
    {"prod", supports_reduction, lower_reduction},
    {"any", supports_reduction, lower_reduction},
    {"all", supports_reduction, lower_reduction},
};

}  // namespace

const LoweringFamily& normalization_lowerings() {
  static const LoweringFamily family{"normalization", kLowerings};
  return family;
}

}  // namespace tenon::cpu
