// Assignments to slices: of a copy of a tensor, of variables, of TF1's reference variables.
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"
#include "ops/strided_slice.h"
#include "ops/variables.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_like_first(InferContext& ctx) {
  ctx.expect_inputs(5);
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

void infer_nothing(InferContext& ctx) { ctx.set_num_outputs(0); }

// Steps through `value` as it broadcasts to the slice: `lengths` are the slice's, axes that are one index included.
Walk broadcast_walk(const EvalContext& ctx, const Tensor& value, const Shape& result, const std::vector<bool>& in_result) {
  const int extra = result.rank() - value.rank();
  if (extra < 0) ctx.fail_node("value {} does not fit a slice of shape {}", value.describe(), result.to_string());
  const std::vector<std::int64_t> steps = row_major_strides(value.shape());
  Walk walk;
  int axis = 0;  // of the result
  for (const bool present : in_result) {
    std::int64_t step = 0;
    if (present) {
      const int own = axis++ - extra;
      if (own >= 0 && value.dim(own) != result[axis - 1] && value.dim(own) != 1) {
        ctx.fail_node("value {} does not fit a slice of shape {}", value.describe(), result.to_string());
      }
      if (own >= 0 && value.dim(own) != 1) step = steps[static_cast<std::size_t>(own)];
    }
    walk.strides.push_back(step);
  }
  return walk;
}

// target[begin:end:strides] = value; operands 1 to 4.
void assign_slice(const EvalContext& ctx, Tensor& target) {
  const Tensor& value = ctx.input(4);
  if (value.dtype() != target.dtype()) ctx.fail_node("the target is {}, the value {}", target.describe(), value.describe());
  const SliceMasks masks = slice_masks(ctx.attrs());
  const std::vector<std::int64_t> begin = ctx.integers(1), end = ctx.integers(2), strides = ctx.integers(3);
  if (begin.size() != end.size() || begin.size() != strides.size()) {
    ctx.fail_node("begin, end and strides have lengths {}, {} and {}", begin.size(), end.size(), strides.size());
  }
  const std::vector<std::int64_t> steps = row_major_strides(target.shape());
  Shape result, box;
  std::vector<bool> in_result;  // per axis of the box
  Walk to;
  for (const SliceItem& item : spread_slice(masks, static_cast<int>(begin.size()), target.rank())) {
    SliceRange range{0, 1, 1};
    std::int64_t step = 0;
    if (item.kind != SliceItem::Kind::kNewAxis) {
      range.count = target.dim(item.axis);
      step = steps[static_cast<std::size_t>(item.axis)];
    }
    if (item.kind == SliceItem::Kind::kIndex || item.kind == SliceItem::Kind::kRange) {
      const auto entry = static_cast<std::size_t>(item.entry);
      range = slice_range(item, masks, begin[entry], end[entry], strides[entry], target.dim(item.axis));
    }
    to.offset += range.start * step;
    to.strides.push_back(range.stride * step);
    box.push_back(range.count);
    in_result.push_back(item.kind != SliceItem::Kind::kIndex);
    if (in_result.back()) result.push_back(range.count);
  }
  const Walk from = broadcast_walk(ctx, value, result, in_result);
  if (box.num_elements() > 0) copy_walk(box, target, to, value, from);
}

void evaluate_slice_update(EvalContext& ctx) {
  Tensor target = ctx.input(0).clone();
  assign_slice(ctx, target);
  ctx.set_output(0, std::move(target));
}

void evaluate_resource_slice_assign(EvalContext& ctx) {
  variable_operand(ctx, 0)->update([&](Tensor& value) { assign_slice(ctx, value); });
}

void evaluate_slice_assign_ref(EvalContext& ctx) {
  ctx.set_output(0, bound_variable(ctx)->update([&](Tensor& value) { assign_slice(ctx, value); }));
}

constexpr ir::OpDef kOps[] = {
    {"strided_slice_update", infer_like_first, evaluate_slice_update},
    {"resource_strided_slice_assign", infer_nothing, evaluate_resource_slice_assign, ir::kStateful},
    {"strided_slice_assign_ref", infer_like_first, evaluate_slice_assign_ref, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"TensorStridedSliceUpdate", "strided_slice_update"},
    {"ResourceStridedSliceAssign", "resource_strided_slice_assign"},
    {"StridedSliceAssign", "strided_slice_assign_ref"},
};

}  // namespace

const OpFamily& slice_assign_family() {
  static const OpFamily family{"slice_assign", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
