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

}  // namespace
}  // namespace raylet::test
