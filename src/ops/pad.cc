// Making tensors larger: constant and mirrored borders, tiling.
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// pad and mirror_pad: input, paddings [rank, 2] (before and after each axis), and for pad perhaps the constant.
void infer_pad(InferContext& ctx) {
  ctx.expect_inputs(2, 3);
  const PartialShape& shape = ctx.input_shape(0);
  const PartialShape& rows = ctx.input_shape(1);
  ctx.expect_rank(1, 2);
  if (!shape.known_rank()) {
    const bool known = rows.known_rank() && rows[0].known() && rows[0].size() <= 254;
    return ctx.set_output(0, ctx.input_dtype(0), known ? ctx.fresh_shape(static_cast<int>(rows[0].size())) : PartialShape{});
  }
  const auto paddings = constant_elements(ctx, 1);
  if (!paddings) return ctx.set_output(0, ctx.input_dtype(0), ctx.fresh_shape(shape.rank()));
  if (static_cast<int>(paddings->size()) != 2 * shape.rank()) {
    ctx.fail_node("{} paddings are given for shape {}", paddings->size() / 2, shape.to_string());
  }
  PartialShape result = shape;
  for (int i = 0; i < shape.rank(); ++i) {
    for (int side = 0; side < 2; ++side) {
      const std::int64_t width = (*paddings)[static_cast<std::size_t>(2 * i + side)];
      if (width < 0) ctx.fail_node("a padding is negative: {}", width);
      result[i] = add(ctx, result[i], width);
    }
  }
  ctx.set_output(0, ctx.input_dtype(0), std::move(result));
}

std::vector<std::int64_t> checked_paddings(EvalContext& ctx) {
  std::vector<std::int64_t> paddings = ctx.integers(1);
  const Tensor& operand = ctx.input(1);
  if (operand.rank() != 2 || operand.dim(0) != ctx.input(0).rank() || operand.dim(1) != 2) {
    ctx.fail_node("paddings are {} for {}", operand.describe(), ctx.input(0).describe());
  }
  for (std::int64_t width : paddings) {
    if (width < 0 || width > std::int64_t{1} << 46) ctx.fail_node("padding {} is negative or too large", width);
  }
  return paddings;
}

void evaluate_pad(EvalContext& ctx) {
  const std::vector<std::int64_t> paddings = checked_paddings(ctx);
  const Tensor input = ctx.input(0);
  Shape shape = input.shape();
  for (int i = 0; i < shape.rank(); ++i) {
    const auto at = static_cast<std::size_t>(2 * i);
    shape[i] += paddings[at] + paddings[at + 1];
  }
  Tensor output(input.dtype(), shape);
  if (ctx.num_inputs() == 3) {
    if (ctx.input(2).num_elements() != 1) ctx.fail_node("the constant must be a scalar, it is {}", ctx.input(2).describe());
    set_all(output, ctx.input(2));
  } else {
    set_zero(output);
  }
  Walk to{0, row_major_strides(shape)};
  for (std::size_t i = 0; i < to.strides.size(); ++i) to.offset += paddings[2 * i] * to.strides[i];
  copy_walk(input.shape(), output, to, input, {0, row_major_strides(input.shape())});
  ctx.set_output(0, std::move(output));
}

// mode REFLECT leaves the border element out of the mirror image, SYMMETRIC repeats it.
void evaluate_mirror_pad(EvalContext& ctx) {
  const std::vector<std::int64_t> paddings = checked_paddings(ctx);
  const auto mode = ctx.attrs().get<std::string>("mode");
  if (mode != "REFLECT" && mode != "SYMMETRIC") ctx.fail_node("mode \"{}\" is neither REFLECT nor SYMMETRIC", mode);
  const std::int64_t skip = mode == "REFLECT" ? 1 : 0;
  Tensor result = ctx.input(0);
  for (int i = 0; i < result.rank(); ++i) {
    const auto at = static_cast<std::size_t>(2 * i);
    const std::int64_t before = paddings[at], after = paddings[at + 1], size = result.dim(i);
    if (before > size - skip || after > size - skip) {
      ctx.fail_node("paddings {} and {} exceed what axis {} of size {} can mirror", before, after, i, size);
    }
    if (before == 0 && after == 0) continue;
    std::vector<std::int64_t> indices;
    for (std::int64_t j = before; j > 0; --j) indices.push_back(j - 1 + skip);
    for (std::int64_t j = 0; j < size; ++j) indices.push_back(j);
    for (std::int64_t j = 0; j < after; ++j) indices.push_back(size - 1 - skip - j);
    result = take(result, i, indices);
  }
  ctx.set_output(0, std::move(result));
}

// tile: input, multiples.
void infer_tile(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape& shape = ctx.input_shape(0);
  const auto multiples = ctx.dims(1);
  if (!shape.known_rank() || !multiples) {
    const auto rank = shape.known_rank() ? std::optional<int>(shape.rank()) : known_length(ctx, 1);
    return ctx.set_output(0, ctx.input_dtype(0), rank ? ctx.fresh_shape(*rank) : PartialShape{});
  }
  if (static_cast<int>(multiples->size()) != shape.rank()) {
    ctx.fail_node("{} multiples are given for shape {}", multiples->size(), shape.to_string());
  }
  PartialShape result = shape;
  for (int i = 0; i < shape.rank(); ++i) result[i] = multiply(ctx, shape[i], (*multiples)[static_cast<std::size_t>(i)]);
  ctx.set_output(0, ctx.input_dtype(0), std::move(result));
}

void evaluate_tile(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const Shape multiples = shape_operand(ctx, 1);
  if (multiples.rank() != input.rank()) ctx.fail_node("{} multiples are given for {}", multiples.rank(), input.describe());
  Shape result, box;
  Walk from;
  const std::vector<std::int64_t> strides = row_major_strides(input.shape());
  for (int i = 0; i < input.rank(); ++i) {
    std::int64_t size = 0;
    if (__builtin_mul_overflow(input.dim(i), multiples[i], &size)) ctx.fail_node("the result is too large");
    result.push_back(size);
    box.push_back(multiples[i]);
    box.push_back(input.dim(i));
    from.strides.push_back(0);
    from.strides.push_back(strides[static_cast<std::size_t>(i)]);
  }
  Tensor& output = ctx.allocate(0, input.dtype(), std::move(result));
  copy_walk(box, output, {0, row_major_strides(box)}, input, from);
}

constexpr ir::OpDef kOps[] = {
    {"pad", infer_pad, evaluate_pad},
    {"mirror_pad", infer_pad, evaluate_mirror_pad},
    {"tile", infer_tile, evaluate_tile},
};

constexpr ImportRule kRules[] = {
    {"Pad", "pad"},
    {"PadV2", "pad"},
    {"MirrorPad", "mirror_pad"},
    {"Tile", "tile"},
};

}  // namespace

const OpFamily& pad_family() {
  static const OpFamily family{"pad", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
