// Moving blocks of space into the batch or into the channels, and back.
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// What both directions are given: block sizes of the axes after the batch, and pads (or crops) before and after each.
struct Blocks {
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> borders;  // before and after, per axis

  int axes() const { return static_cast<int>(sizes.size()); }
};

// …_nd: input, block_shape, borders. The older ops have one block size for two axes as an attribute: input, borders.
std::optional<Blocks> known_blocks(const InferContext& ctx) {
  if (ctx.attrs().has("block_size")) {
    const auto borders = constant_elements(ctx, 1);
    if (!borders) return std::nullopt;
    return Blocks{std::vector<std::int64_t>(2, ctx.attrs().get<std::int64_t>("block_size")), *borders};
  }
  const auto sizes = constant_elements(ctx, 1), borders = constant_elements(ctx, 2);
  if (!sizes || !borders) return std::nullopt;
  return Blocks{*sizes, *borders};
}

Blocks blocks_of(const EvalContext& ctx) {
  if (ctx.attrs().has("block_size")) {
    return {std::vector<std::int64_t>(2, ctx.attrs().get<std::int64_t>("block_size")), ctx.integers(1)};
  }
  return {ctx.integers(1), ctx.integers(2)};
}

std::int64_t check_blocks(const Blocks& blocks, int rank) {
  if (blocks.borders.size() != 2 * blocks.sizes.size() || blocks.axes() + 1 > rank) {
    fail(ErrorCode::kInvalidArgument, "{} block sizes and {} borders do not fit rank {}", blocks.sizes.size(),
         blocks.borders.size(), rank);
  }
  std::int64_t cells = 1;
  for (std::int64_t size : blocks.sizes) {
    if (size < 1 || __builtin_mul_overflow(cells, size, &cells))
      fail(ErrorCode::kInvalidArgument, "block size {} is invalid", size);
  }
  for (std::int64_t border : blocks.borders) {
    if (border < 0 || border > std::int64_t{1} << 46) fail(ErrorCode::kInvalidArgument, "pad or crop {} is invalid", border);
  }
  return cells;
}

// The shape that space_to_batch gives.
Shape batched_shape(const Blocks& blocks, const Shape& input) {
  Shape result = input;
  const std::int64_t cells = check_blocks(blocks, input.rank());
  if (__builtin_mul_overflow(result[0], cells, &result[0])) fail(ErrorCode::kInvalidArgument, "the batch becomes too large");
  for (int i = 0; i < blocks.axes(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t padded = input[i + 1] + blocks.borders[2 * at] + blocks.borders[2 * at + 1];
    if (padded % blocks.sizes[at] != 0) {
      fail(ErrorCode::kInvalidArgument, "the padded size {} is no multiple of block size {}", padded, blocks.sizes[at]);
    }
    result[i + 1] = padded / blocks.sizes[at];
  }
  return result;
}

// The shape that batch_to_space gives.
Shape spaced_shape(const Blocks& blocks, const Shape& input) {
  Shape result = input;
  const std::int64_t cells = check_blocks(blocks, input.rank());
  if (input[0] % cells != 0)
    fail(ErrorCode::kInvalidArgument, "the batch {} is no multiple of {} block cells", input[0], cells);
  result[0] = input[0] / cells;
  for (int i = 0; i < blocks.axes(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    std::int64_t whole = 0;
    if (__builtin_mul_overflow(input[i + 1], blocks.sizes[at], &whole))
      fail(ErrorCode::kInvalidArgument, "the result is too large");
    result[i + 1] = whole - blocks.borders[2 * at] - blocks.borders[2 * at + 1];
    if (result[i + 1] < 0) fail(ErrorCode::kInvalidArgument, "crops exceed the size {}", whole);
  }
  return result;
}

template <class ShapeOf>
void infer_blocks(InferContext& ctx, ShapeOf shape_of) {
  const PartialShape& shape = ctx.input_shape(0);
  const auto blocks = known_blocks(ctx);
  if (!shape.known_rank() || !blocks) {
    return ctx.set_output(0, ctx.input_dtype(0), shape.known_rank() ? ctx.fresh_shape(shape.rank()) : PartialShape{});
  }
  const std::int64_t cells = check_blocks(*blocks, shape.rank());
  // Unknown sizes are computed as if they were a multiple of everything, then replaced.
  Shape assumed;
  for (int i = 0; i < shape.rank(); ++i) {
    std::int64_t stand_in = i == 0 ? cells : 0;
    if (i > 0 && i <= blocks->axes()) {
      const auto at = static_cast<std::size_t>(i - 1);
      const std::int64_t borders = blocks->borders[2 * at] + blocks->borders[2 * at + 1];
      stand_in = (borders / blocks->sizes[at] + 1) * blocks->sizes[at] * blocks->sizes[at] - borders;
      stand_in = std::max<std::int64_t>(stand_in, 0);
    }
    assumed.push_back(shape[i].known() ? shape[i].size() : stand_in);
  }
  PartialShape result = shape_of(*blocks, assumed);
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i].known()) continue;
    const bool untouched = i > blocks->axes() || (i == 0 && cells == 1) ||
                           (i > 0 && blocks->sizes[static_cast<std::size_t>(i - 1)] == 1 &&
                            blocks->borders[static_cast<std::size_t>(2 * i - 2)] == 0 &&
                            blocks->borders[static_cast<std::size_t>(2 * i - 1)] == 0);
    result[i] = untouched ? shape[i] : ctx.fresh();
  }
  ctx.set_output(0, ctx.input_dtype(0), std::move(result));
}

