#include "ops/strided_slice.h"

#include <algorithm>

#include "base/error.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using Kind = SliceItem::Kind;

bool has_bit(std::int64_t mask, int bit) { return ((mask >> bit) & 1) != 0; }

// The specification's operands as far as they are known.
struct KnownSpec {
  std::optional<std::vector<std::int64_t>> begin, end, strides;
  int entries = 0;

  bool complete() const { return begin && end && strides; }
};

KnownSpec known_spec(const InferContext& ctx) {
  KnownSpec spec{known_integers(ctx, 1), known_integers(ctx, 2), known_integers(ctx, 3), -1};
  for (int i = 1; i <= 3; ++i) {
    const auto length = known_length(ctx, i);
    if (!length) continue;
    if (spec.entries >= 0 && *length != spec.entries) ctx.fail_node("begin, end and strides have different lengths");
    spec.entries = *length;
  }
  return spec;
}

// The size that a range leaves: exact for known bounds; the whole axis when both masks are set and the stride is 1.
Dim range_size(InferContext& ctx, const SliceItem& item, const SliceMasks& masks, const KnownSpec& spec, Dim size) {
  const auto entry = static_cast<std::size_t>(item.entry);
  const auto at = [&](const std::optional<std::vector<std::int64_t>>& values) -> std::optional<std::int64_t> {
    if (!values) return std::nullopt;
    return (*values)[entry];
  };
  const auto begin = has_bit(masks.begin, item.entry) ? std::optional<std::int64_t>(0) : at(spec.begin);
  const auto end = has_bit(masks.end, item.entry) ? std::optional<std::int64_t>(0) : at(spec.end);
  const auto stride = at(spec.strides);
  if (size.known() && begin && end && stride) return slice_range(item, masks, *begin, *end, *stride, size.size()).count;
  if (stride == 1 && begin == 0 && has_bit(masks.end, item.entry)) return size;
  if (stride == -1 && has_bit(masks.begin, item.entry) && has_bit(masks.end, item.entry)) return size;
  return ctx.fresh();
}

// Slices a vector of sizes, so that the result is known to be sizes too.
void pass_dims(InferContext& ctx, const std::vector<SliceItem>& items, const SliceMasks& masks, const KnownSpec& spec) {
  const auto dims = ctx.dims(0);
  if (!dims || !spec.complete() || ctx.input_shape(0).rank() != 1) return;
  std::vector<Dim> picked;
  for (const SliceItem& item : items) {
    if (item.kind == Kind::kNewAxis) return;
    if (item.kind == Kind::kWhole) {
      picked = *dims;
      continue;
    }
    const auto entry = static_cast<std::size_t>(item.entry);
    const SliceRange range = slice_range(item, masks, (*spec.begin)[entry], (*spec.end)[entry], (*spec.strides)[entry],
                                         static_cast<std::int64_t>(dims->size()));
    for (std::int64_t i = 0; i < range.count; ++i)
      picked.push_back((*dims)[static_cast<std::size_t>(range.start + i * range.stride)]);
  }
  ctx.set_dims(0, std::move(picked));
}

// strided_slice: input, begin, end, strides.
void infer_strided_slice(InferContext& ctx) {
  ctx.expect_inputs(4);
  const SliceMasks masks = slice_masks(ctx.attrs());
  const KnownSpec spec = known_spec(ctx);
  const PartialShape& shape = ctx.input_shape(0);
  if (!shape.known_rank() || spec.entries < 0) return ctx.set_output(0, ctx.input_dtype(0), {});
  const std::vector<SliceItem> items = spread_slice(masks, spec.entries, shape.rank());
  std::vector<Dim> dims;
  for (const SliceItem& item : items) {
    if (item.kind == Kind::kNewAxis) dims.emplace_back(1);
    if (item.kind == Kind::kWhole) dims.push_back(shape[item.axis]);
    if (item.kind == Kind::kRange) dims.push_back(range_size(ctx, item, masks, spec, shape[item.axis]));
  }
  ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
  pass_dims(ctx, items, masks, spec);
}

