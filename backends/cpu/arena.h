// Large memory of an engine: activations, scratch, weights that are packed when a plan is loaded.
#pragma once

#include <cstddef>

namespace tenon::cpu {

// Memory straight from the system, on huge pages where it is large; released when the object goes.
class Arena {
 public:
  Arena() = default;
  ~Arena() { release(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  // Makes it at least so large; what was in it is lost when it grows. Throws kOutOfMemory.
  void grow(std::size_t bytes);

 private:
  void release();

  void* mapping_ = nullptr;
  std::size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tenon::cpu
