#include "backends/cpu/kernels/transpose.h"

#include <xmmintrin.h>

#include <algorithm>

#include "backends/cpu/kernels/element.h"
#include "backends/cpu/kernels/strides.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kTile = 16;

// Rows of `from` become columns of `to`.
template <class T>
void transpose_tile(const T* from, int64_t from_row, T* to, int64_t to_row, int64_t rows, int64_t columns) {
  if (rows == kTile && columns == kTile) {
    for (int64_t c = 0; c < kTile; ++c) {
      for (int64_t r = 0; r < kTile; ++r) to[c * to_row + r] = from[r * from_row + c];
    }
    return;
  }
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) to[c * to_row + r] = from[r * from_row + c];
  }
}

void transpose_four(const float* from, int64_t from_row, float* to, int64_t to_row) {
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row);
  __m128 c = _mm_loadu_ps(from + 2 * from_row), d = _mm_loadu_ps(from + 3 * from_row);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + to_row, b);
  _mm_storeu_ps(to + 2 * to_row, c);
  _mm_storeu_ps(to + 3 * to_row, d);
}

void transpose_tile(const uint32_t* from, int64_t from_row, uint32_t* to, int64_t to_row, int64_t rows, int64_t columns) {
  const int64_t even_rows = rows / 4 * 4, even_columns = columns / 4 * 4;
  for (int64_t c = 0; c < even_columns; c += 4) {
    for (int64_t r = 0; r < even_rows; r += 4) {
      transpose_four(reinterpret_cast<const float*>(from + r * from_row + c), from_row,
                     reinterpret_cast<float*>(to + c * to_row + r), to_row);
    }
  }
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = c < even_columns ? even_rows : 0; r < rows; ++r) to[c * to_row + r] = from[r * from_row + c];
  }
}

}  // namespace

Transpose::Transpose(std::span<const int64_t> dims, std::span<const int> permutation, int64_t element_size)
    : element_size_(element_size) {
  TENON_CHECK(dims.size() == permutation.size());
  const std::vector<int64_t> strides = dense_strides(dims);
  std::vector<int64_t> out_dims, from_strides;
  std::vector<bool> seen(dims.size(), false);
  for (int axis : permutation) {
    TENON_CHECK(axis >= 0 && axis < static_cast<int>(dims.size()) && !seen[axis]);
    seen[axis] = true;
    out_dims.push_back(dims[axis]);
    from_strides.push_back(strides[axis]);
  }
  const std::vector<int64_t> both[2] = {from_strides, dense_strides(out_dims)};
  const StridedLoop loop = merge_dimensions(out_dims, both);
  const std::vector<int64_t>&from = loop.strides[0], &to = loop.strides[1];
  const int inner = static_cast<int>(loop.dims.size()) - 1;
  int contiguous = -1;  // the output dimension along which the input is contiguous
  for (int d = 0; d <= inner; ++d) contiguous = from[d] == 1 ? d : contiguous;
  const bool sizes = visit_element(element_size, [](auto) {});
  if (contiguous < 0 || contiguous == inner || !sizes || loop.size() == 0) {
    copy_ = std::make_unique<const StridedCopy>(loop.dims, from, to, element_size);
    return;
  }
  rows_ = loop.dims[inner];
  columns_ = loop.dims[contiguous];
  from_row_ = from[inner];
  to_row_ = to[contiguous];
  int64_t planes = 1;
  for (int d = 0; d < inner; ++d) {
    if (d == contiguous) continue;
    outer_dims_.push_back(loop.dims[d]);
    outer_from_.push_back(from[d]);
    outer_to_.push_back(to[d]);
    planes *= loop.dims[d];
  }
  const int64_t tiles = planes * ((rows_ + kTile - 1) / kTile) * ((columns_ + kTile - 1) / kTile);
  const double elements = static_cast<double>(std::min(rows_, kTile) * std::min(columns_, kTile));
  shares_ = split_work(tiles, 8 + (element_size == 4 ? 0.4 : 0.8) * elements);
}

void Transpose::run_tiles(const void* from, void* to, int64_t begin, int64_t end) const {
  const int64_t row_tiles = (rows_ + kTile - 1) / kTile, column_tiles = (columns_ + kTile - 1) / kTile;
  visit_element(element_size_, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = begin; i < end; ++i) {
      // Row tiles turn fastest: stores fill whole output lines one after another.
      const int64_t r = i % row_tiles * kTile, c = i / row_tiles % column_tiles * kTile;
      int64_t plane = i / (row_tiles * column_tiles), source = r * from_row_ + c, target = c * to_row_ + r;
      for (size_t d = outer_dims_.size(); d-- > 0;) {
        source += plane % outer_dims_[d] * outer_from_[d];
        target += plane % outer_dims_[d] * outer_to_[d];
        plane /= outer_dims_[d];
      }
      transpose_tile(static_cast<const T*>(from) + source, from_row_, static_cast<T*>(to) + target, to_row_,
                     std::min(kTile, rows_ - r), std::min(kTile, columns_ - c));
    }
  });
}

void Transpose::run(const void* from, void* to, ThreadTeam& team) const {
  if (copy_) return copy_->run(from, to, team);
  for_shares(shares_, team, [&](int64_t begin, int64_t end) { run_tiles(from, to, begin, end); });
}

Transpose space_to_depth(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t block,
                         int64_t element_size) {
  TENON_CHECK(block > 0 && height % block == 0 && width % block == 0);
  const int64_t dims[] = {batch, height / block, block, width / block, block, channels};
  const int permutation[] = {0, 1, 3, 2, 4, 5};
  return Transpose(dims, permutation, element_size);
}

Transpose depth_to_space(int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t block,
                         int64_t element_size) {
  TENON_CHECK(block > 0 && channels % (block * block) == 0);
  const int64_t dims[] = {batch, height, width, block, block, channels / (block * block)};
  const int permutation[] = {0, 1, 3, 2, 4, 5};
  return Transpose(dims, permutation, element_size);
}

}  // namespace tenon::cpu
