#include <gtest/gtest.h>

#include <limits>

#include "tenon/tensor.h"

namespace tenon {
namespace {

TEST(Shape, CountsElementsOfAnySizes) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  EXPECT_EQ(Shape{}.num_elements(), 1);
  EXPECT_EQ((Shape{2, 3, 4}).num_elements(), 24);
  EXPECT_EQ((Shape{kHuge, 4, 0}).num_elements(), 0);
  EXPECT_EQ((Shape{kHuge, 4}).num_elements(), std::numeric_limits<std::int64_t>::max());
}

}  // namespace
}  // namespace tenon
