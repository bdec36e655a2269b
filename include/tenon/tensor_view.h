// Memory that somebody else owns, seen as a tensor: what engines read and write.
#pragma once

#include <cstdint>
#include <span>

#include "tenon/tensor.h"

namespace tenon {

enum class MemoryKind : std::uint8_t { kHost, kDevice };

struct MemorySpace {
  MemoryKind kind = MemoryKind::kHost;
  int ordinal = 0;  // which device
  bool operator==(const MemorySpace&) const = default;
};

// A dense row-major tensor in borrowed memory. Neither the sizes nor the elements are owned.
struct TensorView {
  DataType dtype = DataType::kInvalid;
  std::span<const std::int64_t> dims;
  void* data = nullptr;  // null for resources and for tensors without elements
  MemorySpace space;

  static TensorView of(const Tensor& tensor) {
    return {tensor.dtype(), tensor.shape().dims(), const_cast<void*>(tensor.data()), {}};
  }
  std::int64_t num_elements() const noexcept {
    std::int64_t count = 1;
    for (const std::int64_t dim : dims) count *= dim;
    return count;
  }
};

// Where a callee gets memory for its results.
class OutputAllocator {
 public:
  virtual ~OutputAllocator() = default;
  // Memory for result `index`, 64-byte aligned, uninitialised. Called once per result, from the thread that called the callee.
  // `dims` is only valid during the call. Throws kOutOfMemory.
  virtual void* allocate(int index, DataType dtype, std::span<const std::int64_t> dims) = 0;
};

// Makes a Tensor for each result.
class TensorAllocator : public OutputAllocator {
 public:
  explicit TensorAllocator(std::span<Tensor> tensors) : tensors_(tensors) {}
  void* allocate(int index, DataType dtype, std::span<const std::int64_t> dims) override {
    Tensor& tensor = tensors_[static_cast<std::size_t>(index)];
    tensor = Tensor(dtype, Shape(std::vector<std::int64_t>(dims.begin(), dims.end())));
    return tensor.data();
  }

 private:
  std::span<Tensor> tensors_;
};

}  // namespace tenon
