// Asking for shapes, changing them without moving elements, and tensors made from a shape alone.
#include <algorithm>
#include <limits>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/reshape.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

DataType index_dtype(const ir::Attrs& attrs, std::string_view name) {
  const auto dtype = attrs.get_or<DataType>(name, DataType::kInt32);
  if (dtype != DataType::kInt32 && dtype != DataType::kInt64) {
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" must be int32 or int64, it is {}", name, dtype_name(dtype));
  }
  return dtype;
}

void store_integers(EvalContext& ctx, int output, DataType dtype, Shape shape, const std::vector<std::int64_t>& values) {
  Tensor& tensor = ctx.allocate(output, dtype, std::move(shape));
  visit_dtype(IndexIntegers{}, dtype, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto to = tensor.flat<T>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] > std::numeric_limits<T>::max()) ctx.fail_node("size {} does not fit {}", values[i], dtype_name(dtype));
      to[i] = static_cast<T>(values[i]);
    }
  });
}

// shape, shape_n: the sizes of each operand as a vector of out_type.
void infer_shape(InferContext& ctx) {
  const DataType dtype = index_dtype(ctx.attrs(), "out_type");
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const PartialShape& shape = ctx.input_shape(i);
    if (shape.known_rank()) {
      ctx.set_output(i, dtype, Shape{shape.rank()});
      ctx.set_dims(i, shape.dims());
    } else {
      ctx.set_output(i, dtype, PartialShape{ctx.fresh()});
    }
  }
}

void evaluate_shape(EvalContext& ctx) {
  const DataType dtype = index_dtype(ctx.attrs(), "out_type");
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const Shape& shape = ctx.input(i).shape();
    store_integers(ctx, i, dtype, Shape{shape.rank()}, shape.dims());
  }
}

void infer_size(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, index_dtype(ctx.attrs(), "out_type"), Shape{});
  const PartialShape& shape = ctx.input_shape(0);
  if (!shape.known_rank()) return;
  Dim count = 1;
  for (Dim dim : shape.dims()) count = multiply(ctx, count, dim);
  ctx.set_dims(0, {count});
}

void evaluate_size(EvalContext& ctx) {
  store_integers(ctx, 0, index_dtype(ctx.attrs(), "out_type"), Shape{}, {ctx.input(0).num_elements()});
}

void infer_rank(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kInt32, Shape{});
  if (ctx.input_shape(0).known_rank()) ctx.set_dims(0, {ctx.input_shape(0).rank()});
}

void evaluate_rank(EvalContext& ctx) { ctx.set_output(0, Tensor::scalar<std::int32_t>(ctx.input(0).rank())); }

// The elements stay; when they are sizes, they stay sizes.
void pass_dims(InferContext& ctx) {
  const PartialShape& shape = ctx.node().outputs[0].shape;
  if (!shape.known_rank() || shape.rank() > 1) return;
  if (auto dims = ctx.dims(0)) ctx.set_dims(0, *std::move(dims));
}

void infer_reshape(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, ctx.input_dtype(0), reshaped_shape(ctx, ctx.input_shape(0), ctx.node().inputs[1]));
  pass_dims(ctx);
}

void evaluate_reshape(EvalContext& ctx) {
  if (ctx.input(1).rank() > 1) ctx.fail_node("the new shape must be a vector, it is {}", ctx.input(1).describe());
  Shape shape = reshaped_shape(ctx, ctx.input(0).shape(), ctx.integers(1));
  ctx.set_output(0, ctx.take_input(0).reshaped(std::move(shape)));
}

// squeeze: removes the axes of size 1 that squeeze_dims names, or all of them when it is empty.
std::vector<bool> squeezed_axes(const std::vector<std::int64_t>& listed, int rank) {
  std::vector<bool> squeezed(static_cast<std::size_t>(rank), listed.empty());
  for (std::int64_t axis : listed) {
    if (axis < -rank || axis >= rank)
      fail(ErrorCode::kInvalidModel, "squeeze axis {} is outside [-{}, {})", axis, rank, rank);
    squeezed[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)] = true;
  }
  return squeezed;
}

void infer_squeeze(InferContext& ctx) {
  ctx.expect_inputs(1);
  const auto listed = ctx.attrs().get_or<std::vector<std::int64_t>>("squeeze_dims", {});
  const PartialShape& shape = ctx.input_shape(0);
  const bool all_known = shape.known_rank() && (!listed.empty() || shape.fully_known());
  if (!all_known) return ctx.set_output(0, ctx.input_dtype(0), {});
  const std::vector<bool> squeezed = squeezed_axes(listed, shape.rank());
  std::vector<Dim> dims;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool drop = squeezed[static_cast<std::size_t>(i)];
    if (drop && shape[i].known() && shape[i] != Dim(1) && !listed.empty()) {
      ctx.fail_node("axis {} of {} has size {}, only 1 can be squeezed", i, shape.to_string(), shape[i].size());
    }
    if (!drop || (listed.empty() && shape[i] != Dim(1))) dims.push_back(shape[i]);
  }
  ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
  pass_dims(ctx);
}

