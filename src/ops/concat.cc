// Putting tensors together along an old or a new axis.
#include <algorithm>
#include <numeric>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// Operands [first, first + count) hold the parts, operand `axis` the axis.
struct ConcatOperands {
  int first, count, axis;
};
ConcatOperands axis_last(int num_inputs) { return {0, num_inputs - 1, num_inputs - 1}; }
ConcatOperands axis_first(int num_inputs) { return {1, num_inputs - 1, 0}; }

void infer_parts(InferContext& ctx, ConcatOperands operands) {
  if (operands.count < 1) ctx.fail_node("has no parts");
  const auto known_axis = known_integer(ctx, operands.axis);
  PartialShape shape;
  for (int i = 0; i < operands.count; ++i) {  // the rank that any part knows
    const PartialShape& part = ctx.input_shape(operands.first + i);
    if (!part.known_rank()) continue;
    if (shape.known_rank() && part.rank() != shape.rank()) {
      ctx.fail_node("parts of shapes {} and {} have different ranks", shape.to_string(), part.to_string());
    }
    if (!shape.known_rank()) shape = part;
  }
  const DataType dtype = ctx.input_dtype(operands.first);
  if (!shape.known_rank()) return ctx.set_output(0, dtype, {});
  if (!known_axis) return ctx.set_output(0, dtype, ctx.fresh_shape(shape.rank()));
  const int axis = ir::normalize_axis(ctx, *known_axis, shape.rank());
  Dim total = 0;
  for (int i = 0; i < operands.count; ++i) {
    PartialShape part = ctx.input_shape(operands.first + i);
    total = add(ctx, total, part.known_rank() ? part[axis] : ctx.fresh());
    if (part.known_rank()) {
      part[axis] = shape[axis];
      shape = ir::merge_shapes(ctx, shape, part);
    }
  }
  shape[axis] = total;
  ctx.set_output(0, dtype, shape);
  if (shape.rank() != 1) return;
  std::vector<Dim> dims;
  for (int i = 0; i < operands.count; ++i) {
    const auto part = ctx.dims(operands.first + i);
    if (!part) return;
    dims.insert(dims.end(), part->begin(), part->end());
  }
  ctx.set_dims(0, std::move(dims));
}

void evaluate_parts(EvalContext& ctx, ConcatOperands operands) {
  if (operands.count < 1) ctx.fail_node("has no parts");
  const Tensor& first = ctx.input(operands.first);
  const int axis = ctx.normalize_axis(ctx.integer(operands.axis), std::max(first.rank(), 1));
  if (first.rank() == 0) ctx.fail_node("scalars cannot be concatenated; pack them");
  Shape shape = first.shape();
  shape[axis] = 0;
  for (int i = 0; i < operands.count; ++i) {
    const Tensor& part = ctx.input(operands.first + i);
    Shape expected = shape;
    if (part.rank() == first.rank()) expected[axis] = part.dim(axis);
    if (part.shape() != expected || part.dtype() != first.dtype()) {
      ctx.fail_node("part {} is {} and does not match {} along axis {}", i, part.describe(), first.describe(), axis);
    }
    shape[axis] += part.dim(axis);
  }
  Tensor output(first.dtype(), shape);
  const std::int64_t inner = product(shape, axis + 1, shape.rank());
  const std::int64_t outer = product(shape, 0, axis);
  std::int64_t start = 0;
  for (int i = 0; i < operands.count; ++i) {
    const Tensor& part = ctx.input(operands.first + i);
    const std::int64_t width = part.dim(axis) * inner;
    copy_walk(Shape{outer, width}, output, {start, {shape[axis] * inner, 1}}, part, {0, {width, 1}});
    start += width;
  }
  ctx.set_output(0, std::move(output));
}

// concat: parts…, axis. concat_axis_first: axis, parts….
void infer_concat(InferContext& ctx) { infer_parts(ctx, axis_last(ctx.num_inputs())); }
void evaluate_concat(EvalContext& ctx) { evaluate_parts(ctx, axis_last(ctx.num_inputs())); }
void infer_concat_axis_first(InferContext& ctx) { infer_parts(ctx, axis_first(ctx.num_inputs())); }
void evaluate_concat_axis_first(EvalContext& ctx) { evaluate_parts(ctx, axis_first(ctx.num_inputs())); }

// concat_offset: axis, shapes…; where in the concatenation each part begins.
void infer_concat_offset(InferContext& ctx) {
  if (ctx.num_inputs() < 2) ctx.fail_node("has no shapes");
  ctx.set_num_outputs(ctx.num_inputs() - 1);
  for (int i = 1; i < ctx.num_inputs(); ++i) ctx.set_output(i - 1, ctx.input_dtype(i), ctx.input_shape(i));
}

