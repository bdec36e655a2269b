// The reference product of two row-major matrices, shared by matmul and einsum.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/visit_dtype.h"
#include "ops/elementwise.h"

namespace tenon::ops {

// row[0, width) += sum over p of x[p] * y[p][0, width), rows of y `stride` apart. Integers wrap.
template <class T>
void accumulate_row(const T* x, const T* y, std::int64_t stride, std::int64_t depth, T* row, std::int64_t width) {
  std::int64_t p = 0;
  if constexpr (std::is_floating_point_v<T>) {
    for (; p + 4 <= depth; p += 4) {
      const T a0 = x[p], a1 = x[p + 1], a2 = x[p + 2], a3 = x[p + 3];
      const T *y0 = y + p * stride, *y1 = y0 + stride, *y2 = y1 + stride, *y3 = y2 + stride;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < width; ++j) row[j] += (a0 * y0[j] + a1 * y1[j]) + (a2 * y2[j] + a3 * y3[j]);
    }
  }
  for (; p < depth; ++p) {
    const T a = x[p];
    const T* from = y + p * stride;
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<std::conditional_t<(sizeof(T) < sizeof(int)), int, T>>;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < width; ++j) {
        row[j] = static_cast<T>(static_cast<U>(row[j]) + static_cast<U>(a) * static_cast<U>(from[j]));
      }
    } else {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < width; ++j) row[j] += a * from[j];
    }
  }
}

// z [m,n] = x [m,k] · y [k,n]. A panel of y stays in cache while rows pass; rows are spread over the team.
template <class T>
void multiply_matrices(ThreadTeam* team, const T* x, const T* y, T* z, std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kDepth = 128, kColumns = 256, kWork = 1 << 18;
  const std::int64_t row_work = std::max<std::int64_t>(1, n * k);
  for_shares(team, m, std::max<std::int64_t>(1, kWork / row_work), [&](std::int64_t begin, std::int64_t end) {
    std::fill(z + begin * n, z + end * n, T(0));
    for (std::int64_t j = 0; j < n; j += kColumns) {
      for (std::int64_t p = 0; p < k; p += kDepth) {
        for (std::int64_t i = begin; i < end; ++i) {
          accumulate_row(x + i * k + p, y + p * n + j, n, std::min(kDepth, k - p), z + i * n + j, std::min(kColumns, n - j));
        }
      }
    }
  });
}

}  // namespace tenon::ops
