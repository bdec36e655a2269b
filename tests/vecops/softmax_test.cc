#include "backends/cpu/kernels/softmax.h"

#include <cstring>
#include <limits>

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<double> reference(const std::vector<float>& x, int64_t rows, int64_t length, bool log) {
  std::vector<double> y(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    const float* v = x.data() + r * length;
    double maximum = -kInf, sum = 0;
    for (int64_t i = 0; i < length; ++i) maximum = std::max<double>(maximum, v[i]);
    for (int64_t i = 0; i < length; ++i) sum += std::exp(v[i] - maximum);
    for (int64_t i = 0; i < length; ++i)
      y[r * length + i] = log ? v[i] - maximum - std::log(sum) : std::exp(v[i] - maximum) / sum;
  }
  return y;
}

TEST(Softmax, MatchesDoublePrecision) {
  for (const auto& [rows, length] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {3, 2}, {5, 7}, {4, 16}, {9, 33}, {1536, 128}, {2, 1000}, {0, 5}, {3, 0}, {1, 30522}, {700, 65}}) {
    const std::vector<float> x = random_floats(rows * length, -20, 20);
    std::vector<float> y(x.size()), again = x;
    softmax(x.data(), y.data(), rows, length, single_team());
    expect_near(y, reference(x, rows, length, false), 1e-5, 1e-12);
    softmax(again.data(), again.data(), rows, length, wide_team());
    EXPECT_TRUE(y.empty() || std::memcmp(y.data(), again.data(), y.size() * 4) == 0);
    log_softmax(x.data(), y.data(), rows, length, wide_team());
    expect_near(y, reference(x, rows, length, true), 1e-5, 1e-5);
  }
}

TEST(Softmax, MaskedAndExtremeRows) {
  const std::vector<float> x = {-kInf, 1, 2, 1000, -1000, -1e30f, -1e9f, -1e9f, -1e9f};
  std::vector<float> y(9);
  softmax(x.data(), y.data(), 3, 3, single_team());
  expect_near(y, std::vector<double>{0, 0.26894142137, 0.73105857863, 1, 0, 0, 1 / 3., 1 / 3., 1 / 3.}, 1e-6, 1e-20);
}

TEST(Softmax, RowsWithoutAnAnswerAreNan) {
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(), kInf}) {
    std::vector<float> y = {1, odd, 2};
    softmax(y.data(), y.data(), 1, 3, single_team());
    EXPECT_TRUE(std::isnan(y[1]));
  }
  std::vector<float> y(40, -kInf);
  softmax(y.data(), y.data(), 1, 40, single_team());
  for (float v : y) EXPECT_TRUE(std::isnan(v));
}

}  // namespace
}  // namespace tenon::cpu
