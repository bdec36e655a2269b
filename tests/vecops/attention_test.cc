#include "backends/cpu/kernels/attention.h"

#include <cstring>
#include <limits>
#include <memory>

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

enum class Mask { kNone, kPadding, kFull };

struct Case {
  int64_t batch, heads, queries, keys, depth, value_depth;
  Mask mask = Mask::kNone;
  bool rows_first = true;  // [batch, rows, heads, depth]; else [batch, heads, rows, depth]
};

AttentionShape sizes(int64_t batch, int64_t heads, int64_t queries, int64_t keys, int64_t depth, int64_t value_depth) {
  AttentionShape shape;
  shape.batch = batch, shape.heads = heads, shape.queries = queries;
  shape.keys = keys, shape.depth = depth, shape.value_depth = value_depth;
  return shape;
}

HeadStrides strides(bool rows_first, int64_t heads, int64_t rows, int64_t depth) {
  return rows_first ? HeadStrides{rows * heads * depth, depth, heads * depth}
                    : HeadStrides{heads * rows * depth, rows * depth, depth};
}

std::vector<float> run(const Attention& kernel, const std::vector<float>& q, const std::vector<float>& k,
                       const std::vector<float>& v, const float* mask, size_t size, ThreadTeam& team) {
  std::vector<float> y(size, -5);
  const auto bytes = static_cast<size_t>(kernel.scratch_bytes(team.size()));
  const std::unique_ptr<void, decltype(&std::free)> scratch(std::aligned_alloc(64, std::max<size_t>(bytes, 64)), &std::free);
  kernel.run(q.data(), k.data(), v.data(), mask, y.data(), scratch.get(), team);
  return y;
}

void check(const Case& c) {
  SCOPED_TRACE(testing::Message() << c.batch << " " << c.heads << " " << c.queries << " " << c.keys << " " << c.depth << " "
                                  << c.value_depth);
  AttentionShape shape = sizes(c.batch, c.heads, c.queries, c.keys, c.depth, c.value_depth);
  shape.scale = c.depth ? 1 / std::sqrt(static_cast<float>(c.depth)) : 1;
  shape.query = strides(c.rows_first, c.heads, c.queries, c.depth);
  shape.key = strides(c.rows_first, c.heads, c.keys, c.depth);
  shape.value = strides(c.rows_first, c.heads, c.keys, c.value_depth);
  shape.output = strides(true, c.heads, c.queries, c.value_depth);
  shape.mask = c.mask == Mask::kFull ? HeadStrides{c.heads * c.queries * c.keys, c.queries * c.keys, c.keys}
                                     : HeadStrides{c.keys, 0, 0};
  const int64_t bh = c.batch * c.heads;
  const auto q = random_floats(bh * c.queries * c.depth, -3, 3, 1), k = random_floats(bh * c.keys * c.depth, -3, 3, 2),
             v = random_floats(bh * c.keys * c.value_depth, -3, 3, 3);
  auto mask = random_floats(c.mask == Mask::kFull ? bh * c.queries * c.keys : c.batch * c.keys, -2, 2, 4);
  for (size_t i = 0; i < mask.size(); i += 3) mask[i] = c.keys > 1 ? -10000 : 0;
  std::vector<double> want(bh * c.queries * c.value_depth);
  for (int64_t b = 0; b < c.batch; ++b) {
    for (int64_t h = 0; h < c.heads; ++h) {
      const auto at = [&](const HeadStrides& s, int64_t row) { return b * s.batch + h * s.head + row * s.row; };
      for (int64_t i = 0; i < c.queries; ++i) {
        std::vector<double> p(c.keys);
        double maximum = -std::numeric_limits<double>::infinity(), sum = 0;
        for (int64_t j = 0; j < c.keys; ++j) {
          for (int64_t t = 0; t < c.depth; ++t)
            p[j] += static_cast<double>(q[at(shape.query, i) + t]) * k[at(shape.key, j) + t];
          p[j] = p[j] * shape.scale + (c.mask == Mask::kNone ? 0 : mask[at(shape.mask, i) + j]);
          maximum = std::max(maximum, p[j]);
        }
        for (double& value : p) sum += value = std::exp(value - maximum);
        for (int64_t j = 0; j < c.keys; ++j) {
          for (int64_t t = 0; t < c.value_depth; ++t)
            want[at(shape.output, i) + t] += p[j] / sum * v[at(shape.value, j) + t];
        }
      }
    }
  }
  const Attention kernel(shape);
  const float* mask_data = c.mask == Mask::kNone ? nullptr : mask.data();
  const auto y = run(kernel, q, k, v, mask_data, want.size(), single_team());
  expect_near(y, want, 2e-5, 2e-5);
  const auto again = run(kernel, q, k, v, mask_data, want.size(), wide_team());
  EXPECT_TRUE(y.empty() || std::memcmp(y.data(), again.data(), y.size() * 4) == 0);
}

TEST(Attention, MatchesDoublePrecision) {
  check({2, 12, 128, 128, 64, 64, Mask::kPadding});
  check({1, 12, 128, 128, 64, 64});
  check({1, 2, 50, 70, 32, 32, Mask::kFull, false});
  check({2, 3, 17, 5, 7, 9, Mask::kFull});
  check({1, 4, 197, 197, 64, 64, Mask::kNone, false});
  check({1, 1, 500, 300, 40, 88, Mask::kPadding});
  check({3, 2, 1, 77, 64, 64, Mask::kPadding});  // one query
  check({1, 2, 3, 1000, 64, 70, Mask::kFull});
  check({1, 1, 4, 1, 1, 1});
  check({1, 2, 6, 3000, 16, 16});
  check({2, 2, 0, 5, 8, 8});
  check({0, 2, 4, 5, 8, 8});
  check({1, 2, 8, 5, 8, 0});
}

TEST(Attention, WithoutKeysGivesZero) {
  for (const int64_t queries : {1, 9}) {
    AttentionShape shape = sizes(1, 1, queries, 0, 4, 5);
    shape.output = strides(true, 1, queries, 5);
    EXPECT_EQ(run(Attention(shape), {}, {}, {}, nullptr, queries * 5, single_team()), std::vector<float>(queries * 5, 0));
  }
}

TEST(Attention, FullyMaskedQueriesAreNan) {
  AttentionShape shape = sizes(1, 1, 8, 20, 4, 4);
  shape.query = shape.output = strides(true, 1, 8, 4);
  shape.key = shape.value = strides(true, 1, 20, 4);
  shape.mask = {160, 160, 20};
  std::vector<float> mask(160, 0);
  std::fill_n(mask.begin() + 40, 20, -std::numeric_limits<float>::infinity());
  const auto y =
      run(Attention(shape), random_floats(32), random_floats(80), random_floats(80), mask.data(), 32, single_team());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(std::isnan(y[i]), i / 4 == 2);
}

}  // namespace
}  // namespace tenon::cpu
