// Slices picked by coordinates, one-hot rows, and running sums and products.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/kernels/strided_copy.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/arithmetic.h"

namespace tenon::cpu {
namespace {

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  const ir::Value& value = node.inputs.at(operand);
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

Verdict supports_data(const ir::Node& node, std::size_t operand) {
  const DataType dtype = type_of(node, operand).dtype;
  if (dtype == DataType::kInvalid || dtype == DataType::kString || dtype == DataType::kResource || dtype == DataType::kVariant) {
    return Verdict::no(fmt::format("dtype {} does not run in an engine", dtype_name(dtype)));
  }
  return type_of(node, operand).shape.known_rank() ? Verdict::yes() : Verdict::no("the rank is not known");
}

Verdict supports_indices(const ir::Node& node, std::size_t operand) {
  const DataType dtype = type_of(node, operand).dtype;
  if (dtype != DataType::kInt32 && dtype != DataType::kInt64) return Verdict::no("indices must be int32 or int64");
  return type_of(node, operand).shape.known_rank() ? Verdict::yes() : Verdict::no("the rank of the indices is not known");
}

// --- gather_nd

struct GatherNd {
  std::vector<std::int64_t> sizes;  // of the axes that a row of the indices addresses
  std::int64_t rows = 0, row_bytes = 0;
  bool ignore = false;  // rows outside become zeros instead of an error
  Slot table = -1, indices = -1, to = -1;
};

template <class Index>
void gather_nd(const GatherNd& g, const ir::Node& node, const Frame& frame) {
  const std::byte* table = frame.at<const std::byte>(g.table);
  const Index* indices = frame.at<const Index>(g.indices);
  std::byte* to = frame.at<std::byte>(g.to);
  std::atomic<std::int64_t> bad{-1};
  const double nanoseconds = 5 + static_cast<double>(g.row_bytes) * 0.1;
  for_shares(split_work(g.rows, nanoseconds), *frame.team, [&](std::int64_t begin, std::int64_t end) {
    const std::size_t depth = g.sizes.size(), bytes = static_cast<std::size_t>(g.row_bytes);
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t position = 0;
      bool inside = true;
      for (std::size_t d = 0; d < depth; ++d) {
        const auto at = static_cast<std::int64_t>(indices[static_cast<std::size_t>(row) * depth + d]);
        inside &= at >= 0 && at < g.sizes[d];
        position = position * g.sizes[d] + (inside ? at : 0);
      }
      if (inside) {
        std::memcpy(to + row * g.row_bytes, table + position * g.row_bytes, bytes);
      } else {
        std::memset(to + row * g.row_bytes, 0, bytes);
        bad.store(row, std::memory_order_relaxed);
      }
    }
  });
  if (const std::int64_t row = bad.load(); row >= 0 && !g.ignore) {
    fail(ErrorCode::kInvalidArgument, "{}: row {} of the indices lies outside the operand", node.describe(), row);
  }
}

Verdict supports_gather_nd(const ir::Node& node) {
  if (node.inputs.size() != 2) return Verdict::no("has not two operands");
  if (auto verdict = supports_data(node, 0); !verdict) return verdict;
  return supports_indices(node, 1);
}

Lowered lower_gather_nd(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "gather_nd";
  lowered.prepare = [node = &node](PlanContext& ctx) {
    const Place &table = ctx.operand(0), &indices = ctx.operand(1);
    const std::int64_t depth = indices.last();
    if (indices.shape.rank() == 0 || depth > table.shape.rank()) {
      fail(ErrorCode::kInvalidArgument, "{}: the indices do not address the operand", node->describe());
    }
    GatherNd g;
    g.row_bytes = static_cast<std::int64_t>(dtype_size(table.dtype));
    for (int d = 0; d < table.shape.rank(); ++d) {
      if (d < depth) {
        g.sizes.push_back(table.shape[d]);
      } else {
        g.row_bytes *= table.shape[d];
      }
    }
    g.rows = g.row_bytes == 0 ? 0 : ctx.result().elements() * static_cast<std::int64_t>(dtype_size(table.dtype)) / g.row_bytes;
    g.ignore = node->attr_or<std::string>("bad_indices_policy", "") == "IGNORE";
    g.table = table.slot;
    g.indices = indices.slot;
    g.to = ctx.result().slot;
    return make_step([g, node, wide = indices.dtype == DataType::kInt64](const Frame& frame) {
      (wide ? gather_nd<std::int64_t> : gather_nd<std::int32_t>)(g, *node, frame);
    });
  };
  return lowered;
}

// --- one_hot: indices, depth, on, off

struct OneHot {
  std::int64_t count = 0, inner = 1, depth = 0, unit = 0;
  Slot indices = -1, on = -1, off = -1, to = -1;
};

template <class Index>
void one_hot(const OneHot& h, const Frame& frame) {
  std::byte* to = frame.at<std::byte>(h.to);
  fill(to, frame.at<const void>(h.off), h.unit, h.count * h.depth, *frame.team);
  const Index* indices = frame.at<const Index>(h.indices);
  const std::byte* on = frame.at<const std::byte>(h.on);
  for (std::int64_t i = 0; i < h.count; ++i) {
    const auto hot = static_cast<std::int64_t>(indices[i]);
    if (hot < 0 || hot >= h.depth) continue;
    std::memcpy(to + ((i / h.inner * h.depth + hot) * h.inner + i % h.inner) * h.unit, on, static_cast<std::size_t>(h.unit));
  }
}

Verdict supports_one_hot(const ir::Node& node) {
  if (node.inputs.size() != 4) return Verdict::no("has not four operands");
  if (auto verdict = supports_indices(node, 0); !verdict) return verdict;
  if (auto verdict = supports_data(node, 2); !verdict) return verdict;
  return require_known(node, 1, "the depth");
}

Lowered lower_one_hot(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "one_hot";
  lowered.unread = {1};
  lowered.prepare = [](PlanContext& ctx) {
    const Place& indices = ctx.operand(0);
    const int rank = indices.shape.rank();
    OneHot h;
    for (int d = resolve_axis(ctx, ctx.node().attr_or<std::int64_t>("axis", -1), rank + 1); d < rank; ++d) h.inner *= indices.shape[d];
    h.count = indices.elements();
    h.depth = ctx.integers(1).at(0);
    h.unit = static_cast<std::int64_t>(dtype_size(ctx.result().dtype));
    h.indices = indices.slot;
    h.on = ctx.operand(2).slot;
    h.off = ctx.operand(3).slot;
    h.to = ctx.result().slot;
    return make_step([h, wide = indices.dtype == DataType::kInt64](const Frame& frame) {
      (wide ? one_hot<std::int64_t> : one_hot<std::int32_t>)(h, frame);
    });
  };
  return lowered;
}

// --- cumsum, cumprod

// An operand as outer * size * inner elements; the middle axis is run along.
struct Scan {
  std::int64_t outer = 1, size = 1, inner = 1;
  bool exclusive = false, reverse = false;
  Slot from = -1, to = -1;
};

constexpr std::int64_t kColumns = 256;  // taken at a time

template <class T, bool kProduct>
T join(T a, T b) {
  return kProduct ? ops::arithmetic::Mul::apply<T, T>(a, b) : ops::arithmetic::Add::apply<T, T>(a, b);
}

template <class T, bool kProduct>
void scan_columns(const Scan& s, const T* in, T* out, std::int64_t count) {
  std::array<T, kColumns> sums;
  sums.fill(kProduct ? T{1} : T{0});
  for (std::int64_t i = 0; i < s.size; ++i) {
    const std::int64_t at = (s.reverse ? s.size - 1 - i : i) * s.inner;
    for (std::int64_t c = 0; c < count; ++c) {
      T& sum = sums[static_cast<std::size_t>(c)];
      const T before = sum;
      sum = join<T, kProduct>(sum, in[at + c]);
      out[at + c] = s.exclusive ? before : sum;
    }
  }
}

template <class T, bool kProduct>
std::unique_ptr<Step> scan_step(const Scan& s) {
  return make_step([s](const Frame& frame) {
    const std::int64_t blocks = (s.inner + kColumns - 1) / kColumns;
    const double nanoseconds = static_cast<double>(s.size * std::min(kColumns, s.inner));
    for_shares(split_work(s.outer * blocks, nanoseconds), *frame.team, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const std::int64_t first = b % blocks * kColumns, offset = b / blocks * s.size * s.inner + first;
        scan_columns<T, kProduct>(s, frame.at<const T>(s.from) + offset, frame.at<T>(s.to) + offset, std::min(kColumns, s.inner - first));
      }
    });
  });
}

