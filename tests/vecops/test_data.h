// Test data and comparison for the kernel tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "base/thread_team.h"

namespace tenon::cpu {

inline int64_t product(std::span<const int64_t> dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

// Uniform in [low, high], the same for one seed.
inline std::vector<float> random_floats(int64_t count, float low = -2, float high = 2, uint32_t seed = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(generator);
  return values;
}

// |got - want| <= absolute + relative |want|; NaN matches NaN, infinities match themselves.
template <class Want>
void expect_near(std::span<const float> got, const std::vector<Want>& want, double relative = 1e-5, double absolute = 1e-6) {
  ASSERT_EQ(got.size(), want.size());
  int wrong = 0;
  for (size_t i = 0; i < want.size() && wrong < 5; ++i) {
    const double w = static_cast<double>(want[i]), g = got[i];
    const bool same = std::isnan(w)   ? std::isnan(g)
                      : std::isinf(w) ? g == w
                                      : std::abs(g - w) <= absolute + relative * std::abs(w);
    if (same) continue;
    ++wrong;
    ADD_FAILURE() << "element " << i << " of " << want.size() << ": got " << g << ", want " << w;
  }
}

// Teams of one and of three threads: results must be bit-equal.
inline ThreadTeam& single_team() {
  static ThreadTeam team(1);
  return team;
}
inline ThreadTeam& wide_team() {
  static ThreadTeam team(3);
  return team;
}

// Adds one to a row-major index; false at the end.
inline bool next_index(std::vector<int64_t>& index, std::span<const int64_t> dims) {
  for (size_t d = dims.size(); d-- > 0;) {
    if (++index[d] < dims[d]) return true;
    index[d] = 0;
  }
  return false;
}

inline int64_t offset_of(std::span<const int64_t> index, std::span<const int64_t> strides) {
  int64_t offset = 0;
  for (size_t d = 0; d < index.size(); ++d) offset += index[d] * strides[d];
  return offset;
}

}  // namespace tenon::cpu