void evaluate_squeeze(EvalContext& ctx) {
  const auto listed = ctx.attrs().get_or<std::vector<std::int64_t>>("squeeze_dims", {});
  const Shape& shape = ctx.input(0).shape();
  const std::vector<bool> squeezed = squeezed_axes(listed, shape.rank());
  Shape result;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool drop = squeezed[static_cast<std::size_t>(i)];
    if (drop && !listed.empty() && shape[i] != 1) {
      ctx.fail_node("axis {} of {} has size {}, only 1 can be squeezed", i, shape.to_string(), shape[i]);
    }
    if (!drop || shape[i] != 1) result.push_back(shape[i]);
  }
  ctx.set_output(0, ctx.take_input(0).reshaped(std::move(result)));
}

// expand_dims: input, axis in [-rank-1, rank].
void infer_expand_dims(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape& shape = ctx.input_shape(0);
  if (!shape.known_rank()) return ctx.set_output(0, ctx.input_dtype(0), {});
  if (const auto axis = known_integer(ctx, 1)) {
    std::vector<Dim> dims = shape.dims();
    dims.insert(dims.begin() + ir::normalize_axis(ctx, *axis, shape.rank() + 1), Dim(1));
    ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
  } else {
    ctx.set_output(0, ctx.input_dtype(0), ctx.fresh_shape(shape.rank() + 1));
  }
  pass_dims(ctx);
}

void evaluate_expand_dims(EvalContext& ctx) {
  std::vector<std::int64_t> dims = ctx.input(0).shape().dims();
  const int axis = ctx.normalize_axis(ctx.integer(1), ctx.input(0).rank() + 1);
  dims.insert(dims.begin() + axis, 1);
  ctx.set_output(0, ctx.take_input(0).reshaped(Shape(std::move(dims))));
}

// ensure_shape: passes the operand on and throws unless it has the shape of the attribute.
void infer_ensure_shape(InferContext& ctx) {
  ctx.expect_inputs(1);
  const auto wanted = ctx.attrs().get<PartialShape>("shape");
  ctx.set_output(0, ctx.input_dtype(0), ir::merge_shapes(ctx, ctx.input_shape(0), wanted));
  pass_dims(ctx);
}

void evaluate_ensure_shape(EvalContext& ctx) {
  const auto wanted = ctx.attrs().get<PartialShape>("shape");
  const Shape& shape = ctx.input(0).shape();
  if (!wanted.admits(shape)) ctx.fail_node("the shape is {}, not {}", shape.to_string(), wanted.to_string());
  ctx.set_output(0, ctx.take_input(0));
}

void infer_broadcast_to(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, ctx.input_dtype(0), listed_shape(ctx, 1));
}

void evaluate_broadcast_to(EvalContext& ctx) {
  const Tensor& input = ctx.input(0);
  const Shape wanted = shape_operand(ctx, 1, true);
  const int extra = wanted.rank() - input.rank();
  if (extra < 0) ctx.fail_node("{} has a higher rank than the wanted shape {}", input.describe(), wanted.to_string());
  Walk from{0, std::vector<std::int64_t>(static_cast<std::size_t>(wanted.rank()), 0)};
  const std::vector<std::int64_t> strides = row_major_strides(input.shape());
  for (int i = 0; i < input.rank(); ++i) {
    const std::int64_t size = input.dim(i);
    if (size != wanted[i + extra] && size != 1) {
      ctx.fail_node("{} does not broadcast to {}", input.describe(), wanted.to_string());
    }
    from.strides[static_cast<std::size_t>(i + extra)] = size == 1 ? 0 : strides[static_cast<std::size_t>(i)];
  }
  Tensor& output = ctx.allocate(0, input.dtype(), wanted);
  copy_walk(wanted, output, {0, row_major_strides(wanted)}, input, from);
}

// broadcast_args: two shapes as vectors; the shape that both broadcast to.
void infer_broadcast_args(InferContext& ctx) {
  ctx.expect_inputs(2);
  const auto a = ctx.dims(0), b = ctx.dims(1);
  if (a && b) {
    const PartialShape shape = ir::broadcast_shapes(ctx, PartialShape(*a), PartialShape(*b));
    ctx.set_output(0, ctx.input_dtype(0), Shape{shape.rank()});
    return ctx.set_dims(0, shape.dims());
  }
  const auto rank_a = known_length(ctx, 0), rank_b = known_length(ctx, 1);
  ctx.set_output(0, ctx.input_dtype(0), PartialShape{rank_a && rank_b ? Dim(std::max(*rank_a, *rank_b)) : ctx.fresh()});
}

