// Parts of tensors: how TensorFlow names them in a bundle, and writes them into restore ops.
#pragma once

#include <string>
#include <string_view>

#include "savedmodel/variables.h"

namespace tenon::saved {

// The bundle key of one part of a sliced tensor.
std::string encode_slice_key(std::string_view key, const TensorSlice& slice);
// True when a bundle key names a part rather than a tensor.
bool is_slice_key(std::string_view key) noexcept;

TensorSlice decode_slice(std::string_view bytes);  // TensorSliceProto
std::string encode_slice(const TensorSlice& slice);

// Makes every extent explicit. Throws kInvalidModel when the slice does not lie in a tensor of that shape.
TensorSlice resolve(const TensorSlice& slice, const Shape& full, std::string_view who);
Shape slice_shape(const TensorSlice& resolved);

struct SliceSpec {
  Shape full;
  TensorSlice slice;
};
// "10 4 0,5:-": the full shape, then start,length (or - for all) per dimension. Throws kInvalidModel.
SliceSpec parse_slice_spec(std::string_view spec);

// Copies the elements that two boxes of one tensor share. `from` has the shape of `from_box`, `to` that of `to_box`; returns
// how many elements were copied. Both boxes are resolved; for plain dtypes and strings.
std::int64_t copy_overlap(const Tensor& from, const TensorSlice& from_box, Tensor& to, const TensorSlice& to_box);

}  // namespace tenon::saved
