#include "backends/cpu/kernels/layer_norm.h"

#include <cstring>

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

std::vector<double> normalised(const std::vector<float>& x, const std::vector<float>& r, int64_t length, float epsilon,
                               const std::vector<float>& gamma, const std::vector<float>& beta) {
  std::vector<double> y(x.size());
  for (size_t at = 0; at < x.size(); at += length) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < length; ++i) mean += (y[at + i] = static_cast<double>(x[at + i]) + (r.empty() ? 0 : r[at + i]));
    mean /= length;
    for (int64_t i = 0; i < length; ++i) variance += (y[at + i] - mean) * (y[at + i] - mean);
    variance /= length;
    for (int64_t i = 0; i < length; ++i) {
      y[at + i] =
          (y[at + i] - mean) / std::sqrt(variance + epsilon) * (gamma.empty() ? 1 : gamma[i]) + (beta.empty() ? 0 : beta[i]);
    }
  }
  return y;
}

TEST(LayerNorm, MatchesDoublePrecision) {
  for (const auto& [rows, length] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 5}, {2, 16}, {7, 67}, {128, 768}, {0, 8}, {4, 0}, {300, 1023}}) {
    for (int parts = 0; parts < 8; ++parts) {
      SCOPED_TRACE(testing::Message() << rows << " x " << length << " parts " << parts);
      const std::vector<float> x = random_floats(rows * length, -1, 5),
                               r = random_floats(parts & 1 ? rows * length : 0, -2, 2, 2),
                               gamma = random_floats(parts & 2 ? length : 0, 0, 2, 3),
                               beta = random_floats(parts & 4 ? length : 0, -1, 1, 4);
      std::vector<float> y(x.size()), in_place = x, sum(x.size());
      LayerNormData data{.x = x.data(),
                         .residual = parts & 1 ? r.data() : nullptr,
                         .gamma = parts & 2 ? gamma.data() : nullptr,
                         .beta = parts & 4 ? beta.data() : nullptr,
                         .y = y.data(),
                         .sum = sum.data()};
      const LayerNorm shape{rows, length, 1e-3f};
      layer_norm(shape, data, single_team());
      expect_near(y, normalised(x, r, length, 1e-3f, gamma, beta), 1e-5, 3e-6);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(sum[i], parts & 1 ? x[i] + r[i] : x[i]);
      data.x = data.y = in_place.data();
      data.sum = nullptr;
      layer_norm(shape, data, wide_team());
      EXPECT_TRUE(y.empty() || std::memcmp(y.data(), in_place.data(), y.size() * 4) == 0);
    }
  }
}

TEST(InstanceNorm, MatchesDoublePrecision) {
  for (const auto& [batch, pixels, channels] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 1, 1}, {2, 9, 3}, {2, 600, 17}, {1, 49, 64}, {3, 400, 130}, {0, 3, 4}}) {
    const std::vector<float> x = random_floats(batch * pixels * channels, -1, 3), gamma = random_floats(channels, 0, 2, 3),
                             beta = random_floats(channels, -1, 1, 4);
    std::vector<float> y(x.size()), mean(batch * channels), variance(batch * channels);
    instance_norm({batch, pixels, channels, 1e-3f},
                  {x.data(), gamma.data(), beta.data(), y.data(), mean.data(), variance.data()}, wide_team());
    std::vector<double> want(x.size());
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t c = 0; c < channels; ++c) {
        std::vector<float> column;
        for (int64_t p = 0; p < pixels; ++p) column.push_back(x[(b * pixels + p) * channels + c]);
        const auto one = normalised(column, {}, pixels, 1e-3f, {}, {});
        for (int64_t p = 0; p < pixels; ++p) want[(b * pixels + p) * channels + c] = one[p] * gamma[c] + beta[c];
      }
    }
    expect_near(y, want, 1e-5, 3e-6);
  }
}

}  // namespace
}  // namespace tenon::cpu
