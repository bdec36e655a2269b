#include "backends/cpu/kernels/reduce.h"

#include <algorithm>
#include <array>
#include <limits>

#include "backends/cpu/kernels/reduce_steps.h"
#include "backends/cpu/kernels/strides.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kColumnBlock = 128;     // kept neighbours that one item reduces
constexpr int64_t kWholePiece = 1 << 16;  // elements of a piece when there is a single, long row
constexpr int64_t kMaxPieces = 256;

float start_value(ReduceOp op) {
  switch (op) {
    case ReduceOp::kProduct:
      return 1;
    case ReduceOp::kMaximum:
      return -std::numeric_limits<float>::infinity();
    case ReduceOp::kMinimum:
      return std::numeric_limits<float>::infinity();
    default:
      return 0;
  }
}

int64_t product_of(const std::vector<int64_t>& dims) {
  int64_t product = 1;
  for (int64_t dim : dims) product *= dim;
  return product;
}

}  // namespace

bool Reduce::supports(ReduceOp op, DataType dtype) noexcept {
  return dtype == (op == ReduceOp::kAny || op == ReduceOp::kAll ? DataType::kBool : DataType::kFloat32);
}

Reduce::Reduce(ReduceOp op, DataType dtype, std::span<const int64_t> dims, std::span<const bool> reduced)
    : op_(op), dtype_(dtype) {
  TENON_CHECK(supports(op, dtype) && dims.size() == reduced.size());
  // Merge neighbours of one kind.
  std::vector<int64_t> merged;
  std::vector<bool> kind;
  int64_t total = 1;
  for (size_t d = 0; d < dims.size(); ++d) {
    total *= dims[d];
    if (dims[d] == 1) continue;
    if (merged.empty() || kind.back() != reduced[d]) {
      merged.push_back(1);
      kind.push_back(reduced[d]);
    }
    merged.back() *= dims[d];
  }
  if (merged.empty()) {
    merged.push_back(1);
    kind.push_back(true);
  }
  TENON_CHECK(merged.size() <= kMaxLoopRank);
  const std::vector<int64_t> strides = dense_strides(merged);
  rows_ = kind.back();
  inner_ = merged.back();
  for (size_t d = 0; d + 1 < merged.size(); ++d) {
    (kind[d] ? reduced_dims_ : kept_dims_).push_back(merged[d]);
    (kind[d] ? reduced_strides_ : kept_strides_).push_back(strides[d]);
  }
  outputs_ = product_of(kept_dims_) * (rows_ ? 1 : inner_);
  reduced_count_ = product_of(reduced_dims_) * (rows_ ? inner_ : 1);
  // walk_runs wants a dimension.
  for (auto* list : {&kept_dims_, &reduced_dims_}) {
    if (list->empty()) list->push_back(1);
  }
  for (auto* list : {&kept_strides_, &reduced_strides_}) {
    if (list->empty()) list->push_back(0);
  }
  const int64_t blocks = rows_ ? 1 : (inner_ + kColumnBlock - 1) / kColumnBlock;
  const double width = rows_ ? 1 : static_cast<double>(std::min(inner_, kColumnBlock));
  shares_ = split_work(total == 0 ? 0 : outputs_ / (rows_ ? 1 : inner_) * blocks,
                       15 + 0.12 * width * static_cast<double>(reduced_count_));
}

// Items are outputs.
void Reduce::reduce_rows(const float* x, float* y, int64_t begin, int64_t end) const {
  const ReduceSteps steps = reduce_steps();
  if (inner_ < 16 && reduced_count_ == inner_) {
    steps.short_rows(op_, x + begin * inner_, end - begin, inner_, y + begin);
    for (int64_t i = begin; i < end && op_ == ReduceOp::kMean; ++i) y[i] /= static_cast<float>(inner_);
    return;
  }
  const int64_t runs = reduced_count_ / inner_;
  walk_runs(kept_dims_, kept_strides_, begin, end - begin,
            [&](int64_t offset, int64_t stride, int64_t done, int64_t length) {
              for (int64_t i = 0; i < length; ++i) {
                const float* start = x + offset + i * stride;
                float value = start_value(op_);
                walk_runs(reduced_dims_, reduced_strides_, 0, runs, [&](int64_t at, int64_t step, int64_t, int64_t count) {
                  for (int64_t r = 0; r < count; ++r) value = steps.row(op_, start + at + r * step, inner_, value);
                });
                y[begin + done + i] = op_ == ReduceOp::kMean ? value / static_cast<float>(reduced_count_) : value;
              }
            });
}