void evaluate_broadcast_args(EvalContext& ctx) {
  const Shape result = broadcast_shape(ctx, shape_operand(ctx, 0, true), shape_operand(ctx, 1, true));
  store_integers(ctx, 0, ctx.input(0).dtype(), Shape{result.rank()}, result.dims());
}

// broadcast_gradient_args: two shapes; for each the axes of the broadcast result along which its gradient is summed.
void infer_broadcast_gradient_args(InferContext& ctx) {
  ctx.expect_inputs(2);
  for (int i = 0; i < 2; ++i) ctx.set_output(i, ctx.input_dtype(0), PartialShape{ctx.fresh()});
}

void evaluate_broadcast_gradient_args(EvalContext& ctx) {
  const Shape shapes[] = {shape_operand(ctx, 0, true), shape_operand(ctx, 1, true)};
  const Shape result = broadcast_shape(ctx, shapes[0], shapes[1]);
  for (int which = 0; which < 2; ++which) {
    const int extra = result.rank() - shapes[which].rank();
    std::vector<std::int64_t> axes;
    for (int i = 0; i < result.rank(); ++i) {
      if (shapes[0] != shapes[1] && (i < extra || shapes[which][i - extra] == 1)) axes.push_back(i);
    }
    store_integers(ctx, which, ctx.input(0).dtype(), Shape{static_cast<std::int64_t>(axes.size())}, axes);
  }
}

// fill: dims, value.
void infer_fill(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, ctx.input_dtype(1), listed_shape(ctx, 0));
  const auto length = ctx.node().outputs[0].shape;
  const auto value = ctx.dims(1);
  if (value && value->size() == 1 && length.fully_known() && length.rank() == 1 && length[0].size() <= 254) {
    ctx.set_dims(0, std::vector<Dim>(static_cast<std::size_t>(length[0].size()), value->at(0)));
  }
}

void evaluate_fill(EvalContext& ctx) {
  const Tensor value = ctx.input(1);
  if (value.num_elements() != 1 || value.rank() > 1) ctx.fail_node("the value must be a scalar, it is {}", value.describe());
  set_all(ctx.allocate(0, value.dtype(), shape_operand(ctx, 0, true)), value);
}

void infer_like(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

void evaluate_zeros_like(EvalContext& ctx) {
  const DataType dtype = ctx.input(0).dtype();
  if (dtype == DataType::kResource || dtype == DataType::kVariant)
    ctx.fail_node("there is no zero of {}", dtype_name(dtype));
  set_zero(ctx.allocate(0, dtype, ctx.input(0).shape()));
}

void evaluate_ones_like(EvalContext& ctx) {
  Tensor& output = ctx.allocate(0, ctx.input(0).dtype(), ctx.input(0).shape());
  visit_dtype(PlainTypes{}, output.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::fill(output.flat<T>(), static_cast<T>(1));
  });
}

// empty: a tensor of any contents; Tenon always gives zeros, so that results repeat.
void infer_empty(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), listed_shape(ctx, 0));
}

void evaluate_empty(EvalContext& ctx) {
  set_zero(ctx.allocate(0, ctx.attrs().get<DataType>("dtype"), shape_operand(ctx, 0, true)));
}

constexpr ir::OpDef kOps[] = {
    {"shape", infer_shape, evaluate_shape},
    {"size", infer_size, evaluate_size},
    {"rank", infer_rank, evaluate_rank},
    {"reshape", infer_reshape, evaluate_reshape},
    {"squeeze", infer_squeeze, evaluate_squeeze},
    {"expand_dims", infer_expand_dims, evaluate_expand_dims},
    {"ensure_shape", infer_ensure_shape, evaluate_ensure_shape},
    {"broadcast_to", infer_broadcast_to, evaluate_broadcast_to},
    {"broadcast_args", infer_broadcast_args, evaluate_broadcast_args},
    {"broadcast_gradient_args", infer_broadcast_gradient_args, evaluate_broadcast_gradient_args},
    {"fill", infer_fill, evaluate_fill},
    {"zeros_like", infer_like, evaluate_zeros_like},
    {"ones_like", infer_like, evaluate_ones_like},
    {"empty", infer_empty, evaluate_empty},
};

constexpr ImportRule kRules[] = {
    {"Shape", "shape"},
    {"ShapeN", "shape"},
    {"Size", "size"},
    {"Rank", "rank"},
    {"Reshape", "reshape"},
    {"Squeeze", "squeeze"},
    {"ExpandDims", "expand_dims"},
    {"EnsureShape", "ensure_shape"},
    {"BroadcastTo", "broadcast_to"},
    {"BroadcastArgs", "broadcast_args"},
    {"BroadcastGradientArgs", "broadcast_gradient_args"},
    {"Fill", "fill"},
    {"ZerosLike", "zeros_like"},
    {"OnesLike", "ones_like"},
    {"Empty", "empty"},
};

}  // namespace

const OpFamily& shape_family() {
  static const OpFamily family{"shape", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
