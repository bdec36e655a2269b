#include "backends/cpu/kernels/transpose.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/strides.h"
#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

using Dims = std::vector<int64_t>;

std::vector<uint8_t> counted_bytes(int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>((i * 2654435761u) >> 13);
  return bytes;
}

// Copies element by element.
std::vector<uint8_t> moved(const std::vector<uint8_t>& from, const Dims& dims, const Dims& from_strides,
                           const Dims& to_strides, int64_t size, std::vector<uint8_t> to) {
  if (product(dims) == 0) return to;
  Dims index(dims.size(), 0);
  do {
    std::memcpy(to.data() + offset_of(index, to_strides) * size, from.data() + offset_of(index, from_strides) * size, size);
  } while (next_index(index, dims));
  return to;
}

void check_transpose(const Dims& dims, const std::vector<int>& permutation, int64_t size) {
  SCOPED_TRACE(testing::Message() << "rank " << dims.size() << " size " << size);
  const std::vector<uint8_t> x = counted_bytes(product(dims) * size);
  Dims out_dims, from_strides;
  for (int axis : permutation) {
    out_dims.push_back(dims[axis]);
    from_strides.push_back(dense_strides(dims)[axis]);
  }
  const std::vector<uint8_t> want =
      moved(x, out_dims, from_strides, dense_strides(out_dims), size, std::vector<uint8_t>(x.size()));
  std::vector<uint8_t> y(x.size());
  Transpose(dims, permutation, size).run(x.data(), y.data(), single_team());
  EXPECT_EQ(y, want);
  std::fill(y.begin(), y.end(), 0);
  Transpose(dims, permutation, size).run(x.data(), y.data(), wide_team());
  EXPECT_EQ(y, want);
}

TEST(Transpose, EveryPermutationAndElementSize) {
  for (const int64_t size : {1, 2, 4, 8, 16, 12}) {
    std::vector<int> permutation = {0, 1, 2, 3};
    do check_transpose({3, 5, 19, 7}, permutation, size);
    while (std::next_permutation(permutation.begin(), permutation.end()));
    check_transpose({33, 65}, {1, 0}, size);
    check_transpose({2, 56, 56, 24}, {0, 3, 1, 2}, size);
    check_transpose({300, 512}, {1, 0}, size);
  }
  check_transpose({}, {}, 4);
  check_transpose({1}, {0}, 4);
  check_transpose({4, 0, 3}, {2, 1, 0}, 4);
  check_transpose({2, 3, 1, 2, 4, 2, 3}, {6, 0, 4, 2, 5, 1, 3}, 4);
}

TEST(Transpose, SpaceToDepthAndBack) {
  const int64_t n = 2, h = 6, w = 4, c = 3, block = 2;
  std::vector<float> x(n * h * w * c), y(x.size()), z(x.size());
  std::iota(x.begin(), x.end(), 0.0f);
  space_to_depth(n, h, w, c, block, 4).run(x.data(), y.data(), single_team());
  for (int64_t b = 0; b < n; ++b) {
    for (int64_t i = 0; i < h; ++i) {
      for (int64_t j = 0; j < w; ++j) {
        for (int64_t k = 0; k < c; ++k) {
          const int64_t channel = ((i % block) * block + j % block) * c + k;
          const int64_t to = ((b * (h / block) + i / block) * (w / block) + j / block) * c * block * block + channel;
          EXPECT_EQ(y[to], x[((b * h + i) * w + j) * c + k]);
        }
      }
    }
  }
  depth_to_space(n, h / block, w / block, c * block * block, block, 4).run(y.data(), z.data(), single_team());
  EXPECT_EQ(z, x);
}

TEST(StridedCopy, SlicesReversalsAndBroadcasts) {
  struct Case {
    Dims dims, from, to;
    int64_t from_size, from_start, to_size;
  };
  for (const Case& entry : std::vector<Case>{{{3, 4}, {10, 1}, {4, 1}, 30, 0, 12},          // slice
                                             {{3, 4}, {4, 1}, {9, 1}, 12, 0, 40},           // into a concatenation
                                             {{5, 7}, {-7, -1}, {7, 1}, 35, 34, 35},        // reversed
                                             {{3, 4, 5}, {0, 1, 0}, {20, 5, 1}, 4, 0, 60},  // broadcast
                                             {{6, 3}, {8, 2}, {3, 1}, 48, 0, 18},           // with steps
                                             {{100000}, {1}, {1}, 100000, 0, 100000},
                                             {{2, 0}, {1, 1}, {1, 1}, 4, 0, 4},
                                             {{}, {}, {}, 1, 0, 1}}) {
    for (const int64_t size : {1, 4, 6, 8}) {
      const std::vector<uint8_t> x = counted_bytes(entry.from_size * size);
      std::vector<uint8_t> want(entry.to_size * size, 7), y = want;
      Dims index(entry.dims.size(), 0);
      if (product(entry.dims) > 0) {
        do {
          std::memcpy(want.data() + offset_of(index, entry.to) * size,
                      x.data() + (entry.from_start + offset_of(index, entry.from)) * size, size);
        } while (next_index(index, entry.dims));
      }
      StridedCopy(entry.dims, entry.from, entry.to, size).run(x.data() + entry.from_start * size, y.data(), wide_team());
      EXPECT_EQ(y, want);
    }
  }
}

TEST(Fill, AnyElementSize) {
  for (const int64_t size : {1, 2, 3, 4, 8, 16}) {
    const std::vector<uint8_t> value = counted_bytes(size);
    std::vector<uint8_t> y(70001 * size);
    fill(y.data(), value.data(), size, 70001, wide_team());
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], value[i % size]);
  }
}

}  // namespace
}  // namespace tenon::cpu
