#include "backends/cpu/kernels/resize.h"

#include <cstring>

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

ResizeShape small(bool align_corners, bool half_pixel_centers) {
  return {.batch = 1,
          .height = 3,
          .width = 5,
          .channels = 1,
          .out_height = 4,
          .out_width = 7,
          .align_corners = align_corners,
          .half_pixel_centers = half_pixel_centers};
}

std::vector<float> counted(int64_t n) {
  std::vector<float> x(n);
  std::iota(x.begin(), x.end(), 0.0f);
  return x;
}

// Recorded from TensorFlow 2.21.
const std::vector<double> kLegacy = {0.0,  0.71428573, 1.4285715, 2.142857,  2.857143,  3.5714288, 4.0,
                                     3.75, 4.464286,   5.1785717, 5.892857,  6.607143,  7.3214283, 7.75,
                                     7.5,  8.214286,   8.928572,  9.642857,  10.357143, 11.071428, 11.5,
                                     10.0, 10.714286,  11.428572, 12.142858, 12.857142, 13.571428, 14.0};
const std::vector<double> kAligned = {0.0,       0.6666667, 1.3333334, 2.0,       2.6666667, 3.3333333, 4.0,
                                      3.3333333, 4.0,       4.666667,  5.3333335, 6.0,       6.666667,  7.3333335,
                                      6.6666665, 7.3333335, 8.0,       8.666667,  9.333334,  10.000001, 10.666667,
                                      10.0,      10.666667, 11.333333, 12.0,      12.666667, 13.333334, 14.0};
const std::vector<double> kHalfPixel = {0.0,   0.57142854, 1.2857144, 2.0,   2.7142859, 3.4285715,   4.0,
                                        3.125, 3.6964285,  4.4107141, 5.125, 5.8392859, 6.553571501, 7.125,
                                        6.875, 7.4464285,  8.1607141, 8.875, 9.5892859, 10.303572,   10.875,
                                        10.0,  10.571428,  11.285714, 12.0,  12.714286, 13.428572,   14.0};

TEST(ResizeBilinear, MatchesTensorFlow) {
  for (const auto& [align, half, want] :
       {std::tuple(false, false, kLegacy), std::tuple(true, false, kAligned), std::tuple(false, true, kHalfPixel)}) {
    const std::vector<float> x = counted(15);
    std::vector<float> y(28);
    ResizeBilinear(small(align, half)).run(x.data(), y.data(), single_team());
    expect_near(y, want, 1e-6);
  }
}

TEST(ResizeNearest, MatchesTensorFlow) {
  const std::vector<float> legacy = {0, 0, 1, 2, 2, 3, 4, 0,  0,  1,  2,  2,  3,  4,
                                     5, 5, 6, 7, 7, 8, 9, 10, 10, 11, 12, 12, 13, 14};
  const std::vector<float> others = {0, 1, 1, 2, 3, 3, 4, 5,  6,  6,  7,  8,  8,  9,
                                     5, 6, 6, 7, 8, 8, 9, 10, 11, 11, 12, 13, 13, 14};
  const std::vector<float> x = counted(15);
  std::vector<float> y(28);
  for (const auto& [align, half] : {std::pair(false, false), std::pair(true, false), std::pair(false, true)}) {
    ResizeNearest(small(align, half), 4).run(x.data(), y.data(), single_team());
    EXPECT_EQ(y, align || half ? others : legacy);
  }
}

TEST(Resize, ManyChannelsEqualOneByOne) {
  for (const bool half : {false, true}) {
    ResizeShape shape{.batch = 2,
                      .height = 13,
                      .width = 17,
                      .channels = 37,
                      .out_height = 40,
                      .out_width = 29,
                      .align_corners = false,
                      .half_pixel_centers = half};
    const std::vector<float> x = random_floats(2 * 13 * 17 * 37);
    std::vector<float> y(2 * 40 * 29 * 37), nearest(y.size());
    ResizeBilinear(shape).run(x.data(), y.data(), wide_team());
    ResizeNearest(shape, 4).run(x.data(), nearest.data(), wide_team());
    shape.channels = 1;
    std::vector<float> one(2 * 13 * 17), out(2 * 40 * 29), out_nearest(out.size());
    for (int64_t c = 0; c < 37; ++c) {
      for (size_t i = 0; i < one.size(); ++i) one[i] = x[i * 37 + c];
      ResizeBilinear(shape).run(one.data(), out.data(), single_team());
      ResizeNearest(shape, 4).run(one.data(), out_nearest.data(), single_team());
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out[i], y[i * 37 + c]);
        ASSERT_EQ(out_nearest[i], nearest[i * 37 + c]);
      }
    }
  }
}

}  // namespace
}  // namespace tenon::cpu
