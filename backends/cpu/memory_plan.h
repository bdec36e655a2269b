// Places buffers that are alive at different times over one another.
#pragma once

#include <cstddef>
#include <vector>

namespace tenon::cpu {

// A piece of memory, needed from step `first` through step `last`.
struct BufferNeed {
  std::size_t bytes = 0;
  int first = 0;
  int last = 0;
  std::size_t offset = 0;  // the result
};

// Sets the offsets (multiples of 64) and returns the arena's size. Buffers that are alive together do not overlap.
std::size_t plan_memory(std::vector<BufferNeed>& buffers);

}  // namespace tenon::cpu
