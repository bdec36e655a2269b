// Moving blocks of space into the batch and back, and rolling: strided copies of parts, of any dtype.
#include <algorithm>
#include <array>

#include "backends/cpu/kernels/strided_copy.h"
#include "backends/cpu/kernels/strides.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  const ir::Value& value = node.inputs.at(operand);
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

Verdict supports_parts(const ir::Node& node) {
  if (node.inputs.size() < 2) return Verdict::no("an operand is missing");
  const DataType dtype = type_of(node, 0).dtype;
  if (dtype == DataType::kInvalid || dtype == DataType::kString || dtype == DataType::kResource || dtype == DataType::kVariant) {
    return Verdict::no(fmt::format("dtype {} does not run in an engine", dtype_name(dtype)));
  }
  if (!type_of(node, 0).shape.known_rank()) return Verdict::no("the rank is not known");
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (auto verdict = require_known(node, static_cast<int>(i), fmt::format("operand {}", i)); !verdict) return verdict;
  }
  return Verdict::yes();
}

// A part of one tensor that goes to a part of the other: sizes, steps and first elements, in elements.
struct Part {
  std::vector<std::int64_t> dims, from_strides, to_strides;
  std::int64_t from = 0, to = 0;
};

std::unique_ptr<Step> copy_parts(const PlanContext& ctx, const std::vector<Part>& parts, bool zero_first) {
  struct Copy {
    StridedCopy copy;
    std::int64_t from, to;  // bytes
  };
  const Place& result = ctx.result();
  const auto unit = static_cast<std::int64_t>(dtype_size(result.dtype));
  std::vector<Copy> copies;
  for (const Part& part : parts) {
    if (std::find(part.dims.begin(), part.dims.end(), 0) != part.dims.end()) continue;
    copies.push_back({StridedCopy(part.dims, part.from_strides, part.to_strides, unit), part.from * unit, part.to * unit});
  }
  const std::int64_t zeros = zero_first ? result.elements() : 0;
  return make_step([copies = std::move(copies), zeros, unit, from = ctx.operand(0).slot, to = result.slot](const Frame& frame) {
    constexpr std::array<std::byte, 16> kZero{};
    if (zeros > 0) fill(frame.at<void>(to), kZero.data(), unit, zeros, *frame.team);
    for (const Copy& copy : copies) copy.copy.run(frame.at<const std::byte>(from) + copy.from, frame.at<std::byte>(to) + copy.to, *frame.team);
  });
}

// --- space_to_batch, batch_to_space

// Block sizes of the axes after the batch; pads (or crops) before and after each.
struct Blocks {
  std::vector<std::int64_t> sizes, borders;
  std::int64_t cells = 1;
};

Blocks blocks_of(const PlanContext& ctx) {
  Blocks blocks;
  if (ctx.num_operands() > 2) {
    blocks.sizes = ctx.integers(1);
    blocks.borders = ctx.integers(2);
  } else {
    blocks.sizes.assign(2, ctx.node().attr<std::int64_t>("block_size"));
    blocks.borders = ctx.integers(1);
  }
  const auto rank = static_cast<std::size_t>(ctx.operand(0).shape.rank());
  const bool fits = blocks.borders.size() == 2 * blocks.sizes.size() && blocks.sizes.size() < rank;
  if (!fits || std::any_of(blocks.sizes.begin(), blocks.sizes.end(), [](std::int64_t size) { return size < 1; })) {
    fail(ErrorCode::kInvalidArgument, "{}: block sizes do not fit the operand", ctx.node().describe());
  }
  for (const std::int64_t size : blocks.sizes) blocks.cells *= size;
  return blocks;
}