void infer_space_to_batch(InferContext& ctx) { infer_blocks(ctx, batched_shape); }
void infer_batch_to_space(InferContext& ctx) { infer_blocks(ctx, spaced_shape); }

// Copies between a tensor in space and one in batches: cell c of the batch holds every block's c-th element. Outside of
// `space` nothing is copied.
template <class CopyBox>
void for_each_cell(const Blocks& blocks, const Shape& space, const Shape& batched, CopyBox&& copy_box) {
  const std::vector<std::int64_t> space_strides = row_major_strides(space), batch_strides = row_major_strides(batched);
  const std::int64_t cells = check_blocks(blocks, space.rank());
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    Shape box = space;
    Walk in_space{0, space_strides}, in_batch{cell * space[0] * batch_strides[0], batch_strides};
    std::int64_t rest = cell;
    for (int i = blocks.axes(); i-- > 0;) {
      const auto at = static_cast<std::size_t>(i);
      const std::int64_t block = blocks.sizes[at], inside = rest % block, pad = blocks.borders[2 * at];
      rest /= block;
      // Element j of this axis in the batch is element j * block + inside - pad in space.
      const std::int64_t first = std::max<std::int64_t>(0, (pad - inside + block - 1) / block);
      const std::int64_t count = (space[i + 1] + pad - inside + block - 1) / block - first;
      box[i + 1] = std::max<std::int64_t>(0, std::min(count, batched[i + 1] - first));
      in_batch.offset += first * batch_strides[at + 1];
      in_space.offset += (first * block + inside - pad) * space_strides[at + 1];
      in_space.strides[at + 1] *= block;
    }
    copy_box(box, in_space, in_batch);
  }
}

void evaluate_space_to_batch(EvalContext& ctx) {
  const Blocks blocks = blocks_of(ctx);
  const Tensor input = ctx.input(0);
  Tensor& output = ctx.allocate(0, input.dtype(), batched_shape(blocks, input.shape()));
  set_zero(output);
  for_each_cell(blocks, input.shape(), output.shape(), [&](const Shape& box, const Walk& in_space, const Walk& in_batch) {
    copy_walk(box, output, in_batch, input, in_space);
  });
}

void evaluate_batch_to_space(EvalContext& ctx) {
  const Blocks blocks = blocks_of(ctx);
  const Tensor input = ctx.input(0);
  Tensor& output = ctx.allocate(0, input.dtype(), spaced_shape(blocks, input.shape()));
  for_each_cell(blocks, output.shape(), input.shape(), [&](const Shape& box, const Walk& in_space, const Walk& in_batch) {
    copy_walk(box, output, in_space, input, in_batch);
  });
}

// depth_to_space, space_to_depth: attributes block_size and data_format (NHWC, NCHW, NCHW_VECT_C).
struct DepthAxes {
  int rank, height, width, channel;
};

DepthAxes depth_axes(const ir::Attrs& attrs) {
  const auto format = attrs.get_or<std::string>("data_format", "NHWC");
  if (format == "NHWC") return {4, 1, 2, 3};
  if (format == "NCHW") return {4, 2, 3, 1};
  fail(ErrorCode::kUnsupported, "data_format \"{}\" is not supported here; NHWC and NCHW are", format);
}