void evaluate_concat_offset(EvalContext& ctx) {
  const std::vector<std::int64_t> first = ctx.integers(1);
  const int axis = ctx.normalize_axis(ctx.integer(0), static_cast<int>(first.size()));
  std::int64_t offset = 0;
  for (int i = 1; i < ctx.num_inputs(); ++i) {
    std::vector<std::int64_t> sizes = ctx.integers(i);
    std::vector<std::int64_t> expected = first;
    const std::int64_t width = sizes.size() == first.size() ? sizes[static_cast<std::size_t>(axis)] : 0;
    expected[static_cast<std::size_t>(axis)] = width;
    if (sizes != expected) ctx.fail_node("shape {} does not match the first along axis {}", i - 1, axis);
    Tensor& output = ctx.allocate(i - 1, ctx.input(i).dtype(), ctx.input(i).shape());
    set_zero(output);
    if (output.dtype() == DataType::kInt32) {
      output.flat<std::int32_t>()[static_cast<std::size_t>(axis)] = static_cast<std::int32_t>(offset);
    } else {
      output.flat<std::int64_t>()[static_cast<std::size_t>(axis)] = offset;
    }
    if (__builtin_add_overflow(offset, width, &offset)) ctx.fail_node("the offsets overflow");
  }
}

// pack: the operands as slices along a new axis.
void infer_pack(InferContext& ctx) {
  if (ctx.num_inputs() < 1) ctx.fail_node("has no inputs");
  PartialShape shape = ctx.input_shape(0);
  for (int i = 1; i < ctx.num_inputs(); ++i) shape = ir::merge_shapes(ctx, shape, ctx.input_shape(i));
  if (!shape.known_rank()) return ctx.set_output(0, ctx.input_dtype(0), {});
  const int axis = ir::normalize_axis(ctx, ctx.attrs().get_or<std::int64_t>("axis", 0), shape.rank() + 1);
  const bool scalars = shape.rank() == 0;
  shape.dims().insert(shape.dims().begin() + axis, Dim(ctx.num_inputs()));
  ctx.set_output(0, ctx.input_dtype(0), std::move(shape));
  if (!scalars) return;
  std::vector<Dim> dims;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const auto part = ctx.dims(i);
    if (!part || part->size() != 1) return;
    dims.push_back((*part)[0]);
  }
  ctx.set_dims(0, std::move(dims));
}

void evaluate_pack(EvalContext& ctx) {
  const Tensor& first = ctx.input(0);
  const int axis = ctx.normalize_axis(ctx.attrs().get_or<std::int64_t>("axis", 0), first.rank() + 1);
  std::vector<std::int64_t> dims = first.shape().dims();
  dims.insert(dims.begin() + axis, ctx.num_inputs());
  const std::int64_t outer = product(first.shape(), 0, axis);
  const std::int64_t inner = product(first.shape(), axis, first.rank());
  Tensor output(first.dtype(), Shape(std::move(dims)));
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const Tensor& part = ctx.input(i);
    if (part.shape() != first.shape() || part.dtype() != first.dtype()) {
      ctx.fail_node("input {} is {}, the first is {}", i, part.describe(), first.describe());
    }
    copy_walk(Shape{outer, inner}, output, {i * inner, {ctx.num_inputs() * inner, 1}}, part, {0, {inner, 1}});
  }
  ctx.set_output(0, std::move(output));
}

// parallel_concat: parts with a first dimension of 1, put together along it.
void infer_parallel_concat(InferContext& ctx) {
  if (ctx.num_inputs() < 1) ctx.fail_node("has no inputs");
  PartialShape shape = ctx.input_shape(0);
  for (int i = 1; i < ctx.num_inputs(); ++i) shape = ir::merge_shapes(ctx, shape, ctx.input_shape(i));
  if (shape.known_rank()) {
    if (shape.rank() == 0) ctx.fail_node("scalars cannot be concatenated");
    shape[0] = ctx.num_inputs();
  }
  ctx.set_output(0, ctx.input_dtype(0), std::move(shape));
}

void evaluate_parallel_concat(EvalContext& ctx) {
  const Tensor& first = ctx.input(0);
  if (first.rank() == 0 || first.dim(0) != 1) ctx.fail_node("parts need a first dimension of 1, found {}", first.describe());
  Shape shape = first.shape();
  shape[0] = ctx.num_inputs();
  Tensor output(first.dtype(), shape);
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const Tensor& part = ctx.input(i);
    if (part.shape() != first.shape())
      ctx.fail_node("input {} is {}, the first is {}", i, part.describe(), first.describe());
    copy_range(output, i * first.num_elements(), part, 0, first.num_elements());
  }
  ctx.set_output(0, std::move(output));
}

constexpr ir::OpDef kOps[] = {
    {"concat", infer_concat, evaluate_concat},
    {"concat_axis_first", infer_concat_axis_first, evaluate_concat_axis_first},
    {"concat_offset", infer_concat_offset, evaluate_concat_offset},
    {"pack", infer_pack, evaluate_pack},
    {"parallel_concat", infer_parallel_concat, evaluate_parallel_concat},
};

constexpr ImportRule kRules[] = {
    {"ConcatV2", "concat"}, {"Concat", "concat_axis_first"},       {"ConcatOffset", "concat_offset"},
    {"Pack", "pack"},       {"ParallelConcat", "parallel_concat"},
};

}  // namespace

const OpFamily& concat_family() {
  static const OpFamily family{"concat", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
