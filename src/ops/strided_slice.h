// The specification language of StridedSlice, which assignments to slices share.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/attributes.h"
#include "tenon/tensor.h"

namespace tenon::ops {

struct SliceMasks {
  std::int64_t begin = 0, end = 0, ellipsis = 0, new_axis = 0, shrink_axis = 0;
};
// The attributes begin_mask, end_mask, ellipsis_mask, new_axis_mask and shrink_axis_mask.
SliceMasks slice_masks(const ir::Attrs& attrs);

// One axis of the specification, applied: a new axis of size 1, one index of an axis of the operand, or a range of it.
struct SliceItem {
  enum class Kind { kNewAxis, kIndex, kRange, kWhole };
  Kind kind = Kind::kWhole;
  int axis = 0;   // of the operand; unused for kNewAxis
  int entry = 0;  // of begin, end and strides; unused for kWhole and kNewAxis
};

// Spreads `entries` specification entries over an operand's axes; every axis is named by exactly one item.
// Throws kInvalidArgument for more entries than axes, and for more than one ellipsis.
std::vector<SliceItem> spread_slice(const SliceMasks& masks, int entries, int rank);

struct SliceRange {
  std::int64_t start = 0, count = 0, stride = 1;
};
// The elements of an axis of `size` that a kIndex or kRange item picks. Throws kInvalidArgument for a stride of 0 and for an
// index outside the axis.
SliceRange slice_range(const SliceItem& item, const SliceMasks& masks, std::int64_t begin, std::int64_t end,
                       std::int64_t stride, std::int64_t size);

}  // namespace tenon::ops
