// Ops that order elements: positions of extremes, the k largest.
#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  const ir::Value& value = node.inputs.at(operand);
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

bool is_number(DataType dtype) { return dtype == DataType::kFloat32 || dtype == DataType::kInt32 || dtype == DataType::kInt64; }
bool is_position(DataType dtype) { return dtype == DataType::kInt32 || dtype == DataType::kInt64; }

Verdict supports_order(const ir::Node& node, std::size_t positions) {
  if (node.inputs.empty() || node.outputs.size() <= positions) return Verdict::no("an operand or a result is missing");
  const ir::ValueType& type = type_of(node, 0);
  if (!is_number(type.dtype)) return Verdict::no(fmt::format("dtype {} does not run in an engine", dtype_name(type.dtype)));
  if (!type.shape.known_rank() || type.shape.rank() == 0) return Verdict::no("the rank is not known, or 0");
  if (!is_position(node.outputs[positions].dtype)) return Verdict::no("positions are int32 or int64 in an engine");
  if (node.inputs.size() < 2) return Verdict::yes();
  if (!is_position(type_of(node, 1).dtype)) return Verdict::no("operand 1 must be int32 or int64");
  return require_known(node, 1, "operand 1");
}

// --- arg_max, arg_min

// An operand as outer * size * inner elements; the axis is the middle one.
struct Axis {
  std::int64_t outer = 1, size = 1, inner = 1;
};

Axis axis_of(const Shape& shape, int axis) {
  Axis result;
  for (int d = 0; d < axis; ++d) result.outer *= shape[d];
  result.size = shape[axis];
  for (int d = axis + 1; d < shape.rank(); ++d) result.inner *= shape[d];
  return result;
}

// The position of the first element beyond all others; a NaN is never beyond, nor what is no number's.
template <bool kLargest, class T>
constexpr T kStart = kLargest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();

template <bool kLargest, class T>
bool beyond(T a, T b) {
  return kLargest ? a > b : a < b;
}

// Elements that lie side by side: the extreme first, in lanes that do not wait for each other, then where it lies.
template <bool kLargest, class T>
std::int64_t position_in_row(const T* row, std::int64_t size) {
  constexpr std::size_t kLanes = 16;
  std::array<T, kLanes> best;
  best.fill(kStart<kLargest, T>);
  std::int64_t i = 0;
  for (; i + static_cast<std::int64_t>(kLanes) <= size; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) best[l] = beyond<kLargest>(row[i + static_cast<std::int64_t>(l)], best[l]) ? row[i + static_cast<std::int64_t>(l)] : best[l];
  }
  for (; i < size; ++i) best[0] = beyond<kLargest>(row[i], best[0]) ? row[i] : best[0];
  T extreme = best[0];
  for (const T lane : best) extreme = beyond<kLargest>(lane, extreme) ? lane : extreme;
  if (!beyond<kLargest>(extreme, kStart<kLargest, T>)) return 0;
  return std::find(row, row + size, extreme) - row;
}

constexpr std::int64_t kColumns = 256;  // taken at a time

template <bool kLargest, class T, class I>
void positions_in_columns(const T* in, I* out, const Axis& axis, std::int64_t from, std::int64_t count) {
  std::array<T, kColumns> best;
  best.fill(kStart<kLargest, T>);
  std::fill_n(out + from, count, I{0});
  for (std::int64_t i = 0; i < axis.size; ++i) {
    const T* row = in + i * axis.inner + from;
    for (std::int64_t c = 0; c < count; ++c) {
      const bool better = beyond<kLargest>(row[c], best[static_cast<std::size_t>(c)]);
      best[static_cast<std::size_t>(c)] = better ? row[c] : best[static_cast<std::size_t>(c)];
      out[from + c] = better ? static_cast<I>(i) : out[from + c];
    }
  }
}

template <bool kLargest, class T, class I>
std::unique_ptr<Step> arg_step(const Axis& axis, Slot from, Slot to) {
  return make_step([axis, from, to](const Frame& frame) {
    const T* in = frame.at<const T>(from);
    I* out = frame.at<I>(to);
    if (axis.inner == 1) {
      for_shares(split_work(axis.outer, static_cast<double>(axis.size) * 0.2), *frame.team, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) out[o] = static_cast<I>(position_in_row<kLargest>(in + o * axis.size, axis.size));
      });
      return;
    }
    const std::int64_t blocks = (axis.inner + kColumns - 1) / kColumns;
    for_shares(split_work(axis.outer * blocks, static_cast<double>(axis.size) * kColumns * 0.3), *frame.team, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const std::int64_t outer = b / blocks, first = b % blocks * kColumns;
        positions_in_columns<kLargest>(in + outer * axis.size * axis.inner, out + outer * axis.inner, axis, first, std::min(kColumns, axis.inner - first));
      }
    });
  });
}

template <bool kLargest, class T>
std::unique_ptr<Step> arg_step(const Axis& axis, const Place& from, const Place& to) {
  return to.dtype == DataType::kInt32 ? arg_step<kLargest, T, std::int32_t>(axis, from.slot, to.slot)
                                      : arg_step<kLargest, T, std::int64_t>(axis, from.slot, to.slot);
}

