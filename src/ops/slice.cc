// Cutting tensors: slices, splits and unpacking.
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// slice: input, begin, size; a size of -1 takes the rest.
void infer_slice(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape& shape = ctx.input_shape(0);
  int rank = shape.known_rank() ? shape.rank() : -1;
  for (int i = 1; i <= 2; ++i) {
    const auto length = known_length(ctx, i);
    if (length && rank >= 0 && *length != rank) ctx.fail_node("input {} has {} entries for rank {}", i, *length, rank);
    if (length) rank = *length;
  }
  if (rank < 0) return ctx.set_output(0, ctx.input_dtype(0), {});
  const auto begin = known_integers(ctx, 1);
  const auto sizes = known_integers(ctx, 2);
  const auto listed = ctx.dims(2);
  std::vector<Dim> dims;
  for (int i = 0; i < rank; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Dim whole = shape.known_rank() ? shape[i] : ctx.fresh();
    if (sizes && (*sizes)[at] >= 0) {
      dims.emplace_back((*sizes)[at]);
    } else if (sizes && begin && (*begin)[at] == 0) {
      dims.push_back(whole);
    } else if (sizes && begin && whole.known()) {
      dims.emplace_back(std::max<std::int64_t>(0, whole.size() - (*begin)[at]));
    } else {
      dims.push_back(listed ? (*listed)[at] : ctx.fresh());
    }
  }
  const auto elements = ctx.dims(0);
  if (elements && rank == 1 && begin && sizes && (*begin)[0] >= 0 && dims[0].known() &&
      (*begin)[0] + dims[0].size() <= static_cast<std::int64_t>(elements->size())) {
    const auto first = elements->begin() + (*begin)[0];
    ctx.set_dims(0, std::vector<Dim>(first, first + dims[0].size()));
  }
  ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
}

void evaluate_slice(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const std::vector<std::int64_t> begin = ctx.integers(1);
  std::vector<std::int64_t> sizes = ctx.integers(2);
  if (begin.size() != sizes.size() || static_cast<int>(begin.size()) != input.rank()) {
    ctx.fail_node("begin has {} and size {} entries for {}", begin.size(), sizes.size(), input.describe());
  }
  Walk from{0, row_major_strides(input.shape())};
  for (int i = 0; i < input.rank(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t whole = input.dim(i);
    if (begin[at] < 0 || begin[at] > whole) ctx.fail_node("begin[{}] is {}, outside [0, {}]", i, begin[at], whole);
    if (sizes[at] == -1) sizes[at] = whole - begin[at];
    if (sizes[at] < 0 || sizes[at] > whole - begin[at]) {
      ctx.fail_node("size[{}] is {}, outside [0, {}]", i, sizes[at], whole - begin[at]);
    }
    from.offset += begin[at] * from.strides[at];
  }
  const Shape box(std::move(sizes));
  Tensor& output = ctx.allocate(0, input.dtype(), box);
  copy_walk(box, output, {0, row_major_strides(box)}, input, from);
}

int output_count(const ir::Attrs& attrs, std::string_view name) {
  const auto count = attrs.get<std::int64_t>(name);
  constexpr std::int64_t kMax = 1 << 20;
  if (count < 0 || count > kMax)
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" is {}, outside [0, {}]", name, count, kMax);
  return static_cast<int>(count);
}

// The parts of `input` along `axis`, `sizes[i]` wide, as the outputs.
void deliver_parts(EvalContext& ctx, const Tensor& input, int axis, const std::vector<std::int64_t>& sizes) {
  Walk from{0, row_major_strides(input.shape())};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    Shape box = input.shape();
    box[axis] = sizes[i];
    Tensor& part = ctx.allocate(static_cast<int>(i), input.dtype(), box);
    copy_walk(box, part, {0, row_major_strides(box)}, input, from);
    from.offset += sizes[i] * from.strides[static_cast<std::size_t>(axis)];
  }
}

// Parts of a vector of sizes are sizes.
void pass_part_dims(InferContext& ctx, int operand, const std::vector<std::int64_t>& sizes) {
  const auto dims = ctx.dims(operand);
  if (!dims || ctx.input_shape(operand).rank() != 1) return;
  std::size_t start = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto count = static_cast<std::size_t>(sizes[i]);
    if (start + count > dims->size()) return;
    const auto first = dims->begin() + static_cast<std::ptrdiff_t>(start);
    ctx.set_dims(static_cast<int>(i), std::vector<Dim>(first, first + static_cast<std::ptrdiff_t>(count)));
    start += count;
  }
}

// split: axis, input -> num_split equal parts.
void infer_split(InferContext& ctx) {
  ctx.expect_inputs(2);
  const int count = output_count(ctx.attrs(), "num_split");
  if (count < 1) ctx.fail_node("num_split is {}", count);
  ctx.set_num_outputs(count);
  PartialShape part = ctx.input_shape(1);
  if (part.known_rank()) {
    if (const auto known = known_integer(ctx, 0)) {
      const int axis = ir::normalize_axis(ctx, *known, part.rank());
      if (part[axis].known()) {
        if (part[axis].size() % count != 0)
          ctx.fail_node("axis {} of {} cannot be split in {}", axis, part.to_string(), count);
        part[axis] = part[axis].size() / count;
      } else if (count > 1) {
        part[axis] = ctx.fresh();
      }
    } else {
      part = ctx.fresh_shape(part.rank());
    }
  }
  for (int i = 0; i < count; ++i) ctx.set_output(i, ctx.input_dtype(1), part);
  if (part.known_rank() && part.rank() == 1 && part[0].known()) {
    pass_part_dims(ctx, 1, std::vector<std::int64_t>(static_cast<std::size_t>(count), part[0].size()));
  }
}

