// Moving elements of any dtype: by their width, with strides. What slicing, concatenating, transposing, padding and tiling
// share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/storage.h"
#include "tenon/tensor.h"

namespace tenon::ops {

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
