// Moving elements of any dtype: by their width, with strides. What slicing, concatenating, transposing, padding and tiling
// share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/visit_dtype.h"
#include "tenon/tensor.h"

namespace tenon::ops {

struct Bytes16 {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Bytes16&) const = default;
};

// Calls f(TypeTag<E>) with a type E that copies elements of this dtype: an unsigned integer of its width, Bytes16,
// std::string or ObjectPtr.
template <class F>
void visit_element(DataType dtype, F&& f) {
  if (dtype == DataType::kString) return f(TypeTag<std::string>{});
  if (dtype == DataType::kResource || dtype == DataType::kVariant) return f(TypeTag<ObjectPtr>{});
  switch (dtype_size(dtype)) {
    case 1:
      return f(TypeTag<std::uint8_t>{});
    case 2:
      return f(TypeTag<std::uint16_t>{});
    case 4:
      return f(TypeTag<std::uint32_t>{});
    case 8:
      return f(TypeTag<std::uint64_t>{});
    case 16:
      return f(TypeTag<Bytes16>{});
    default:
      fail(ErrorCode::kUnsupported, "elements of dtype {} cannot be moved", dtype_name(dtype));
  }
}

// The elements as the type visit_element gave; no check.
template <class E>
E* elements(Tensor& tensor) {
  return static_cast<E*>(tensor.data());
}
template <class E>
const E* elements(const Tensor& tensor) {
  return static_cast<const E*>(tensor.data());
}

// Where an n-dimensional walk over a tensor begins and how far one step along each axis goes, in elements.
struct Walk {
  std::int64_t offset = 0;
  std::vector<std::int64_t> strides;
};

// Row-major strides of a shape.
std::vector<std::int64_t> row_major_strides(const Shape& shape);

// to[walk] = from[walk] over the box `sizes`. Every index must lie inside the tensors. A from-stride of 0 repeats; no two
// steps may name one element of `to`.
void copy_walk(const Shape& sizes, Tensor& to, const Walk& to_walk, const Tensor& from, const Walk& from_walk);

// Copies `count` consecutive elements.
void copy_range(Tensor& to, std::int64_t to_start, const Tensor& from, std::int64_t from_start, std::int64_t count);

// A copy whose axis i is axis perm[i] of `from`.
Tensor permuted(const Tensor& from, std::span<const int> perm);
// Channels moved from axis 1 to the end, and back.
Tensor to_channels_last(const Tensor& from);
Tensor to_channels_first(const Tensor& from);

// The slices `indices` of `from` along `axis`, in that order. Every index must lie inside the axis.
Tensor take(const Tensor& from, int axis, std::span<const std::int64_t> indices);

// Sets every element to zero (strings to empty, objects to null).
void set_zero(Tensor& tensor);
// Sets every element to the first of `value`, which has the tensor's dtype.
void set_all(Tensor& tensor, const Tensor& value);

// The product of sizes[first, last).
std::int64_t product(const Shape& shape, int first, int last);

}  // namespace tenon::ops
