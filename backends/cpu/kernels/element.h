// Elements as plain bytes, for kernels that only move them.
#pragma once

#include <cstdint>

namespace tenon::cpu {

struct Bytes16 {
  uint64_t low, high;
};

// Calls f(T{}) with an unsigned type T of `size` bytes (1, 2, 4, 8, 16); returns false for other sizes.
template <class F>
bool visit_element(int64_t size, F&& f) {
  switch (size) {
    case 1:
      return f(uint8_t{}), true;
    case 2:
      return f(uint16_t{}), true;
    case 4:
      return f(uint32_t{}), true;
    case 8:
      return f(uint64_t{}), true;
    case 16:
      return f(Bytes16{}), true;
    default:
      return false;
  }
}

}  // namespace tenon::cpu
