// Resizing as a weighted sum of rows, then of columns: which pixels count, and how much.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ir/attributes.h"

namespace tenon::ops {

// The input pixels that make one output pixel along an axis, and their weights; none: the pixel is 0.
struct Blend {
  std::vector<std::int64_t> indices;
  std::vector<double> weights;
};
using Blends = std::vector<Blend>;

// One blend per output pixel, for `op` "resize_bilinear", "resize_bicubic" or "resize_area" with the node's attributes. `in` and
// `out` are positive. Throws kInvalidArgument for attributes that exclude each other.
Blends resize_blends(std::string_view op, const ir::Attrs& attrs, std::int64_t in, std::int64_t out);
// The same for scale_and_translate. `scale` is positive. Throws kInvalidModel for an unknown kernel_type.
Blends scaled_blends(const ir::Attrs& attrs, std::int64_t in, std::int64_t out, float scale, float translation);

}  // namespace tenon::ops
