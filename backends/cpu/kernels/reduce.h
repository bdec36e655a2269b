// Reductions over any set of axes of a dense tensor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backends/cpu/kernels/shares.h"
#include "base/thread_team.h"
#include "tenon/tensor.h"

namespace tenon::cpu {

enum class ReduceOp : uint8_t {
  kSum,
  kMean,
  kMaximum,  // NaN where there is one
  kMinimum,
  kProduct,
  kSumSquares,
  kAny,  // of bools
  kAll,
};

// Bound to one shape; immutable. The output holds the axes that stay, in their order.
class Reduce {
 public:
  // float32 with the arithmetic operations; bool with kAny and kAll.
  static bool supports(ReduceOp op, DataType dtype) noexcept;

  // `reduced` has one entry per dimension. An empty reduction gives 0, NaN (mean), -infinity, infinity, 1, 0, false or true.
  // Throws kInternal for what supports() refuses.
  Reduce(ReduceOp op, DataType dtype, std::span<const int64_t> dims, std::span<const bool> reduced);

  void run(const void* x, void* y, ThreadTeam& team) const;

 private:
  void run_floats(const float* x, float* y, ThreadTeam& team) const;
  void reduce_rows(const float* x, float* y, int64_t begin, int64_t end) const;
  void reduce_columns(const float* x, float* y, int64_t begin, int64_t end) const;
  void reduce_whole(const float* x, float* y, ThreadTeam& team) const;
  void run_bools(const uint8_t* x, uint8_t* y) const;

  ReduceOp op_;
  DataType dtype_;
  // Merged. The innermost dimension is a run of neighbours that is reduced to one number (rows) or kept (columns).
  bool rows_ = true;
  int64_t inner_ = 1;
  std::vector<int64_t> kept_dims_, kept_strides_;        // without the innermost
  std::vector<int64_t> reduced_dims_, reduced_strides_;  // without the innermost
  int64_t outputs_ = 0, reduced_count_ = 0;
  Shares shares_;
};

}  // namespace tenon::cpu