void evaluate_strided_slice(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const SliceMasks masks = slice_masks(ctx.attrs());
  const std::vector<std::int64_t> begin = ctx.integers(1), end = ctx.integers(2), strides = ctx.integers(3);
  for (int i = 1; i <= 3; ++i) expect_rank(ctx, i, 1);
  if (begin.size() != end.size() || begin.size() != strides.size()) {
    ctx.fail_node("begin, end and strides have lengths {}, {} and {}", begin.size(), end.size(), strides.size());
  }
  const std::vector<std::int64_t> steps = row_major_strides(input.shape());
  Shape result, box;
  Walk from;
  for (const SliceItem& item : spread_slice(masks, static_cast<int>(begin.size()), input.rank())) {
    if (item.kind == Kind::kNewAxis) {
      result.push_back(1);
      continue;
    }
    SliceRange range{0, input.dim(item.axis), 1};
    if (item.kind != Kind::kWhole) {
      const auto entry = static_cast<std::size_t>(item.entry);
      range = slice_range(item, masks, begin[entry], end[entry], strides[entry], input.dim(item.axis));
    }
    const std::int64_t step = steps[static_cast<std::size_t>(item.axis)];
    from.offset += range.start * step;
    from.strides.push_back(range.stride * step);
    box.push_back(range.count);
    if (item.kind != Kind::kIndex) result.push_back(range.count);
  }
  Tensor& output = ctx.allocate(0, input.dtype(), std::move(result));
  copy_walk(box, output, {0, row_major_strides(box)}, input, from);
}

constexpr ir::OpDef kOps[] = {
    {"strided_slice", infer_strided_slice, evaluate_strided_slice},
};

constexpr ImportRule kRules[] = {
    {"StridedSlice", "strided_slice"},
};

}  // namespace

SliceMasks slice_masks(const ir::Attrs& attrs) {
  return {attrs.get_or<std::int64_t>("begin_mask", 0), attrs.get_or<std::int64_t>("end_mask", 0),
          attrs.get_or<std::int64_t>("ellipsis_mask", 0), attrs.get_or<std::int64_t>("new_axis_mask", 0),
          attrs.get_or<std::int64_t>("shrink_axis_mask", 0)};
}

std::vector<SliceItem> spread_slice(const SliceMasks& masks, int entries, int rank) {
  constexpr int kMaxEntries = 31;
  if (entries > kMaxEntries)
    fail(ErrorCode::kInvalidArgument, "a slice has {} entries, at most {} are possible", entries, kMaxEntries);
  int ellipses = 0, named = 0;
  for (int i = 0; i < entries; ++i) {
    if (has_bit(masks.ellipsis, i)) {
      ++ellipses;
    } else if (!has_bit(masks.new_axis, i)) {
      ++named;
    }
  }
  if (ellipses > 1) fail(ErrorCode::kInvalidArgument, "a slice has {} ellipses, at most one is possible", ellipses);
  if (named > rank) fail(ErrorCode::kInvalidArgument, "a slice names {} axes of a tensor of rank {}", named, rank);
  std::vector<SliceItem> items;
  int axis = 0;
  const auto skip_unnamed = [&] {
    for (int i = named; i < rank; ++i) items.push_back({Kind::kWhole, axis++, 0});
  };
  for (int i = 0; i < entries; ++i) {
    if (has_bit(masks.ellipsis, i)) {
      skip_unnamed();
    } else if (has_bit(masks.new_axis, i)) {
      items.push_back({Kind::kNewAxis, 0, i});
    } else {
      items.push_back({has_bit(masks.shrink_axis, i) ? Kind::kIndex : Kind::kRange, axis++, i});
    }
  }
  if (ellipses == 0) skip_unnamed();
  return items;
}

SliceRange slice_range(const SliceItem& item, const SliceMasks& masks, std::int64_t begin, std::int64_t end,
                       std::int64_t stride, std::int64_t size) {
  if (stride == 0) fail(ErrorCode::kInvalidArgument, "the stride of slice entry {} is 0", item.entry);
  if (item.kind == Kind::kIndex) {
    if (stride < 0) fail(ErrorCode::kInvalidArgument, "slice entry {} is an index and needs a positive stride", item.entry);
    const std::int64_t index = begin < 0 ? begin + size : begin;
    if (index < 0 || index >= size)
      fail(ErrorCode::kInvalidArgument, "slice index {} of axis {} is out of bounds", begin, item.axis);
    return {index, 1, 1};
  }
  const std::int64_t least = stride > 0 ? 0 : -1, most = stride > 0 ? size : size - 1;
  const auto bound = [&](std::int64_t value, bool masked, std::int64_t fallback) {
    if (masked) return fallback;
    return std::clamp(value < 0 ? value + size : value, least, most);
  };
  const std::int64_t first = bound(begin, has_bit(masks.begin, item.entry), stride > 0 ? least : most);
  const std::int64_t last = bound(end, has_bit(masks.end, item.entry), stride > 0 ? most : least);
  const std::int64_t length = last - first;
  if (length == 0 || (length < 0) != (stride < 0)) return {0, 0, 1};
  const std::int64_t count = length / stride + (length % stride != 0 ? 1 : 0);
  return {first, count, count == 1 ? 1 : stride};
}

const OpFamily& strided_slice_family() {
  static const OpFamily family{"strided_slice", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
