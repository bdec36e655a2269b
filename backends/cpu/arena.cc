#include "backends/cpu/arena.h"

#include <sys/mman.h>

#include <cstdint>

#include "base/error.h"

namespace tenon::cpu {

void Arena::grow(std::size_t bytes) {
  if (bytes <= size_) return;
  release();
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  const std::size_t size = bytes >= kHuge ? (bytes + kHuge - 1) / kHuge * kHuge : (bytes + 4095) / 4096 * 4096;
  // One huge page more, to begin at a boundary of one.
  const std::size_t mapped = size >= kHuge ? size + kHuge : size;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(ErrorCode::kOutOfMemory, "an engine needs {} bytes, which are not available", bytes);
  mapping_ = memory;
  mapped_ = mapped;
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  data_ = reinterpret_cast<std::byte*>(size >= kHuge ? (start + kHuge - 1) / kHuge * kHuge : start);
  size_ = size;
  if (size >= kHuge) madvise(data_, size, MADV_HUGEPAGE);
}

void Arena::release() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
  mapping_ = nullptr;
  data_ = nullptr;
  size_ = 0;
}

}  // namespace tenon::cpu
