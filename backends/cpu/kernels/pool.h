// Maximum and average pooling of channels-last float tensors, in two or three spatial dimensions.
#pragma once

#include <array>
#include <cstdint>

#include "backends/cpu/kernels/shares.h"
#include "base/thread_team.h"

namespace tenon::cpu {

enum class PoolKind : uint8_t {
  kMaximum,  // starts from the lowest finite float and passes NaN over, as TensorFlow does
  kAverage,  // over the part of the window inside the input
};

// Input [batch, depth, height, width, channels], dense; arrays are (depth, height, width); two-dimensional pooling has
// depth 1. `padding` is what lies before the input; what lies after it follows from `output`.
struct PoolShape {
  PoolKind kind = PoolKind::kMaximum;
  int64_t batch = 1;
  std::array<int64_t, 3> input{1, 1, 1};
  std::array<int64_t, 3> output{1, 1, 1};
  std::array<int64_t, 3> window{1, 1, 1};
  std::array<int64_t, 3> stride{1, 1, 1};
  std::array<int64_t, 3> padding{0, 0, 0};
  int64_t channels = 1;
  int64_t output_stride = 0;  // floats from one output pixel to the next; 0: channels. More writes into a concatenation
};

// Bound to one shape; immutable.
class Pool {
 public:
  explicit Pool(const PoolShape& shape);
  void run(const float* x, float* y, ThreadTeam& team) const;

 private:
  PoolShape shape_;
  Shares shares_;  // of output rows
};

}  // namespace tenon::cpu
