#include "backends/cpu/kernels/pool.h"

#include <cstring>
#include <limits>

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

// Sets output and padding as TensorFlow does for SAME or VALID.
PoolShape with_padding(PoolShape shape, bool same) {
  for (int d = 0; d < 3; ++d) {
    if (same) {
      shape.output[d] = (shape.input[d] + shape.stride[d] - 1) / shape.stride[d];
      const int64_t total = std::max<int64_t>((shape.output[d] - 1) * shape.stride[d] + shape.window[d] - shape.input[d], 0);
      shape.padding[d] = total / 2;
    } else {
      shape.output[d] = (shape.input[d] - shape.window[d]) / shape.stride[d] + 1;
    }
  }
  return shape;
}

void check(PoolShape shape) {
  const int64_t pixels = shape.batch * shape.output[0] * shape.output[1] * shape.output[2];
  const int64_t stride = shape.output_stride ? shape.output_stride : shape.channels;
  const std::vector<float> x =
      random_floats(shape.batch * shape.input[0] * shape.input[1] * shape.input[2] * shape.channels);
  std::vector<double> want(pixels * stride, -7);
  for (int64_t p = 0; p < pixels; ++p) {
    const int64_t w = p % shape.output[2], h = p / shape.output[2] % shape.output[1],
                  z = p / (shape.output[2] * shape.output[1]) % shape.output[0],
                  b = p / (shape.output[2] * shape.output[1] * shape.output[0]);
    const int64_t at[3] = {z, h, w};
    for (int64_t c = 0; c < shape.channels; ++c) {
      double maximum = std::numeric_limits<float>::lowest(), sum = 0;
      int64_t count = 0;
      for (int64_t i = 0; i < shape.window[0] * shape.window[1] * shape.window[2]; ++i) {
        const int64_t offset[3] = {i / (shape.window[1] * shape.window[2]), i / shape.window[2] % shape.window[1],
                                   i % shape.window[2]};
        int64_t index = b;
        bool inside = true;
        for (int d = 0; d < 3; ++d) {
          const int64_t k = at[d] * shape.stride[d] - shape.padding[d] + offset[d];
          inside = inside && k >= 0 && k < shape.input[d];
          index = index * shape.input[d] + k;
        }
        if (!inside) continue;
        const float v = x[index * shape.channels + c];
        maximum = std::max<double>(maximum, v);
        sum += v;
        ++count;
      }
      want[p * stride + c] = shape.kind == PoolKind::kMaximum ? maximum : sum / static_cast<double>(count);
    }
  }
  std::vector<float> y(want.size(), -7), again = y;
  Pool(shape).run(x.data(), y.data(), single_team());
  expect_near(y, want);
  Pool(shape).run(x.data(), again.data(), wide_team());
  EXPECT_TRUE(y.empty() || std::memcmp(y.data(), again.data(), y.size() * 4) == 0);
}

TEST(Pool, MatchesTheDefinition) {
  for (const PoolKind kind : {PoolKind::kMaximum, PoolKind::kAverage}) {
    for (const bool same : {false, true}) {
      for (const int64_t channels : {1, 3, 16, 37, 64, 130}) {
        check(with_padding(
            {.kind = kind, .batch = 2, .input = {1, 9, 8}, .window = {1, 3, 3}, .stride = {1, 2, 2}, .channels = channels},
            same));
        check(with_padding(
            {.kind = kind, .input = {5, 6, 7}, .window = {2, 3, 2}, .stride = {2, 1, 3}, .channels = channels}, same));
        check(with_padding(
            {.kind = kind, .input = {1, 7, 7}, .window = {1, 7, 7}, .stride = {1, 7, 7}, .channels = channels}, same));
        check(with_padding(
            {.kind = kind, .input = {1, 5, 5}, .window = {1, 1, 1}, .stride = {1, 2, 2}, .channels = channels}, same));
      }
      check(with_padding({.kind = kind, .input = {1, 112, 112}, .window = {1, 3, 3}, .stride = {1, 2, 2}, .channels = 64},
                         same));
      check(with_padding({.kind = kind, .input = {1, 14, 14}, .window = {1, 3, 3}, .channels = 33, .output_stride = 50},
                         same));
      check(with_padding({.kind = kind, .batch = 0, .input = {1, 4, 4}, .window = {1, 2, 2}, .channels = 3}, same));
    }
  }
}

TEST(Pool, MaximumPassesOverNanAndStartsFromTheLowestFloat) {
  const float x[] = {std::numeric_limits<float>::quiet_NaN(), 3, -std::numeric_limits<float>::infinity(),
                     -std::numeric_limits<float>::infinity()};
  float y[2];
  Pool(with_padding({.input = {1, 1, 4}, .window = {1, 1, 2}, .stride = {1, 1, 2}}, false)).run(x, y, single_team());
  EXPECT_EQ(y[0], 3);
  EXPECT_EQ(y[1], std::numeric_limits<float>::lowest());
}

}  // namespace
}  // namespace tenon::cpu
