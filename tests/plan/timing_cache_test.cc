#include "plan/timing_cache.h"

#include "base/error.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace tenon::plan {
namespace {

class TimingCacheTest : public testing::Test {
 protected:
  std::filesystem::path path_ = std::filesystem::temp_directory_path() / ("timing_cache_test." + std::to_string(getpid()));
  Stamp stamp_{"cpu", "d", "avx2", "l", "b"};
  void TearDown() override { std::filesystem::remove(path_); }
};

TEST_F(TimingCacheTest, ComesBackExactly) {
  TimingCache cache;
  cache.insert(stamp_, "conv [1,2] : own", 0.1 / 3);
  cache.insert(stamp_, "line\nbreak\ttab", 2);
  cache.save(path_);
  TimingCache back;
  EXPECT_EQ(back.load(path_), "");
  EXPECT_EQ(back.find(stamp_, "conv [1,2] : own"), 0.1 / 3);
  EXPECT_EQ(back.find(stamp_, "line\nbreak\ttab"), 2);
  EXPECT_EQ(back.find(stamp_, "other"), std::nullopt);
  Stamp other = stamp_;
  other.build = "c";
  EXPECT_EQ(back.find(other, "conv [1,2] : own"), std::nullopt);
}

TEST_F(TimingCacheTest, ReplacesAnOlderFile) {
  TimingCache cache;
  cache.insert(stamp_, "a", 1);
  cache.save(path_);
  cache.insert(stamp_, "a", 2);
  cache.save(path_);
  TimingCache back;
  EXPECT_EQ(back.load(path_), "");
  EXPECT_EQ(back.find(stamp_, "a"), 2);
}

TEST_F(TimingCacheTest, AMissingFileIsAnEmptyCache) {
  TimingCache cache;
  EXPECT_EQ(cache.load(path_), "");
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(TimingCacheTest, IgnoresADamagedFileAndSaysSo) {
  TimingCache cache;
  cache.insert(stamp_, "a", 1);
  cache.save(path_);
  std::ofstream(path_, std::ios::app) << "0.5\tforged\n";
  TimingCache back;
  EXPECT_NE(back.load(path_).find("ignored"), std::string::npos);
  EXPECT_EQ(back.size(), 0u);
  std::ofstream(path_, std::ios::trunc) << "nonsense";
  EXPECT_NE(back.load(path_).find("ignored"), std::string::npos);
}

TEST_F(TimingCacheTest, CannotBeSavedWhereThereIsNoFolder) {
  EXPECT_THROW(TimingCache().save(path_ / "no" / "folder"), Error);
}

}  // namespace
}  // namespace tenon::plan
