#include "backend/shared_team.h"

#include <gtest/gtest.h>

namespace tenon {
namespace {

TEST(SharedTeam, GivesTheSecondComerATeamOfItsOwn) {
  SharedTeam shared(3);
  SharedTeam::Lease first(shared);
  EXPECT_EQ(first.team().size(), 3);
  {
    SharedTeam::Lease second(shared);
    EXPECT_EQ(second.team().size(), 1);
  }
  SharedTeam::Lease third(shared);
  EXPECT_EQ(third.team().size(), 1);
}

TEST(SharedTeam, IsFreeAgainAfterALease) {
  SharedTeam shared(2);
  { SharedTeam::Lease lease(shared); }
  SharedTeam::Lease again(shared);
  EXPECT_EQ(again.team().size(), 2);
}

}  // namespace
}  // namespace tenon
