// TensorFlow's ResizeBilinear and ResizeNearestNeighbor on dense channels-last images.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/cpu/kernels/shares.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Input [batch, height, width, channels], output [batch, out_height, out_width, channels]. align_corners and
// half_pixel_centers are not both set; neither is TensorFlow's older behaviour.
struct ResizeShape {
  int64_t batch = 1, height = 1, width = 1, channels = 1, out_height = 1, out_width = 1;
  bool align_corners = false;
  bool half_pixel_centers = false;
};

// Bound to one shape; immutable.
class ResizeBilinear {
 public:
  explicit ResizeBilinear(const ResizeShape& shape);
  void run(const float* x, float* y, ThreadTeam& team) const;

  // Between which input rows (or columns) an output row lies.
  struct Tap {
    int64_t low = 0, high = 0;
    float weight = 0;  // of `high`
  };

 private:
  ResizeShape shape_;
  std::vector<Tap> rows_, columns_;
  Shares shares_;  // of output rows
};

class ResizeNearest {
 public:
  ResizeNearest(const ResizeShape& shape, int64_t element_size);
  void run(const void* x, void* y, ThreadTeam& team) const;

 private:
  ResizeShape shape_;
  int64_t pixel_bytes_ = 0;
  std::vector<int64_t> rows_, columns_;
  Shares shares_;
};

}  // namespace tenon::cpu
