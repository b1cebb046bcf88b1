#include "raylet/actors/home_leases.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"

namespace raylet {
namespace {

using std::chrono::seconds;

class HomeLeasesTest : public ::testing::Test {
 protected:
  bool Holds(LeaseNumber lease) const { return leases_.Holds(lease, clock_.Now()); }

  test::ManualClock clock_;
  HomeLeases leases_;
  const NodeId home_ = NodeId::FromRandom();
};

TEST_F(HomeLeasesTest, ALeaseHoldsUntilTheHomeWasNotHeardForItsTime) {
  leases_.Renew(home_, clock_.Now() + seconds(7));
  const auto begun = leases_.Begin(home_);
  EXPECT_EQ(begun.until, clock_.Now() + seconds(7)) << "what the home said before its first actor came counts";
  EXPECT_EQ(leases_.Of(home_), begun.lease);
  clock_.Advance(seconds(6));
  EXPECT_TRUE(Holds(begun.lease));
  const auto renewed = leases_.Renew(home_, clock_.Now() + seconds(7));
  ASSERT_TRUE(renewed);
  EXPECT_EQ(renewed->lease, begun.lease);
  EXPECT_EQ(renewed->until, clock_.Now() + seconds(7));
  clock_.Advance(seconds(7));
  EXPECT_FALSE(Holds(begun.lease));
  leases_.Renew(home_, clock_.Now() + seconds(1));
  EXPECT_TRUE(Holds(begun.lease)) << "the session goes on, so the home has replaced nothing";
}

TEST_F(HomeLeasesTest, NoActorServesBeforeItsHomeHasSaidSo) { EXPECT_FALSE(Holds(leases_.Begin(home_).lease)); }

TEST_F(HomeLeasesTest, ALateWordShortensNoLease) {
  leases_.Renew(home_, clock_.Now() + seconds(7));
  EXPECT_EQ(leases_.Begin(home_).until, clock_.Now() + seconds(7));
  EXPECT_EQ(leases_.Renew(home_, clock_.Now() + seconds(3))->until, clock_.Now() + seconds(7));
}

TEST_F(HomeLeasesTest, AllActorsOfAHomeShareALeaseAndNoTwoHomesDo) {
  const auto first = leases_.Begin(home_);
  EXPECT_EQ(leases_.Begin(home_).lease, first.lease);
  EXPECT_NE(leases_.Begin(NodeId::FromRandom()).lease, first.lease);
}

TEST_F(HomeLeasesTest, AnActorOfAnEndedSessionNeverServesAgain) {
  leases_.Renew(home_, clock_.Now() + seconds(7));
  const LeaseNumber before = leases_.Begin(home_).lease;
  const auto ended = leases_.End(home_);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->lease, before);
  EXPECT_EQ(ended->until, TimePoint());
  EXPECT_FALSE(Holds(before));
  // The next session of the same two.
  leases_.Renew(home_, clock_.Now() + seconds(7));
  EXPECT_FALSE(Holds(before));
  const auto after = leases_.Begin(home_);
  EXPECT_NE(after.lease, before);
  EXPECT_TRUE(Holds(after.lease));
  EXPECT_FALSE(Holds(before));
  EXPECT_FALSE(leases_.End(NodeId::FromRandom()));
}

TEST_F(HomeLeasesTest, ANumberComesAgainOnlyAfterAllOthers) {
  const LeaseNumber first = leases_.Begin(home_).lease;
  leases_.End(home_);
  const NodeId stays = NodeId::FromRandom();
  const LeaseNumber kept = leases_.Begin(stays).lease;
  for (LeaseNumber i = 0; i < kNoLeaseLeft - 3; ++i) {
    const LeaseNumber number = leases_.Begin(home_).lease;
    ASSERT_NE(number, first);
    ASSERT_NE(number, kept);
    leases_.End(home_);
  }
  EXPECT_EQ(leases_.Begin(home_).lease, first);
}

TEST_F(HomeLeasesTest, ActorsOfHomesBeyondTheLastNumberDoNotServe) {
  for (LeaseNumber i = 1; i < kNoLeaseLeft; ++i) ASSERT_NE(leases_.Begin(NodeId::FromRandom()).lease, kNoLeaseLeft);
  leases_.Renew(home_, clock_.Now() + seconds(7));
  EXPECT_EQ(leases_.Begin(home_).lease, kNoLeaseLeft);
  EXPECT_FALSE(Holds(kNoLeaseLeft));
  EXPECT_FALSE(leases_.Renew(home_, clock_.Now() + seconds(9)));
  EXPECT_FALSE(leases_.End(home_));
}

TEST_F(HomeLeasesTest, AHomeNeedsNoLeaseOfItsOwn) { EXPECT_TRUE(Holds(0)); }

}  // namespace
}  // namespace raylet
