#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tenon/error.h"

namespace tenon {
namespace {

TEST(ThreadTeam, RunsEveryShareOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.size(), threads);
    for (int shares : {0, 1, 2, 3, 7, 64, 1000}) {
      std::vector<std::atomic<int>> count(static_cast<size_t>(shares));
      team.parallel(shares, [&](int share) { count[static_cast<size_t>(share)].fetch_add(1); });
      for (auto& c : count) EXPECT_EQ(c.load(), 1);
    }
  }
}

TEST(ThreadTeam, WritesOfSharesAreVisibleAfterTheLoop) {
  ThreadTeam team(3);
  std::vector<int> values(17);
  for (int round = 0; round < 3000; ++round) {
    team.parallel(17, [&](int share) { values[static_cast<size_t>(share)] = round + share; });
    for (int i = 0; i < 17; ++i) ASSERT_EQ(values[static_cast<size_t>(i)], round + i);
  }
}

TEST(ThreadTeam, WakesWorkersThatSleep) {
  ThreadTeam team(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> sum{0};
    team.parallel(8, [&](int share) { sum += share; });
    EXPECT_EQ(sum.load(), 28);
  }
}

TEST(ThreadTeam, WaitsForAWorkerThatIsSlow) {
  ThreadTeam team(2);
  std::atomic<int> finished{0};
  team.parallel(2, [&](int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    ++finished;
  });
  EXPECT_EQ(finished.load(), 2);
}

TEST(ThreadTeam, GivesEveryThreadItsOwnSlot) {
  ThreadTeam team(3);
  std::vector<std::atomic<int>> users(3);
  team.parallel(200, [&](int) {
    auto& mine = users[static_cast<size_t>(team.slot())];
    EXPECT_EQ(mine.fetch_add(1), 0);
    mine.fetch_sub(1);
  });
  EXPECT_EQ(team.slot(), 0);
}

TEST(ThreadTeam, NestedLoopsRunInPlace) {
  ThreadTeam team(4);
  std::atomic<int> count{0};
  team.parallel(6, [&](int) {
    const auto self = std::this_thread::get_id();
    team.parallel(5, [&](int) { count += std::this_thread::get_id() == self ? 1 : 100; });
  });
  EXPECT_EQ(count.load(), 30);
}

TEST(ThreadTeam, TeamsDoNotDisturbEachOther) {
  std::vector<std::thread> callers;
  std::atomic<int> total{0};
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      ThreadTeam team(2);
      for (int round = 0; round < 200; ++round) team.parallel(4, [&](int) { ++total; });
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 3 * 200 * 4);
}

TEST(ThreadTeam, TakesTheAvailableCpusForZero) {
  EXPECT_GE(ThreadTeam::available_cpus(), 1);
  EXPECT_EQ(ThreadTeam(0).size(), ThreadTeam::available_cpus());
  EXPECT_THROW(ThreadTeam(-1), Error);
}

}  // namespace
}  // namespace tenon