template <class T>
std::unique_ptr<Step> scan_step(const Scan& s, bool product) {
  return product ? scan_step<T, true>(s) : scan_step<T, false>(s);
}

Verdict supports_scan(const ir::Node& node) {
  if (node.inputs.size() != 2) return Verdict::no("has not two operands");
  const ir::ValueType& type = type_of(node, 0);
  if (type.dtype != DataType::kFloat32 && type.dtype != DataType::kInt32 && type.dtype != DataType::kInt64) {
    return Verdict::no(fmt::format("{} of {} does not run in an engine", node.op->name, dtype_name(type.dtype)));
  }
  if (!type.shape.known_rank()) return Verdict::no("the rank is not known");
  return require_known(node, 1, "the axis");
}

Lowered lower_scan(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.unread = {1};
  lowered.prepare = [product = node.is("cumprod")](PlanContext& ctx) {
    const Place& from = ctx.operand(0);
    const int axis = resolve_axis(ctx, ctx.integers(1).at(0), from.shape.rank());
    Scan s;
    for (int d = 0; d < from.shape.rank(); ++d) (d < axis ? s.outer : d == axis ? s.size : s.inner) *= from.shape[d];
    s.exclusive = ctx.node().attr_or<bool>("exclusive", false);
    s.reverse = ctx.node().attr_or<bool>("reverse", false);
    s.from = from.slot;
    s.to = ctx.result().slot;
    if (from.dtype == DataType::kFloat32) return scan_step<float>(s, product);
    return from.dtype == DataType::kInt32 ? scan_step<std::int32_t>(s, product) : scan_step<std::int64_t>(s, product);
  };
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"gather_nd", supports_gather_nd, lower_gather_nd},
    {"one_hot", supports_one_hot, lower_one_hot},
    {"cumsum", supports_scan, lower_scan},
    {"cumprod", supports_scan, lower_scan},
};

}  // namespace

const LoweringFamily& indexing_lowerings() {
  static const LoweringFamily family{"indexing", kLowerings};
  return family;
}

}  // namespace tenon::cpu
