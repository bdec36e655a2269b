// Fused multi-head attention in float: output = softmax(query keyᵀ scale + mask) value, head by head. The scores of a block
// of queries stay in the cache; nothing of size queries x keys is written to memory.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/shares.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Floats from one batch, head and row to the next; the elements of a row are neighbours. 0 repeats (mask only).
struct HeadStrides {
  int64_t batch = 0;
  int64_t head = 0;
  int64_t row = 0;
};

// query: [batch, heads, queries, depth]; key: [batch, heads, keys, depth]; value: [batch, heads, keys, value_depth];
// output: [batch, heads, queries, value_depth], each at any strides, so [batch, rows, heads, depth] needs no transpose.
// mask: [batch, heads, queries, keys], added to the scaled scores; a padding mask [batch, 1, 1, keys] has head and row
// stride 0.
struct AttentionShape {
  int64_t batch = 1, heads = 1, queries = 1, keys = 1, depth = 1, value_depth = 1;
  float scale = 1;
  HeadStrides query, key, value, output, mask;
};

// Bound to one shape; immutable.
class Attention {
 public:
  explicit Attention(const AttentionShape& shape);

  // Bytes that run() needs in `scratch`, 64-byte aligned, with a team of this size.
  int64_t scratch_bytes(int threads) const;

  // `mask` may be null. `output` overlaps nothing. A query whose mask is -infinity everywhere gets NaN; without keys it gets
  // 0.
  void run(const float* query, const float* key, const float* value, const float* mask, float* output, void* scratch,
           ThreadTeam& team) const;

 private:
  AttentionShape shape_;
  int64_t block_ = 0;  // queries whose scores are held at once
  int64_t chunk_ = 0;  // queries of one item of work: a multiple of block_
  int64_t chunks_ = 1;
  Shares shares_;  // of items: batch x heads x chunks
};

}  // namespace tenon::cpu
