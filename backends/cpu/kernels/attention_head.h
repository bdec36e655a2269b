// Attention of a run of queries of one head. Private to attention.cc.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/attention.h"

namespace tenon::cpu {

// Widest panel of any build, in floats; scratch is sized by it.
inline constexpr int64_t kAttentionPanel = 64;

// Pointers to the first element of a head; scratch parts of this thread.
struct AttentionHead {
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  const float* mask = nullptr;
  float* output = nullptr;
  float* packed_key = nullptr;    // panels of keys: [panel][depth][key]
  float* packed_value = nullptr;  // panels of columns: [panel][key][column]
  float* scores = nullptr;        // [block][row_floats]
  int64_t row_floats = 0;
};

struct AttentionSteps {
  // Fills packed_key and packed_value.
  void (*pack)(const AttentionShape& shape, const AttentionHead& head);
  // Queries [begin, end), at most a block of them.
  void (*block)(const AttentionShape& shape, const AttentionHead& head, int64_t begin, int64_t end);
  // The same without packing, for few queries.
  void (*few)(const AttentionShape& shape, const AttentionHead& head);
};

// The builds for this CPU.
AttentionSteps attention_steps();

}  // namespace tenon::cpu