// Items are blocks of kept neighbours.
void Reduce::reduce_columns(const float* x, float* y, int64_t begin, int64_t end) const {
  const ReduceSteps steps = reduce_steps();
  const int64_t blocks = (inner_ + kColumnBlock - 1) / kColumnBlock;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t outer = item / blocks, column = item % blocks * kColumnBlock;
    const int64_t width = std::min(kColumnBlock, inner_ - column);
    int64_t start = 0;
    walk_runs(kept_dims_, kept_strides_, outer, 1, [&](int64_t offset, int64_t, int64_t, int64_t) { start = offset; });
    float* values = y + outer * inner_ + column;
    std::fill_n(values, width, start_value(op_));
    walk_runs(reduced_dims_, reduced_strides_, 0, reduced_count_, [&](int64_t at, int64_t step, int64_t, int64_t count) {
      steps.columns(op_, x + start + at + column, count, step, width, values);
    });
    if (op_ != ReduceOp::kMean) continue;
    for (int64_t i = 0; i < width; ++i) values[i] /= static_cast<float>(reduced_count_);
  }
}

// One long row: pieces of fixed length, joined in order.
void Reduce::reduce_whole(const float* x, float* y, ThreadTeam& team) const {
  std::array<float, kMaxPieces> parts;
  const int64_t piece = std::max(kWholePiece, (inner_ + kMaxPieces - 1) / kMaxPieces);
  const int64_t pieces = (inner_ + piece - 1) / piece;
  const ReduceSteps steps = reduce_steps();
  team.parallel(static_cast<int>(pieces), [&](int i) {
    const int64_t begin = i * piece;
    parts[i] = steps.row(op_, x + begin, std::min(piece, inner_ - begin), start_value(op_));
  });
  const ReduceOp join = op_ == ReduceOp::kSumSquares ? ReduceOp::kSum : op_;
  const float value = steps.row(join, parts.data(), pieces, start_value(op_));
  *y = op_ == ReduceOp::kMean ? value / static_cast<float>(inner_) : value;
}

void Reduce::run_floats(const float* x, float* y, ThreadTeam& team) const {
  if (reduced_count_ == 0) {
    std::fill_n(y, outputs_, op_ == ReduceOp::kMean ? std::numeric_limits<float>::quiet_NaN() : start_value(op_));
  } else if (rows_ && outputs_ == 1 && reduced_count_ == inner_ && inner_ >= 2 * kWholePiece) {
    reduce_whole(x, y, team);
  } else {
    for_shares(shares_, team, [&](int64_t begin, int64_t end) {
      rows_ ? reduce_rows(x, y, begin, end) : reduce_columns(x, y, begin, end);
    });
  }
}

void Reduce::run_bools(const uint8_t* x, uint8_t* y) const {
  const bool any = op_ == ReduceOp::kAny;
  const int64_t width = rows_ ? 1 : inner_, runs = rows_ && inner_ > 0 ? reduced_count_ / inner_ : reduced_count_;
  const int64_t length = rows_ ? inner_ : 1;
  std::fill_n(y, outputs_, any ? 0 : 1);
  if (reduced_count_ == 0 || outputs_ == 0) return;
  for (int64_t o = 0; o < outputs_; ++o) {
    int64_t start = o % width;
    walk_runs(kept_dims_, kept_strides_, o / width, 1, [&](int64_t offset, int64_t, int64_t, int64_t) { start += offset; });
    walk_runs(reduced_dims_, reduced_strides_, 0, runs, [&](int64_t at, int64_t step, int64_t, int64_t count) {
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t i = 0; i < length; ++i) {
          const bool value = x[start + at + r * step + i] != 0;
          y[o] = any ? y[o] | value : y[o] & value;
        }
      }
    });
  }
}

void Reduce::run(const void* x, void* y, ThreadTeam& team) const {
  if (dtype_ == DataType::kBool) return run_bools(static_cast<const uint8_t*>(x), static_cast<uint8_t*>(y));
  run_floats(static_cast<const float*>(x), static_cast<float*>(y), team);
}

}  // namespace tenon::cpu
