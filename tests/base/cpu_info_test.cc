#include "base/cpu_info.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(CpuInfo, KnowsCachesAndStamp) {
  const CpuInfo& info = cpu_info();
  EXPECT_GT(info.l1_bytes, 0);
  EXPECT_GE(info.l2_bytes, info.l1_bytes);
  EXPECT_EQ(info.stamp.find(isa_name(info.isa)), 0u);
}

TEST(CpuInfo, CapNamesAnyCaseAndIgnoresOthers) {
  EXPECT_EQ(parse_isa_cap("avx2"), Isa::kAvx2);
  EXPECT_EQ(parse_isa_cap("AVX512"), Isa::kAvx512);
  EXPECT_EQ(parse_isa_cap("SSE2"), Isa::kGeneric);
  EXPECT_EQ(parse_isa_cap(""), Isa::kAvx512);
  EXPECT_EQ(parse_isa_cap("AVX1024"), Isa::kAvx512);
}

}  // namespace
}  // namespace tenon
