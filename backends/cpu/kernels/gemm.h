// FP32 matrix multiplication with a packed right-hand side and an epilogue: C = epilogue(A x B + bias).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cpu/kernels/epilogue.h"
#include "base/cpu_info.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Ways to bring rows of A to the kernels. Windows of a convolution are always copied, matrices never by lines.
constexpr int8_t kCopyNothing = 0;  // A is read where it lies
constexpr int8_t kCopyTiles = 1;    // every task copies its row tiles to scratch
constexpr int8_t kCopyAll = 2;      // all of A is copied to scratch first (not with groups, not when large)
constexpr int8_t kCopyLines = 3;    // every task copies the input lines of its output lines; windows overlap in them

// How the work of one shape is cut. Zero means "choose". Any tactic gives a correct result; sums may differ in the last
// bits between tactics with another `k_block`, never between team sizes.
struct GemmTactic {
  int32_t m_shares = 0;  // parts of the rows
  int32_t n_shares = 0;  // parts of the columns; m_shares * n_shares tasks run in parallel
  int32_t m_block = 0;   // row tiles that share one sweep over the right-hand side
  int32_t k_block = 0;   // length of the partial sums
  int8_t pack_a = -1;    // one of the above; -1: choose
  bool operator==(const GemmTactic&) const = default;
};

// Bytes of B[k, n] in packed form, a multiple of 64. The form depends on the instruction set, so a plan file is tied to it.
size_t gemm_packed_size(int64_t k, int64_t n, Isa isa = cpu_info().isa);

// Packs B into `packed` (64-byte aligned). B is [k, n] with row stride `ldb` or, transposed, [n, k]; strides in elements.
void gemm_pack(const float* b, int64_t ldb, bool transposed, int64_t k, int64_t n, float* packed, Isa isa = cpu_info().isa);

struct GemmShape {
  int64_t m = 0, n = 0, k = 0;
};

// Addresses of one call. Strides count elements between rows. C must not overlap the other operands. `residual` is read
// where the epilogue names a place for it. `scratch` is 64-byte aligned.
struct GemmArgs {
  const float* a = nullptr;
  int64_t lda = 0;
  const float* packed = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t ldr = 0;
  float* c = nullptr;
  int64_t ldc = 0;
  bool c_is_near = false;  // C is in the caches already
  void* scratch = nullptr;
};

// Everything that follows from the shape alone; made once, then run from any thread (one run per team at a time).
class GemmPlan {
 public:
  static GemmPlan make(const GemmShape& shape, const Epilogue& epilogue, const GemmTactic& tactic = {},
                       Isa isa = cpu_info().isa);

  // Bytes of scratch that a run with a team of `threads` needs.
  size_t scratch_size(int threads) const;
  void run(const GemmArgs& args, ThreadTeam& team) const;
  const GemmTactic& tactic() const { return tactic_; }  // with nothing left to choose

 private:
  GemmShape shape_;
  Epilogue epilogue_;
  GemmTactic tactic_;
  Isa isa_ = Isa::kGeneric;
};

// Candidates worth timing for a shape; the first is what `make` would choose.
std::vector<GemmTactic> gemm_tactics(const GemmShape& shape, Isa isa = cpu_info().isa);

// Batch of products whose both sides are run-time values: C[i] = epilogue(scale * op(A[i]) x op(B[i]) + bias).
// Each of the outer indices i0 < batch0 and i1 < batch1 moves an operand by its own stride (0 repeats it), so the heads of
// an attention layer are read and written in place.
struct BatchedGemmShape {
  int64_t batch0 = 1, batch1 = 1, m = 0, n = 0, k = 0;
  bool transpose_a = false;  // A is stored [k, m]
  bool transpose_b = false;  // B is stored [n, k]
  float scale = 1;
};

struct BatchedGemmArgs {
  const float* a = nullptr;
  int64_t lda = 0, a_batch0 = 0, a_batch1 = 0;
  const float* b = nullptr;
  int64_t ldb = 0, b_batch0 = 0, b_batch1 = 0;
  const float* bias = nullptr;  // [n], the same for the whole batch
  const float* residual = nullptr;
  int64_t ldr = 0, residual_batch0 = 0, residual_batch1 = 0;
  float* c = nullptr;
  int64_t ldc = 0, c_batch0 = 0, c_batch1 = 0;
  void* scratch = nullptr;
};

class BatchedGemmPlan {
 public:
  static BatchedGemmPlan make(const BatchedGemmShape& shape, const Epilogue& epilogue, Isa isa = cpu_info().isa);
  size_t scratch_size(int threads) const;
  void run(const BatchedGemmArgs& args, ThreadTeam& team) const;

 private:
  BatchedGemmShape shape_;
  Epilogue epilogue_;
  Isa isa_ = Isa::kGeneric;
  int64_t m_shares_ = 1;
};

}  // namespace tenon::cpu
