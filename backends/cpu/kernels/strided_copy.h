// Copies between strided layouts: slices, concatenations, splits, pads, reversals, broadcasts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backends/cpu/kernels/shares.h"
#include "base/thread_team.h"

namespace tenon::cpu {

// Copies dims elements of element_size bytes (1, 2, 4, 8, 16 or any other) from one strided layout to another; strides are
// in elements, an input stride of 0 repeats, negative strides run backwards. Bound to one shape; immutable.
class StridedCopy {
 public:
  StridedCopy(std::span<const int64_t> dims, std::span<const int64_t> from_strides, std::span<const int64_t> to_strides,
              int64_t element_size);

  // Pointers to the elements at index 0 of every dimension. The two layouts do not overlap.
  void run(const void* from, void* to, ThreadTeam& team) const;

 private:
  std::vector<int64_t> dims_, from_strides_, to_strides_;  // merged
  int64_t element_size_ = 0;
  Shares shares_;  // of innermost runs
};

// Sets `count` elements to the element at `value`.
void fill(void* to, const void* value, int64_t element_size, int64_t count, ThreadTeam& team);

}  // namespace tenon::cpu
