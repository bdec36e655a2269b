#include "backends/cpu/kernels/cast.h"

#include <limits>

#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

template <class From, class To>
std::vector<To> cast_values(const std::vector<From>& from) {
  std::vector<To> to(from.size());
  cast(DataTypeOf<From>::value, from.data(), DataTypeOf<To>::value, to.data(), static_cast<int64_t>(from.size()),
       single_team());
  return to;
}

// As TensorFlow 2.21 gives them on x86.
TEST(Cast, FloatToIntegersTruncatesAndWrapsAsTensorFlow) {
  const std::vector<float> x = {2147483648.0f, -3e9f, std::numeric_limits<float>::quiet_NaN(), 300.7f, -1.9f, 1e20f};
  constexpr int32_t kLow = std::numeric_limits<int32_t>::min();
  constexpr int64_t kLow64 = std::numeric_limits<int64_t>::min();
  EXPECT_EQ((cast_values<float, int32_t>(x)), (std::vector<int32_t>{kLow, kLow, kLow, 300, -1, kLow}));
  EXPECT_EQ((cast_values<float, uint8_t>(x)), (std::vector<uint8_t>{0, 0, 0, 44, 255, 0}));
  EXPECT_EQ((cast_values<float, int8_t>(x)), (std::vector<int8_t>{0, 0, 0, 44, -1, 0}));
  EXPECT_EQ((cast_values<float, int64_t>(x)), (std::vector<int64_t>{2147483648, -3000000000, kLow64, 300, -1, kLow64}));
  EXPECT_EQ((cast_values<float, uint32_t>(x)), (std::vector<uint32_t>{2147483648, 1294967296, 0, 300, 4294967295, 0}));
  EXPECT_EQ((cast_values<double, int32_t>({-2147483648.9, -2147483649.0, 2147483647.9})),
            (std::vector<int32_t>{kLow, kLow, 2147483647}));
}

TEST(Cast, SixteenBitFloatsRoundToNearestEven) {
  const std::vector<float> x = {1.0f, 1.00390625f, 1.01171875f, -3.14159265f, std::numeric_limits<float>::infinity()};
  const auto rounded = cast_values<float, BFloat16>(x);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(rounded[i].bits, BFloat16(x[i]).bits);
  EXPECT_EQ((cast_values<BFloat16, float>(rounded))[3], -3.140625f);
  EXPECT_EQ((cast_values<Half, float>(cast_values<float, Half>(x)))[3], -3.140625f);
}

TEST(Cast, HalvesEqualTheScalarConversion) {
  std::vector<float> x;
  std::vector<Half> halves;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits);
    halves.push_back(half);
    x.push_back(std::ldexp(static_cast<float>(bits) - 32768.0f, static_cast<int>(bits % 50) - 38));
  }
  const auto floats = cast_values<Half, float>(halves);
  const auto rounded = cast_values<float, Half>(x);
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(floats[i])) {
      EXPECT_TRUE(std::isnan(static_cast<float>(halves[i])));
    } else {
      EXPECT_EQ(floats[i], static_cast<float>(halves[i]));
    }
    EXPECT_EQ(rounded[i].bits, Half(x[i]).bits) << x[i];
  }
}

TEST(Cast, BoolsAndIntegers) {
  EXPECT_EQ((cast_values<int64_t, int32_t>({1ll << 40, -5})), (std::vector<int32_t>{0, -5}));
  EXPECT_EQ((cast_values<int32_t, float>({7, -9})), (std::vector<float>{7, -9}));
  const std::vector<float> x = {0.0f, -0.0f, 0.5f, std::numeric_limits<float>::quiet_NaN()};
  bool y[4];
  cast(DataType::kFloat32, x.data(), DataType::kBool, y, 4, single_team());
  EXPECT_FALSE(y[0] || y[1]);
  EXPECT_TRUE(y[2] && y[3]);
}

TEST(Cast, RefusesStrings) { EXPECT_EQ(cast_function(DataType::kString, DataType::kFloat32), nullptr); }

}  // namespace
}  // namespace tenon::cpu
