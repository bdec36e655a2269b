#include "backends/cpu/kernels/gather.h"

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

TEST(Gather, CopiesRows) {
  const std::vector<float> table = random_floats(2 * 50 * 13);
  const std::vector<int32_t> indices = {49, 0, 7, 7, 21};
  std::vector<float> y(2 * 5 * 13);
  EXPECT_EQ(gather_rows({2, 50, 13 * 4, 5}, table.data(), indices.data(), y.data(), single_team()), -1);
  for (int64_t o = 0; o < 2; ++o) {
    for (int64_t i = 0; i < 5; ++i) {
      for (int64_t k = 0; k < 13; ++k) EXPECT_EQ(y[(o * 5 + i) * 13 + k], table[(o * 50 + indices[i]) * 13 + k]);
    }
  }
}

TEST(Gather, ReportsTheFirstIndexOutside) {
  const std::vector<float> table(10);
  float y[3];
  const int64_t high[] = {1, 10, -1}, low[] = {0, 1, -1};
  EXPECT_EQ(gather_rows({1, 10, 4, 3}, table.data(), high, y, single_team()), 1);
  EXPECT_EQ(gather_rows({1, 10, 4, 3}, table.data(), low, y, single_team()), 2);
  EXPECT_EQ(gather_rows({1, 0, 4, 0}, table.data(), low, y, single_team()), -1);
}

}  // namespace
}  // namespace tenon::cpu