void evaluate_split(EvalContext& ctx) {
  const Tensor input = ctx.input(1);
  const int axis = ctx.normalize_axis(ctx.integer(0), input.rank());
  const int count = ctx.num_outputs();
  if (count < 1 || input.dim(axis) % count != 0)
    ctx.fail_node("axis {} of {} cannot be split in {}", axis, input.describe(), count);
  if (count == 1) return ctx.set_output(0, input);
  deliver_parts(ctx, input, axis, std::vector<std::int64_t>(static_cast<std::size_t>(count), input.dim(axis) / count));
}

// split_v: input, sizes, axis; one size may be -1: the rest.
void infer_split_v(InferContext& ctx) {
  ctx.expect_inputs(3);
  const int count = output_count(ctx.attrs(), "num_split");
  ctx.set_num_outputs(count);
  const PartialShape shape = ctx.input_shape(0);
  const auto known_axis = known_integer(ctx, 2);
  auto sizes = known_integers(ctx, 1);
  if (sizes && static_cast<int>(sizes->size()) != count)
    ctx.fail_node("{} sizes are given for {} parts", sizes->size(), count);
  const bool placed = shape.known_rank() && known_axis;
  const int axis = placed ? ir::normalize_axis(ctx, *known_axis, shape.rank()) : 0;
  if (placed && sizes && shape[axis].known()) {
    std::int64_t rest = shape[axis].size();
    for (std::int64_t size : *sizes) rest -= std::max<std::int64_t>(size, 0);
    std::replace(sizes->begin(), sizes->end(), std::int64_t{-1}, std::max<std::int64_t>(rest, 0));
  }
  for (int i = 0; i < count; ++i) {
    PartialShape part = placed || !shape.known_rank() ? shape : ctx.fresh_shape(shape.rank());
    if (placed) {
      const bool known = sizes && (*sizes)[static_cast<std::size_t>(i)] >= 0;
      part[axis] = known ? Dim((*sizes)[static_cast<std::size_t>(i)]) : ctx.fresh();
    }
    ctx.set_output(i, ctx.input_dtype(0), std::move(part));
  }
  if (placed && sizes && std::ranges::none_of(*sizes, [](std::int64_t size) { return size < 0; }))
    pass_part_dims(ctx, 0, *sizes);
}

void evaluate_split_v(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  std::vector<std::int64_t> sizes = ctx.integers(1);
  const int axis = ctx.normalize_axis(ctx.integer(2), input.rank());
  if (static_cast<int>(sizes.size()) != ctx.num_outputs()) {
    ctx.fail_node("{} sizes are given for {} parts", sizes.size(), ctx.num_outputs());
  }
  std::int64_t rest = input.dim(axis);
  auto unknown = sizes.end();
  for (auto it = sizes.begin(); it != sizes.end(); ++it) {
    if (*it == -1 && unknown == sizes.end()) {
      unknown = it;
    } else if (*it < 0 || *it > rest) {
      ctx.fail_node("size {} does not fit axis {} of {}", *it, axis, input.describe());
    } else {
      rest -= *it;
    }
  }
  if (unknown != sizes.end()) {
    *unknown = rest;
  } else if (rest != 0) {
    ctx.fail_node("the sizes leave {} of axis {} of {}", rest, axis, input.describe());
  }
  deliver_parts(ctx, input, axis, sizes);
}

// unpack: the slices along an axis, one output each, without that axis.
void infer_unpack(InferContext& ctx) {
  ctx.expect_inputs(1);
  const int count = output_count(ctx.attrs(), "num");
  ctx.set_num_outputs(count);
  PartialShape part = ctx.input_shape(0);
  if (part.known_rank()) {
    const int axis = ir::normalize_axis(ctx, ctx.attrs().get_or<std::int64_t>("axis", 0), part.rank());
    if (part[axis].known() && part[axis].size() != count) {
      ctx.fail_node("axis {} of {} does not have {} slices", axis, part.to_string(), count);
    }
    part.dims().erase(part.dims().begin() + axis);
  }
  for (int i = 0; i < count; ++i) ctx.set_output(i, ctx.input_dtype(0), part);
  if (part.known_rank() && part.rank() == 0)
    pass_part_dims(ctx, 0, std::vector<std::int64_t>(static_cast<std::size_t>(count), 1));
}

void evaluate_unpack(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const int axis = ctx.normalize_axis(ctx.attrs().get_or<std::int64_t>("axis", 0), input.rank());
  if (input.dim(axis) != ctx.num_outputs()) {
    ctx.fail_node("axis {} of {} does not have {} slices", axis, input.describe(), ctx.num_outputs());
  }
  deliver_parts(ctx, input, axis, std::vector<std::int64_t>(static_cast<std::size_t>(ctx.num_outputs()), 1));
  std::vector<std::int64_t> dims = input.shape().dims();
  dims.erase(dims.begin() + axis);
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.set_output(i, ctx.output(i).reshaped(Shape(dims)));
}

constexpr ir::OpDef kOps[] = {
    {"slice", infer_slice, evaluate_slice},
    {"split", infer_split, evaluate_split},
    {"split_v", infer_split_v, evaluate_split_v},
    {"unpack", infer_unpack, evaluate_unpack},
};

constexpr ImportRule kRules[] = {
    {"Slice", "slice"},
    {"Split", "split"},
    {"SplitV", "split_v"},
    {"Unpack", "unpack"},
};

}  // namespace

const OpFamily& slice_family() {
  static const OpFamily family{"slice", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
