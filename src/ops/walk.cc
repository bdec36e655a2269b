#include "ops/walk.h"

#include <algorithm>
#include <cstring>

namespace tenon::ops {
namespace {

// An axis of a walk after axes of size 1 are dropped and axes that continue each other are merged.
struct WalkAxis {
  std::int64_t size, to, from;
};

std::vector<WalkAxis> merged_axes(const Shape& sizes, const Walk& to, const Walk& from) {
  std::vector<WalkAxis> axes;
  for (std::size_t i = 0; i < sizes.dims().size(); ++i) {
    const WalkAxis axis{sizes.dims()[i], to.strides[i], from.strides[i]};
    if (axis.size == 1) continue;
    if (!axes.empty() && axes.back().to == axis.to * axis.size && axes.back().from == axis.from * axis.size) {
      axes.back() = {axes.back().size * axis.size, axis.to, axis.from};
    } else {
      axes.push_back(axis);
    }
  }
  return axes;
}

template <class E>
void copy_inner(E* to, const E* from, const WalkAxis& axis) {
  if (axis.to == 1 && axis.from == 1) {
    std::copy_n(from, axis.size, to);
  } else if (axis.to == 1 && axis.from == 0) {
    std::fill_n(to, axis.size, *from);
  } else {
    for (std::int64_t i = 0; i < axis.size; ++i) to[i * axis.to] = from[i * axis.from];
  }
}

template <class E>
void copy_axes(E* to, const E* from, std::span<const WalkAxis> axes) {
  if (axes.empty()) {
    *to = *from;
  } else if (axes.size() == 1) {
    copy_inner(to, from, axes[0]);
  } else {
    for (std::int64_t i = 0; i < axes[0].size; ++i) {
      copy_axes(to + i * axes[0].to, from + i * axes[0].from, axes.subspan(1));
    }
  }
}

}  // namespace

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.dims().size());
  std::int64_t step = 1;
  for (std::size_t i = strides.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape.dims()[i];
  }
  return strides;
}

void copy_walk(const Shape& sizes, Tensor& to, const Walk& to_walk, const Tensor& from, const Walk& from_walk) {
  TENON_CHECK(to.dtype() == from.dtype());
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return;
  const std::vector<WalkAxis> axes = merged_axes(sizes, to_walk, from_walk);
  visit_storage(to.dtype(), [&](auto tag) {
    using E = typename decltype(tag)::type;
    copy_axes(stored<E>(to) + to_walk.offset, stored<E>(from) + from_walk.offset, std::span<const WalkAxis>(axes));
  });
}

void copy_range(Tensor& to, std::int64_t to_start, const Tensor& from, std::int64_t from_start, std::int64_t count) {
  TENON_CHECK(to.dtype() == from.dtype());
  if (count == 0) return;
  visit_storage(to.dtype(), [&](auto tag) {
    using E = typename decltype(tag)::type;
    std::copy_n(stored<E>(from) + from_start, count, stored<E>(to) + to_start);
  });
}

Tensor permuted(const Tensor& from, std::span<const int> perm) {
  const std::vector<std::int64_t> strides = row_major_strides(from.shape());
  Shape shape;
  Walk walk;
  for (int axis : perm) {
    shape.push_back(from.dim(axis));
    walk.strides.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  Tensor to(from.dtype(), shape);
  copy_walk(shape, to, {0, row_major_strides(shape)}, from, walk);
  return to;
}

Tensor to_channels_last(const Tensor& from) {
  std::vector<int> perm{0};
  for (int i = 2; i < from.rank(); ++i) perm.push_back(i);
  perm.push_back(1);
  return permuted(from, perm);
}

Tensor to_channels_first(const Tensor& from) {
  std::vector<int> perm{0, from.rank() - 1};
  for (int i = 1; i < from.rank() - 1; ++i) perm.push_back(i);
  return permuted(from, perm);
}

Tensor take(const Tensor& from, int axis, std::span<const std::int64_t> indices) {
  Shape shape = from.shape();
  shape[axis] = static_cast<std::int64_t>(indices.size());
  Tensor to(from.dtype(), shape);
  if (to.num_elements() == 0) return to;
  const std::int64_t outer = product(shape, 0, axis), inner = product(shape, axis + 1, shape.rank());
  visit_storage(to.dtype(), [&](auto tag) {
    using E = typename decltype(tag)::type;
    const E* source = stored<E>(from);
    E* target = stored<E>(to);
    for (std::int64_t o = 0; o < outer; ++o, source += from.dim(axis) * inner) {
      for (const std::int64_t index : indices) target = std::copy_n(source + index * inner, inner, target);
    }
  });
  return to;
}

void set_zero(Tensor& tensor) {
  visit_storage(tensor.dtype(), [&](auto tag) {
    using E = typename decltype(tag)::type;
    std::fill_n(stored<E>(tensor), tensor.num_elements(), E{});
  });
}

void set_all(Tensor& tensor, const Tensor& value) {
  TENON_CHECK(tensor.dtype() == value.dtype() && value.num_elements() > 0);
  visit_storage(tensor.dtype(), [&](auto tag) {
    using E = typename decltype(tag)::type;
    std::fill_n(stored<E>(tensor), tensor.num_elements(), *stored<E>(value));
  });
}

std::int64_t product(const Shape& shape, int first, int last) {
  std::int64_t result = 1;
  for (int i = first; i < last; ++i) result *= shape[i];
  return result;
}

}  // namespace tenon::ops