// Cell c of the batch holds every block's c-th element: where they lie in space and in the batch ("from" and "to").
Part cell_part(const Blocks& blocks, const Shape& space, const Shape& batched, std::int64_t cell) {
  Part part{space.dims(), dense_strides(space.dims()), dense_strides(batched.dims()), 0, 0};
  part.to = cell * space[0] * part.to_strides[0];
  std::int64_t rest = cell;
  for (std::size_t i = blocks.sizes.size(); i-- > 0;) {
    const std::int64_t block = blocks.sizes[i], inside = rest % block, pad = blocks.borders[2 * i];
    rest /= block;
    const auto axis = static_cast<int>(i) + 1;
    // Element j of this axis in the batch is element j * block + inside - pad in space.
    const std::int64_t first = std::max<std::int64_t>(0, (pad - inside + block - 1) / block);
    const std::int64_t end = (space[axis] + pad - inside + block - 1) / block;
    part.dims[i + 1] = std::max<std::int64_t>(0, std::min(end, batched[axis]) - first);
    part.to += first * part.to_strides[i + 1];
    part.from += (first * block + inside - pad) * part.from_strides[i + 1];
    part.from_strides[i + 1] *= block;
  }
  return part;
}

std::unique_ptr<Step> prepare_blocks(PlanContext& ctx, bool to_batch) {
  const Blocks blocks = blocks_of(ctx);
  const Shape &in = ctx.operand(0).shape, &out = ctx.result().shape;
  std::vector<Part> parts;
  for (std::int64_t cell = 0; cell < blocks.cells; ++cell) {
    Part part = cell_part(blocks, to_batch ? in : out, to_batch ? out : in, cell);
    if (!to_batch) {
      std::swap(part.from, part.to);
      std::swap(part.from_strides, part.to_strides);
    }
    parts.push_back(std::move(part));
  }
  const bool padded = std::any_of(blocks.borders.begin(), blocks.borders.end(), [](std::int64_t border) { return border != 0; });
  return copy_parts(ctx, parts, to_batch && padded);
}

Lowered lower_blocks(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.unread = Positions::from(1);
  lowered.prepare = [to_batch = node.is("space_to_batch")](PlanContext& ctx) { return prepare_blocks(ctx, to_batch); };
  return lowered;
}

// --- roll

// Splits every part where it wraps around the end of an axis.
std::vector<Part> split_at(std::vector<Part> parts, std::size_t axis, std::int64_t shift) {
  std::vector<Part> result;
  for (const Part& whole : parts) {
    const std::int64_t size = whole.dims[axis], kept = size - shift;
    Part head = whole, tail = whole;
    head.dims[axis] = kept;
    head.to += shift * whole.to_strides[axis];
    tail.dims[axis] = shift;
    tail.from += kept * whole.from_strides[axis];
    result.push_back(std::move(head));
    if (shift > 0) result.push_back(std::move(tail));
  }
  return result;
}

std::unique_ptr<Step> prepare_roll(PlanContext& ctx) {
  const Shape& shape = ctx.operand(0).shape;
  const std::vector<std::int64_t> shifts = ctx.integers(1), axes = ctx.integers(2);
  if (shifts.size() != axes.size()) fail(ErrorCode::kInvalidArgument, "{}: shift and axis have different lengths", ctx.node().describe());
  std::vector<std::int64_t> by_axis(static_cast<std::size_t>(shape.rank()), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int axis = resolve_axis(ctx, axes[i], shape.rank());
    const std::int64_t size = shape[axis];
    std::int64_t& shift = by_axis[static_cast<std::size_t>(axis)];
    if (size > 0) shift = ((shift + shifts[i] % size) % size + size) % size;
  }
  const std::vector<std::int64_t> strides = dense_strides(shape.dims());
  std::vector<Part> parts = {{shape.dims(), strides, strides, 0, 0}};
  for (std::size_t axis = 0; axis < by_axis.size(); ++axis) parts = split_at(std::move(parts), axis, by_axis[axis]);
  return copy_parts(ctx, parts, false);
}

Lowered lower_roll(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "roll";
  lowered.unread = Positions::from(1);
  lowered.prepare = prepare_roll;
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"space_to_batch", supports_parts, lower_blocks},
    {"batch_to_space", supports_parts, lower_blocks},
    {"roll", supports_parts, lower_roll},
};

}  // namespace

const LoweringFamily& blocks_lowerings() {
  static const LoweringFamily family{"blocks", kLowerings};
  return family;
}

}  // namespace tenon::cpu
