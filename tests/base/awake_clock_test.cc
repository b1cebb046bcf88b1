#include "base/awake_clock.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"

namespace raylet::test {
namespace {

using namespace std::chrono_literals;

TEST(AwakeClockTest, CountsTimeAsTheClockDoesWhileSomebodyLooks) {
  ManualClock clock;
  const AwakeClock awake(clock, 1s);
  const TimePoint start = awake.Now();
  for (int i = 0; i < 100; ++i) {
    clock.Advance(900ms);
    static_cast<void>(awake.Now());
  }
  EXPECT_EQ(awake.Now() - start, 90s);
}

TEST(AwakeClockTest, CountsAStallAsOneStep) {
  ManualClock clock;
  const AwakeClock awake(clock, 1s);
  const TimePoint start = awake.Now();
  clock.Advance(300ms);
  EXPECT_EQ(awake.Now() - start, 300ms);
  clock.Advance(1h);
  EXPECT_EQ(awake.Now() - start, 1300ms);
  EXPECT_EQ(awake.Now() - start, 1300ms) << "a second look counts no more";
}

TEST(AwakeDeadlineTest, PassesAfterItsPatience) {
  ManualClock clock;
  const AwakeDeadline deadline(10s, clock);
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(deadline.Passed()) << i;
    clock.Advance(500ms);
  }
  EXPECT_TRUE(deadline.Passed());
  EXPECT_EQ(deadline.Left(1h), 0s);
}

TEST(AwakeDeadlineTest, AStallTakesOneStepOfThePatience) {
  ManualClock clock;
  const AwakeDeadline deadline(2s, clock);
  clock.Advance(1h);
  EXPECT_FALSE(deadline.Passed());
  EXPECT_EQ(deadline.Left(1h), 1500ms);
}

TEST(AwakeDeadlineTest, OneThatNeverPassesStaysSo) {
  const AwakeDeadline deadline = Deadline::Never();
  EXPECT_FALSE(deadline.Passed());
  EXPECT_EQ(deadline.Left(1h), 1h);
}

}  // namespace
}  // namespace raylet::test