std::int64_t block_size(const ir::Attrs& attrs) {
  const auto block = attrs.get<std::int64_t>("block_size");
  if (block < 2 || block > 1 << 20) fail(ErrorCode::kInvalidModel, "block_size is {}", block);
  return block;
}

template <bool kToDepth>
void infer_depth(InferContext& ctx) {
  ctx.expect_inputs(1);
  const DepthAxes axes = depth_axes(ctx.attrs());
  const std::int64_t block = block_size(ctx.attrs());
  ctx.expect_rank(0, axes.rank);
  if (!ctx.input_shape(0).known_rank()) return ctx.set_output(0, ctx.input_dtype(0), ctx.fresh_shape(axes.rank));
  std::vector<Dim> dims = ctx.input_shape(0).dims();
  const auto scale = [&](int axis, std::int64_t factor, bool up) {
    Dim& dim = dims[static_cast<std::size_t>(axis)];
    if (!up && dim.known() && dim.size() % factor != 0)
      ctx.fail_node("axis {} of size {} is no multiple of {}", axis, dim.size(), factor);
    if (up) {
      dim = multiply(ctx, dim, factor);
    } else if (factor != 1) {
      dim = dim.known() ? Dim(dim.size() / factor) : ctx.fresh();
    }
  };
  scale(axes.height, block, !kToDepth);
  scale(axes.width, block, !kToDepth);
  scale(axes.channel, block * block, kToDepth);
  ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
}

template <bool kToDepth>
void evaluate_depth(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const DepthAxes axes = depth_axes(ctx.attrs());
  const std::int64_t block = block_size(ctx.attrs());
  expect_rank(ctx, 0, axes.rank);
  // `space` has the larger plane, `depth` the more channels.
  Shape shape = input.shape();
  if (kToDepth ? shape[axes.height] % block != 0 || shape[axes.width] % block != 0
               : shape[axes.channel] % (block * block) != 0) {
    ctx.fail_node("{} does not divide into blocks of {}", input.describe(), block);
  }
  for (int axis : {axes.height, axes.width}) {
    if (kToDepth) shape[axis] /= block;
    if (!kToDepth && __builtin_mul_overflow(shape[axis], block, &shape[axis])) ctx.fail_node("the result is too large");
  }
  if (!kToDepth) shape[axes.channel] /= block * block;
  if (kToDepth && __builtin_mul_overflow(shape[axes.channel], block * block, &shape[axes.channel]))
    ctx.fail_node("the result is too large");
  Tensor& output = ctx.allocate(0, input.dtype(), shape);
  const Shape& space = kToDepth ? input.shape() : shape;
  const Shape& depth = kToDepth ? shape : input.shape();
  const auto space_strides = row_major_strides(space), depth_strides = row_major_strides(depth);
  const auto stride = [](const std::vector<std::int64_t>& strides, int axis) {
    return strides[static_cast<std::size_t>(axis)];
  };
  const Shape box{space[0], depth[axes.height], block, depth[axes.width], block, space[axes.channel]};
  const std::int64_t cell = space[axes.channel] * stride(depth_strides, axes.channel);
  const Walk in_space{
      0,
      {space_strides[0], stride(space_strides, axes.height) * block, stride(space_strides, axes.height),
       stride(space_strides, axes.width) * block, stride(space_strides, axes.width), stride(space_strides, axes.channel)}};
  const Walk in_depth{0,
                      {depth_strides[0], stride(depth_strides, axes.height), cell * block, stride(depth_strides, axes.width),
                       cell, stride(depth_strides, axes.channel)}};
  copy_walk(box, output, kToDepth ? in_depth : in_space, input, kToDepth ? in_space : in_depth);
}

constexpr ir::OpDef kOps[] = {
    {"space_to_batch", infer_space_to_batch, evaluate_space_to_batch},
    {"batch_to_space", infer_batch_to_space, evaluate_batch_to_space},
    {"space_to_depth", infer_depth<true>, evaluate_depth<true>},
    {"depth_to_space", infer_depth<false>, evaluate_depth<false>},
};

constexpr ImportRule kRules[] = {
    {"SpaceToBatch", "space_to_batch"},   {"SpaceToBatchND", "space_to_batch"}, {"BatchToSpace", "batch_to_space"},
    {"BatchToSpaceND", "batch_to_space"}, {"SpaceToDepth", "space_to_depth"},   {"DepthToSpace", "depth_to_space"},
};

}  // namespace

const OpFamily& space_batch_family() {
  static const OpFamily family{"space_batch", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