template <bool kLargest>
std::unique_ptr<Step> prepare_arg(PlanContext& ctx) {
  const Place &from = ctx.operand(0), &to = ctx.result();
  const Axis axis = axis_of(from.shape, resolve_axis(ctx, ctx.integers(1).at(0), from.shape.rank()));
  if (axis.size == 0) fail(ErrorCode::kInvalidArgument, "{}: the axis is empty", ctx.node().describe());
  if (from.dtype == DataType::kFloat32) return arg_step<kLargest, float>(axis, from, to);
  return from.dtype == DataType::kInt32 ? arg_step<kLargest, std::int32_t>(axis, from, to) : arg_step<kLargest, std::int64_t>(axis, from, to);
}

Verdict supports_arg(const ir::Node& node) { return supports_order(node, 0); }

Lowered lower_arg(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.unread = {1};
  lowered.prepare = node.is("arg_max") ? prepare_arg<true> : prepare_arg<false>;
  return lowered;
}

// --- top_k

struct TopK {
  std::int64_t rows = 0, columns = 0, k = 0;
  bool sorted = true;
  Slot from = -1, values = -1, positions = -1;
  Shares shares;
};

// Without a wanted order TensorFlow's is that of a heap whose top, the worst of k + 1, leaves whenever a better one comes.
template <class Before>
void select_by_heap(std::span<std::int32_t> order, std::int64_t k, Before&& before) {
  const auto heap_end = order.begin() + k + 1;
  std::make_heap(order.begin(), heap_end, before);
  std::pop_heap(order.begin(), heap_end, before);
  for (auto next = heap_end; next != order.end(); ++next) {
    if (!before(*next, order.front())) continue;
    *(heap_end - 1) = *next;
    std::pop_heap(order.begin(), heap_end, before);
  }
}

template <class T>
void order_row(const T* row, std::span<std::int32_t> order, const TopK& top) {
  std::iota(order.begin(), order.end(), 0);
  const auto before = [row](std::int32_t a, std::int32_t b) { return row[a] > row[b] || (!(row[b] > row[a]) && a < b); };
  if (top.sorted || top.k == 1 || top.k == top.columns) {
    std::partial_sort(order.begin(), order.begin() + top.k, order.end(), before);
  } else {
    select_by_heap(order, top.k, before);
  }
}

template <class T, class I>
std::unique_ptr<Step> top_k_step(const TopK& top) {
  return make_step([top](const Frame& frame) {
    const T* in = frame.at<const T>(top.from);
    for_shares(top.shares, *frame.team, [&](std::int64_t begin, std::int64_t end) {
      auto* memory = reinterpret_cast<std::int32_t*>(frame.scratch) + begin / top.shares.step * top.columns;
      const std::span<std::int32_t> order(memory, static_cast<std::size_t>(top.columns));
      for (std::int64_t r = begin; r < end; ++r) {
        const T* row = in + r * top.columns;
        order_row(row, order, top);
        for (std::int64_t i = 0; i < top.k; ++i) {
          const std::int32_t at = order[static_cast<std::size_t>(i)];
          if (top.values >= 0) frame.at<T>(top.values)[r * top.k + i] = row[at];
          if (top.positions >= 0) frame.at<I>(top.positions)[r * top.k + i] = static_cast<I>(at);
        }
      }
    });
  });
}

template <class T>
std::unique_ptr<Step> top_k_step(const TopK& top, DataType positions) {
  return positions == DataType::kInt32 ? top_k_step<T, std::int32_t>(top) : top_k_step<T, std::int64_t>(top);
}

std::unique_ptr<Step> prepare_top_k(PlanContext& ctx) {
  const Place& from = ctx.operand(0);
  TopK top;
  top.columns = from.last();
  top.rows = from.rows();
  top.k = ctx.num_operands() > 1 ? ctx.integers(1).at(0) : ctx.node().attr<std::int64_t>("k");
  if (top.k < 0 || top.k > top.columns || top.columns > std::numeric_limits<std::int32_t>::max()) {
    fail(ErrorCode::kInvalidArgument, "{}: cannot take {} of the {} elements of a row", ctx.node().describe(), top.k, top.columns);
  }
  top.sorted = ctx.node().attr_or<bool>("sorted", true);
  top.from = from.slot;
  top.values = ctx.result(0).slot;
  top.positions = ctx.result(1).slot;
  top.shares = split_work(top.rows, static_cast<double>(top.columns) * 3);
  ctx.need_scratch(static_cast<std::size_t>(top.shares.shares * top.columns) * sizeof(std::int32_t));
  const DataType positions = ctx.result(1).dtype;
  if (from.dtype == DataType::kFloat32) return top_k_step<float>(top, positions);
  return from.dtype == DataType::kInt32 ? top_k_step<std::int32_t>(top, positions) : top_k_step<std::int64_t>(top, positions);
}

Verdict supports_top_k(const ir::Node& node) { return supports_order(node, 1); }

Lowered lower_top_k(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "top_k";
  lowered.unread = {1};
  lowered.prepare = prepare_top_k;
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"arg_max", supports_arg, lower_arg},
    {"arg_min", supports_arg, lower_arg},
    {"top_k", supports_top_k, lower_top_k},
};

}  // namespace

const LoweringFamily& ranking_lowerings() {
  static const LoweringFamily family{"ranking", kLowerings};
  return family;
}

}  // namespace tenon::cpu
