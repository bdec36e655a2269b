// Any permutation of dimensions of a dense tensor.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/kernels/strided_copy.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Output dimension d is input dimension permutation[d]. Bound to one shape; immutable.
class Transpose {
 public:
  // dims: of the input. element_size in bytes. Throws kInternal when `permutation` is none.
  Transpose(std::span<const int64_t> dims, std::span<const int> permutation, int64_t element_size);

  void run(const void* from, void* to, ThreadTeam& team) const;

 private:
  void run_tiles(const void* from, void* to, int64_t begin, int64_t end) const;

  std::unique_ptr<const StridedCopy> copy_;  // where runs of neighbours stay together
  // Otherwise a loop over planes that are transposed in tiles: in a plane, rows are contiguous in the input and columns in
  // the output.
  std::vector<int64_t> outer_dims_, outer_from_, outer_to_;
  int64_t rows_ = 0, columns_ = 0, from_row_ = 0, to_row_ = 0, element_size_ = 0;
  Shares shares_;  // of tiles
};

// TensorFlow's SpaceToDepth and DepthToSpace on [batch, height, width, channels] of the input.
Transpose space_to_depth(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t block,
                         int64_t element_size);
Transpose depth_to_space(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t block,
                         int64_t element_size);

}  // namespace tenon::cpu
