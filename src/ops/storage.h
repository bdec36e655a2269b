// Ops that only move elements see them by size: one instantiation serves all dtypes of that size.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/visit_dtype.h"
#include "tenon/tensor.h"

namespace tenon::ops {

struct alignas(8) Bytes16 {
  std::uint64_t low = 0, high = 0;
  bool operator==(const Bytes16&) const = default;
};

// Calls f(TypeTag<S>) with an S that holds one element: an integer of the size, Bytes16, std::string or ObjectPtr.
// Throws kUnsupported for kInvalid.
template <class F>
void visit_storage(DataType dtype, F&& f) {
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

// The elements of a tensor as visit_storage's S.
template <class S>
const S* stored(const Tensor& tensor) {
  return static_cast<const S*>(tensor.data());
}
template <class S>
S* stored(Tensor& tensor) {
  return static_cast<S*>(tensor.data());
}

}  // namespace tenon::ops
