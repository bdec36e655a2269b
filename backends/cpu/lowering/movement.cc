// Ops that move elements of any dtype: slices, splits, concatenations, permutations, padding, repetition, gathering.
#include <algorithm>
#include <array>
#include <cstring>

#include "backends/cpu/kernels/gather.h"
#include "backends/cpu/kernels/pad.h"
#include "backends/cpu/kernels/strided_copy.h"
#include "backends/cpu/kernels/transpose.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/strided_slice.h"

namespace tenon::cpu {
namespace {

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  const ir::Value& value = node.inputs.at(operand);
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

Verdict supports_plain(const ir::Node& node, std::size_t operand) {
  if (node.inputs.size() <= operand) return Verdict::no("an operand is missing");
  const DataType dtype = type_of(node, operand).dtype;
  if (dtype == DataType::kInvalid) return Verdict::no("the dtype is not known");
  if (dtype == DataType::kString || dtype == DataType::kResource || dtype == DataType::kVariant) {
    return Verdict::no(fmt::format("dtype {} does not run in an engine", dtype_name(dtype)));
  }
  if (!type_of(node, operand).shape.known_rank()) return Verdict::no("the rank is not known");
  return Verdict::yes();
}

// Plain data first, then operands that must be known.
Verdict supports_moving(const ir::Node& node, std::size_t data, std::initializer_list<int> known) {
  if (auto verdict = supports_plain(node, data); !verdict) return verdict;
  for (const int operand : known) {
    if (static_cast<std::size_t>(operand) >= node.inputs.size()) continue;
    if (auto verdict = require_known(node, operand, fmt::format("operand {}", operand)); !verdict) return verdict;
  }
  return Verdict::yes();
}

std::int64_t unit(const Place& place) { return static_cast<std::int64_t>(dtype_size(place.dtype)); }

// A part of an operand that becomes a result: sizes, steps between neighbours and the first element, in elements.
struct Box {
  std::vector<std::int64_t> dims, strides;
  std::int64_t start = 0;
};
using Boxes = std::function<std::vector<Box>(const PlanContext&)>;

// True when the elements lie side by side in order.
bool contiguous(const Box& box) {
  std::int64_t expected = 1;
  for (std::size_t d = box.dims.size(); d-- > 0;) {
    if (box.dims[d] == 1) continue;
    if (box.strides[d] != expected) return false;
    expected *= box.dims[d];
  }
  return true;
}

// Row-major strides of the result, over the box's dimensions; the box may have dimensions of size 1 more.
std::vector<std::int64_t> target_strides(const Box& box, const Place& result) {
  std::vector<std::int64_t> strides(box.dims.size(), 0);
  const std::vector<std::int64_t> own = place_strides(result);
  int d = result.shape.rank() - 1;
  for (std::size_t i = box.dims.size(); i-- > 0;) {
    if (box.dims[i] == 1) continue;
    while (d >= 0 && result.shape[d] == 1) --d;
    TENON_CHECK(d >= 0 && result.shape[d] == box.dims[i]);
    strides[i] = own[static_cast<std::size_t>(d--)];
  }
  return strides;
}

Lowered lower_boxes(std::string kernel, int operand, Positions unread, Boxes boxes) {
  Lowered lowered;
  lowered.kernel = std::move(kernel);
  lowered.unread = unread;
  lowered.pitched_operands = {operand};
  lowered.pitched_results = Positions::all();
  lowered.view_operand = operand;
  lowered.views = [boxes](const PlanContext& ctx) {
    std::vector<std::int64_t> starts;
    for (const Box& box : boxes(ctx)) starts.push_back(contiguous(box) ? box.start : -1);
    return starts;
  };
  lowered.prepare = [boxes, operand](PlanContext& ctx) {
    struct Copy {
      StridedCopy copy;
      Slot to;
      std::int64_t start;
    };
    std::vector<Copy> copies;
    const std::vector<Box> parts = boxes(ctx);
    for (int i = 0; i < ctx.num_results(); ++i) {
      const Place& result = ctx.result(i);
      if (result.slot < 0 || result.elements() == 0) continue;
      const Box& box = parts.at(static_cast<std::size_t>(i));
      copies.push_back({StridedCopy(box.dims, box.strides, target_strides(box, result), unit(result)), result.slot, box.start * unit(result)});
    }
    return make_step([copies = std::move(copies), from = ctx.operand(operand).slot](const Frame& frame) {
      for (const Copy& part : copies) part.copy.run(frame.at<const std::byte>(from) + part.start, frame.at<void>(part.to), *frame.team);
    });
  };
  return lowered;
}

// --- slice, strided_slice, reverse

std::vector<Box> slice_boxes(const PlanContext& ctx) {
  const Place& input = ctx.operand(0);
  const std::vector<std::int64_t> begin = ctx.integers(1);
  Box box{ctx.result().shape.dims(), place_strides(input), 0};
  if (begin.size() != box.strides.size()) fail(ErrorCode::kInvalidModel, "{}: begin has another length than the rank", ctx.node().describe());
  for (std::size_t d = 0; d < begin.size(); ++d) {
    const std::int64_t size = input.shape[static_cast<int>(d)];
    if (begin[d] < 0 || box.dims[d] > size || begin[d] > size - box.dims[d]) {
      fail(ErrorCode::kInvalidArgument, "{}: the slice lies outside the operand", ctx.node().describe());
    }
    box.start += begin[d] * box.strides[d];
  }
  return {box};
}

std::vector<Box> strided_slice_boxes(const PlanContext& ctx) {
  const Place& input = ctx.operand(0);
  const std::vector<std::int64_t> strides = place_strides(input);
  const std::vector<std::int64_t> begin = ctx.integers(1), end = ctx.integers(2), steps = ctx.integers(3);
  if (begin.size() != end.size() || begin.size() != steps.size()) {
    fail(ErrorCode::kInvalidModel, "{}: begin, end and strides have different lengths", ctx.node().describe());
  }
  const ops::SliceMasks masks = ops::slice_masks(ctx.node().attrs);
  Box box;
  for (const ops::SliceItem& item : ops::spread_slice(masks, static_cast<int>(begin.size()), input.shape.rank())) {
    if (item.kind == ops::SliceItem::Kind::kNewAxis) continue;
    const std::int64_t size = input.shape[item.axis];
    ops::SliceRange range{0, size, 1};
    if (item.kind != ops::SliceItem::Kind::kWhole) {
      const auto e = static_cast<std::size_t>(item.entry);
      range = ops::slice_range(item, masks, begin[e], end[e], steps[e], size);
    }
    const std::int64_t step = strides[static_cast<std::size_t>(item.axis)];
    box.start += range.start * step;
    box.strides.push_back(range.stride * step);
    box.dims.push_back(range.count);
  }
  return {box};
}

std::vector<Box> reverse_boxes(const PlanContext& ctx) {
  const Place& input = ctx.operand(0);
  Box box{input.shape.dims(), place_strides(input), 0};
  for (const std::int64_t listed : ctx.integers(1)) {
    const auto axis = static_cast<std::size_t>(resolve_axis(ctx, listed, input.shape.rank()));
    box.start += (box.dims[axis] - 1) * box.strides[axis];
    box.strides[axis] = -box.strides[axis];
  }
  return {box};
}

Verdict supports_slice(const ir::Node& node) { return supports_moving(node, 0, {1, 2}); }
Verdict supports_strided_slice(const ir::Node& node) { return supports_moving(node, 0, {1, 2, 3}); }
Verdict supports_reverse(const ir::Node& node) { return supports_moving(node, 0, {1}); }

Lowered lower_slice(const ir::Node&, WeightSource&) { return lower_boxes("slice", 0, Positions::from(1), slice_boxes); }
Lowered lower_strided_slice(const ir::Node&, WeightSource&) { return lower_boxes("slice", 0, Positions::from(1), strided_slice_boxes); }
Lowered lower_reverse(const ir::Node&, WeightSource&) { return lower_boxes("reverse", 0, {1}, reverse_boxes); }

// --- split, split_v, unpack

// The results one after the other along `axis` of `operand`.
std::vector<Box> parts_along(const PlanContext& ctx, int operand, int axis, bool drop_axis) {
  const Place& input = ctx.operand(operand);
  const std::vector<std::int64_t> strides = place_strides(input);
  std::vector<Box> boxes;
  std::int64_t offset = 0;
  for (int i = 0; i < ctx.num_results(); ++i) {
    Box box{input.shape.dims(), strides, offset * strides.at(static_cast<std::size_t>(axis))};
    const std::int64_t size = drop_axis ? 1 : ctx.result(i).shape[axis];
    box.dims[static_cast<std::size_t>(axis)] = size;
    offset += size;
    boxes.push_back(std::move(box));
  }
  if (offset > input.shape[axis]) fail(ErrorCode::kInvalidModel, "{}: the parts exceed the operand", ctx.node().describe());
  return boxes;
}

std::vector<Box> split_boxes(const PlanContext& ctx) {
  return parts_along(ctx, 1, resolve_axis(ctx, ctx.integers(0).at(0), ctx.operand(1).shape.rank()), false);
}
std::vector<Box> split_v_boxes(const PlanContext& ctx) {
  return parts_along(ctx, 0, resolve_axis(ctx, ctx.integers(2).at(0), ctx.operand(0).shape.rank()), false);
}
std::vector<Box> unpack_boxes(const PlanContext& ctx) {
  const int rank = ctx.operand(0).shape.rank();
  return parts_along(ctx, 0, resolve_axis(ctx, ctx.node().attr_or<std::int64_t>("axis", 0), rank), true);
}

Verdict supports_split(const ir::Node& node) { return supports_moving(node, 1, {0}); }
Verdict supports_split_v(const ir::Node& node) { return supports_moving(node, 0, {1, 2}); }
Verdict supports_unpack(const ir::Node& node) { return supports_moving(node, 0, {}); }

Lowered lower_split(const ir::Node&, WeightSource&) { return lower_boxes("split", 1, {0}, split_boxes); }
Lowered lower_split_v(const ir::Node&, WeightSource&) { return lower_boxes("split", 0, Positions::from(1), split_v_boxes); }
Lowered lower_unpack(const ir::Node&, WeightSource&) { return lower_boxes("unpack", 0, {}, unpack_boxes); }

// --- tile, broadcast_to

std::vector<Box> tile_boxes(const PlanContext& ctx) {
  const Place& input = ctx.operand(0);
  const std::vector<std::int64_t> strides = place_strides(input), multiples = ctx.integers(1);
  Box box;
  for (int d = 0; d < input.shape.rank(); ++d) {
    box.dims.insert(box.dims.end(), {multiples.at(static_cast<std::size_t>(d)), input.shape[d]});
    box.strides.insert(box.strides.end(), {0, strides[static_cast<std::size_t>(d)]});
  }
  return {box};
}

std::vector<Box> broadcast_boxes(const PlanContext& ctx) {
  return {{ctx.result().shape.dims(), broadcast_place(ctx.operand(0), ctx.result().shape), 0}};
}

// A repeated dimension has two loops for one of the result.
std::unique_ptr<Step> prepare_tile(PlanContext& ctx) {
  const Box box = tile_boxes(ctx).at(0);
  const std::vector<std::int64_t> dense = place_strides(ctx.result());
  std::vector<std::int64_t> to;
  for (int d = 0; d < ctx.operand(0).shape.rank(); ++d) {
    const std::int64_t stride = dense[static_cast<std::size_t>(d)];
    to.insert(to.end(), {stride * ctx.operand(0).shape[d], stride});
  }
  auto copy = std::make_shared<const StridedCopy>(box.dims, box.strides, to, unit(ctx.result()));
  return make_step([copy, from = ctx.operand(0).slot, slot = ctx.result().slot](const Frame& frame) {
    copy->run(frame.at<const void>(from), frame.at<void>(slot), *frame.team);
  });
}

Verdict supports_tile(const ir::Node& node) { return supports_moving(node, 0, {1}); }

Lowered lower_tile(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "tile";
  lowered.unread = {1};
  lowered.pitched_operands = {0};
  lowered.pitched_results = {0};
  lowered.prepare = prepare_tile;
  return lowered;
}

Lowered lower_broadcast(const ir::Node&, WeightSource&) { return lower_boxes("broadcast", 0, {1}, broadcast_boxes); }

// --- concat, pack

Verdict supports_concat(const ir::Node& node) {
  if (node.inputs.empty()) return Verdict::no("has no operands");
  return supports_moving(node, 0, {static_cast<int>(node.inputs.size()) - 1});
}

Lowered lower_concat(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "concat";
  lowered.concat = Lowered::Concat::kAlongAxis;
  lowered.concat_axis_operand = static_cast<int>(node.inputs.size()) - 1;
  constexpr std::size_t kMostTracked = 62;
  if (node.inputs.size() <= kMostTracked) lowered.unread = {lowered.concat_axis_operand};
  lowered.pitched_operands = Positions::all();
  lowered.pitched_results = {0};
  return lowered;
}

Verdict supports_pack(const ir::Node& node) { return supports_moving(node, 0, {}); }

Lowered lower_pack(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "concat";
  lowered.concat = Lowered::Concat::kNewAxis;
  lowered.concat_axis = static_cast<int>(node.attr_or<std::int64_t>("axis", 0));
  lowered.pitched_results = {0};
  return lowered;
}

// --- bitcast, fill, zeros_like, ones_like

// The same bytes under another dtype of the same size.
Verdict supports_bitcast(const ir::Node& node) {
  if (auto verdict = supports_plain(node, 0); !verdict) return verdict;
  const DataType to = node.outputs[0].dtype;
  if (dtype_size(to) == 0 || dtype_size(to) != dtype_size(type_of(node, 0).dtype)) return Verdict::no("the sizes of the dtypes differ");
  return Verdict::yes();
}

Lowered lower_bitcast(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "none";
  lowered.alias = 0;
  return lowered;
}

std::unique_ptr<Step> fill_step(const Place& to, std::array<std::byte, 16> value) {
  return make_step([value, slot = to.slot, size = unit(to), count = to.elements()](const Frame& frame) {
    fill(frame.at<void>(slot), value.data(), size, count, *frame.team);
  });
}

Verdict supports_fill(const ir::Node& node) {
  if (node.inputs.size() != 2) return Verdict::no("has not two operands");
  if (auto verdict = supports_plain(node, 1); !verdict) return verdict;
  return require_known(node, 0, "the shape");
}

Lowered lower_fill(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "fill";
  lowered.unread = {0};
  lowered.prepare = [](PlanContext& ctx) {
    const Place& to = ctx.result();
    return make_step([from = ctx.operand(1).slot, slot = to.slot, size = unit(to), count = to.elements()](const Frame& frame) {
      fill(frame.at<void>(slot), frame.at<const void>(from), size, count, *frame.team);
    });
  };
  return lowered;
}

Verdict supports_like(const ir::Node& node) {
  if (auto verdict = supports_plain(node, 0); !verdict) return verdict;
  const DataType dtype = type_of(node, 0).dtype;
  if (node.is("ones_like") && dtype != DataType::kFloat32 && dtype != DataType::kInt32 && dtype != DataType::kInt64) {
    return Verdict::no(fmt::format("ones of dtype {} do not run in an engine", dtype_name(dtype)));
  }
  return Verdict::yes();
}

Lowered lower_like(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "fill";
  lowered.unread = {0};
  lowered.prepare = [ones = node.is("ones_like")](PlanContext& ctx) {
    std::array<std::byte, 16> value{};
    const auto put = [&](auto one) { std::memcpy(value.data(), &one, sizeof one); };
    const DataType dtype = ctx.result().dtype;
    if (ones && dtype == DataType::kFloat32) put(1.0f);
    if (ones && dtype == DataType::kInt32) put(std::int32_t{1});
    if (ones && dtype == DataType::kInt64) put(std::int64_t{1});
    return fill_step(ctx.result(), value);
  };
  return lowered;
}

// --- transpose, space_to_depth, depth_to_space

std::unique_ptr<Step> step_of(Transpose transpose, const PlanContext& ctx) {
  auto kernel = std::make_shared<const Transpose>(std::move(transpose));
  return make_step([kernel, from = ctx.operand(0).slot, to = ctx.result().slot](const Frame& frame) {
    kernel->run(frame.at<const void>(from), frame.at<void>(to), *frame.team);
  });
}

Verdict supports_transpose(const ir::Node& node) { return supports_moving(node, 0, {1}); }

std::vector<std::int64_t> transpose_view(const PlanContext& ctx) {
  // Moving dimensions of size 1 moves no element.
  const Shape& shape = ctx.operand(0).shape;
  std::int64_t previous = -1;
  for (const std::int64_t axis : ctx.integers(1)) {
    if (axis < 0 || axis >= shape.rank() || shape[static_cast<int>(axis)] == 1) continue;
    if (axis < previous) return {-1};
    previous = axis;
  }
  return {0};
}

Lowered lower_transpose(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "transpose";
  lowered.unread = {1};
  lowered.views = transpose_view;
  lowered.prepare = [](PlanContext& ctx) {
    std::vector<int> permutation;
    for (const std::int64_t axis : ctx.integers(1)) permutation.push_back(resolve_axis(ctx, axis, ctx.operand(0).shape.rank()));
    return step_of(Transpose(ctx.operand(0).shape.dims(), permutation, unit(ctx.result())), ctx);
  };
  return lowered;
}

Verdict supports_depth(const ir::Node& node) {
  if (node.attr_or<std::string>("data_format", "NHWC") != "NHWC") return Verdict::no("only NHWC runs in an engine");
  return supports_plain(node, 0);
}

Lowered lower_depth(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.prepare = [to_depth = node.is("space_to_depth")](PlanContext& ctx) {
    const Shape& s = ctx.operand(0).shape;
    const auto block = ctx.node().attr<std::int64_t>("block_size");
    return step_of((to_depth ? space_to_depth : depth_to_space)(s[0], s[1], s[2], s[3], block, unit(ctx.result())), ctx);
  };
  return lowered;
}

// --- pad, mirror_pad

Verdict supports_pad(const ir::Node& node) { return supports_moving(node, 0, {1, 2}); }

Lowered lower_pad(const ir::Node& node, WeightSource&) {
  const bool mirror = node.is("mirror_pad");
  const PadMode mode = !mirror ? PadMode::kConstant : node.attr<std::string>("mode") == "REFLECT" ? PadMode::kReflect : PadMode::kSymmetric;
  Lowered lowered;
  lowered.kernel = "pad";
  lowered.unread = Positions::from(1);
  lowered.prepare = [mode](PlanContext& ctx) {
    const Place& input = ctx.operand(0);
    const std::vector<std::int64_t> paddings = ctx.integers(1);
    std::vector<std::int64_t> before, after;
    for (std::size_t i = 0; i + 1 < paddings.size(); i += 2) {
      before.push_back(paddings[i]);
      after.push_back(paddings[i + 1]);
    }
    std::array<std::byte, 16> value{};
    if (ctx.num_operands() > 2) {
      if (ctx.operand(2).constant == nullptr) fail(ErrorCode::kUnsupported, "{}: the constant depends on data", ctx.node().describe());
      std::memcpy(value.data(), ctx.operand(2).constant->data(), dtype_size(input.dtype));
    }
    auto kernel = std::make_shared<const Pad>(mode, input.shape.dims(), before, after, unit(input));
    return make_step([kernel, value, from = input.slot, to = ctx.result().slot](const Frame& frame) {
      kernel->run(frame.at<const void>(from), value.data(), frame.at<void>(to), *frame.team);
    });
  };
  return lowered;
}

// --- gather

Verdict supports_gather(const ir::Node& node) {
  if (auto verdict = supports_moving(node, 0, {2}); !verdict) return verdict;
  const DataType dtype = type_of(node, 1).dtype;
  if (dtype != DataType::kInt32 && dtype != DataType::kInt64) return Verdict::no("indices must be int32 or int64");
  return Verdict::yes();
}

// Every batch picks from a table of its own.
template <class Index>
void run_gather(const Gather& shape, std::int64_t batches, Slot table, Slot indices, Slot to, const ir::Node& node, const Frame& frame) {
  for (std::int64_t b = 0; b < batches; ++b) {
    const Index* picks = frame.at<const Index>(indices) + b * shape.count;
    const std::byte* rows = frame.at<const std::byte>(table) + b * shape.outer * shape.table_rows * shape.row_bytes;
    std::byte* picked = frame.at<std::byte>(to) + b * shape.outer * shape.count * shape.row_bytes;
    const std::int64_t bad = gather_rows(shape, rows, picks, picked, *frame.team);
    if (bad < 0) continue;
    fail(ErrorCode::kInvalidArgument, "{}: indices[{}] = {} is not in [0, {})", node.describe(), b * shape.count + bad,
         static_cast<std::int64_t>(picks[bad]), shape.table_rows);
  }
}

Lowered lower_gather(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "gather";
  lowered.unread = {2};
  lowered.prepare = [node = &node](PlanContext& ctx) {
    const Place& table = ctx.operand(0);
    const int axis = resolve_axis(ctx, ctx.num_operands() > 2 ? ctx.integers(2).at(0) : 0, table.shape.rank());
    Gather shape;
    shape.row_bytes = unit(table);
    const Shape& picks = ctx.operand(1).shape;
    const auto listed = node->attr_or<std::int64_t>("batch_dims", 0);
    const auto batch = static_cast<int>(listed < 0 ? listed + picks.rank() : listed);
    if (batch < 0 || batch > picks.rank() || batch > axis) fail(ErrorCode::kInvalidModel, "{}: batch_dims is {}", node->describe(), listed);
    std::int64_t batches = 1;
    for (int d = 0; d < batch; ++d) {
      if (table.shape[d] != picks[d]) fail(ErrorCode::kInvalidArgument, "{}: batch axis {} differs", node->describe(), d);
      batches *= picks[d];
    }
    for (int d = batch; d < axis; ++d) shape.outer *= table.shape[d];
    for (int d = axis + 1; d < table.shape.rank(); ++d) shape.row_bytes *= table.shape[d];
    shape.table_rows = table.shape[axis];
    shape.count = batches == 0 ? 0 : ctx.operand(1).elements() / batches;
    const bool wide = ctx.operand(1).dtype == DataType::kInt64;
    return make_step([=, from = table.slot, indices = ctx.operand(1).slot, to = ctx.result().slot](const Frame& frame) {
      (wide ? run_gather<std::int64_t> : run_gather<std::int32_t>)(shape, batches, from, indices, to, *node, frame);
    });
  };
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"slice", supports_slice, lower_slice},
    {"strided_slice", supports_strided_slice, lower_strided_slice},
    {"reverse", supports_reverse, lower_reverse},
    {"split", supports_split, lower_split},
    {"split_v", supports_split_v, lower_split_v},
    {"unpack", supports_unpack, lower_unpack},
    {"tile", supports_tile, lower_tile},
    {"broadcast_to", supports_tile, lower_broadcast},
    {"concat", supports_concat, lower_concat},
    {"pack", supports_pack, lower_pack},
    {"bitcast", supports_bitcast, lower_bitcast},
    {"fill", supports_fill, lower_fill},
    {"zeros_like", supports_like, lower_like},
    {"ones_like", supports_like, lower_like},
    {"transpose", supports_transpose, lower_transpose},
    {"space_to_depth", supports_depth, lower_depth},
    {"depth_to_space", supports_depth, lower_depth},
    {"pad", supports_pad, lower_pad},
    {"mirror_pad", supports_pad, lower_pad},
    {"gather", supports_gather, lower_gather},
};

}  // namespace

const LoweringFamily& movement_lowerings() {
  static const LoweringFamily family{"movement", kLowerings};
  return family;
}

}  // namespace tenon::cpu
