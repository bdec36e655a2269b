// Pieces of tensor decoding that TensorProto and the checkpoint bundle share.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/tensor.h"

namespace tenon::saved {

// Number of elements of a shape read from a file. Throws kInvalidModel for negative sizes, overflow and too high a rank.
std::int64_t checked_elements(const Shape& shape, std::string_view who);

// A tensor over the bytes of a file: borrowed when large and aligned for its dtype, else copied. `bytes` has the tensor's
// exact size. Not for strings, resources and variants.
Tensor view_or_copy(DataType dtype, const Shape& shape, std::string_view bytes, const std::shared_ptr<const void>& owner);

// True for dtypes whose elements lie in a file as they lie in memory.
bool is_plain(DataType dtype) noexcept;

// Fields of a TensorShapeProto message in wire format.
std::string encode_shape(const std::vector<std::int64_t>& dims, bool known_rank = true);

}  // namespace tenon::saved
