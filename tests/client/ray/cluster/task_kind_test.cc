// What goes to which leased worker, and when a process asks for another one.
#include "client/ray/cluster/task_kind.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"

namespace raylet::client {
namespace {

class TaskKindTest : public ::testing::Test {
 protected:
  void EndByRaylet(size_t tasks) {
    for (; tasks > 0; --tasks) kind_.EndedByRaylet(clock_.Now());
  }
  void Tick() {
    clock_.Advance(kPaceTick);
    kind_.TickTo(clock_.Now());
  }
  bool Asks() { return kind_.WantsAnother(clock_.Now()); }
  // A lease after two ticks of short tasks.
  void Lease(uint64_t lease = 1) {
    EndByRaylet(1);
    for (int tick = 0; tick < 2; ++tick) {
      Tick();
      EndByRaylet(1);
    }
    ASSERT_TRUE(Asks());
    kind_.Granted(lease);
  }
  void Add(size_t tasks) {
    for (; tasks > 0; --tasks) kind_.Add(std::make_shared<TaskSubmission>());
  }
  // Sends what may be sent; returns how many.
  size_t Send() {
    size_t sent = 0;
    for (; kind_.Waits(); ++sent) {
      TaskKind::Worker* const worker = kind_.Pick();
      if (worker == nullptr) break;
      kind_.TakeNext();
      ++worker->under_way;
    }
    return sent;
  }

  test::ManualClock clock_;
  TaskKind kind_;
};

TEST_F(TaskKindTest, AsksOnceTasksEndedInTwoTicksInARow) {
  EndByRaylet(1000);
  EXPECT_FALSE(Asks());
  Tick();
  EndByRaylet(1);
  EXPECT_FALSE(Asks());
  Tick();
  EXPECT_FALSE(kind_.Keeps());
  EXPECT_TRUE(Asks());
  EXPECT_TRUE(kind_.Keeps());  // until the answer
  EXPECT_FALSE(Asks());
}

TEST_F(TaskKindTest, LongTasksAskForNothing) {
  for (int i = 0; i < 50; ++i) {
    EndByRaylet(1);
    EXPECT_FALSE(Asks());
    Tick();
    Tick();
  }
}

TEST_F(TaskKindTest, ARefusedProcessAsksAgainAfterTwoTicks) {
  Lease();
  kind_.Over(1, {}, clock_.Now());
  for (int tick = 0; tick < 2; ++tick) {
    EndByRaylet(5);
    EXPECT_FALSE(Asks());
    Tick();
  }
  EndByRaylet(1);
  ASSERT_TRUE(Asks());
  kind_.Refused(clock_.Now());
  EXPECT_FALSE(kind_.Keeps());
  EXPECT_FALSE(Asks());
  Tick();
  EndByRaylet(1);
  EXPECT_FALSE(Asks());
  Tick();
  EXPECT_TRUE(Asks());
}

TEST_F(TaskKindTest, EachFurtherRefusalDoublesThePauseUpTo32Ticks) {
  Lease();
  kind_.Over(1, {}, clock_.Now());
  std::vector<int> pauses;
  for (int asked = 0; asked < 7; ++asked) {
    int ticks = 0;
    for (; ticks < 100 && !Asks(); ++ticks) {
      EndByRaylet(1);
      Tick();
    }
    pauses.push_back(ticks);
    kind_.Refused(clock_.Now());
  }
  EXPECT_EQ((std::vector<int>(pauses.begin() + 1, pauses.end())), (std::vector<int>{2, 4, 8, 16, 32, 32}));
}

TEST_F(TaskKindTest, AWorkersWindowGrowsWithWhatItEndsAndShrinksBehindLongTasks) {
  Lease();
  Add(10'000);
  EXPECT_EQ(Send(), 1u);
  size_t under_way = 1;
  for (const size_t window : {2u, 6u, 18u}) {
    kind_.Ended(1, under_way, clock_.Now());
    under_way = Send();
    EXPECT_EQ(under_way, window);
  }
  // What ended in the last two whole ticks bounds it from then on.
  Tick();
  kind_.Ended(1, under_way, clock_.Now());
  Tick();
  Tick();
  Tick();
  EXPECT_EQ(Send(), 1u);
}

TEST_F(TaskKindTest, AFullRingTakesNothingUntilItEndsACall) {
  Lease();
  Add(2);
  kind_.Pick()->full = true;
  EXPECT_EQ(Send(), 0u);
  kind_.Ended(1, 0, clock_.Now());
  EXPECT_EQ(Send(), 1u);
}

TEST_F(TaskKindTest, TasksThatWaitForTwoTicksAskForAnotherWorker) {
  Lease();
  Tick();
  Tick();
  Add(5);
  EXPECT_EQ(Send(), 1u);
  EXPECT_FALSE(Asks());
  Tick();
  EXPECT_FALSE(Asks());
  Tick();
  EXPECT_TRUE(Asks());
  kind_.Granted(2);
  EXPECT_EQ(Send(), 1u);  // to the one that has none
  EXPECT_EQ(kind_.workers()[1].under_way, 1u);
}

TEST_F(TaskKindTest, TheTasksOfALeaseThatIsOverGoFirstAndAreKeptForTheOtherWorkers) {
  Lease();
  Tick();
  Tick();
  Add(2);
  Tick();
  Tick();
  ASSERT_TRUE(Asks());
  kind_.Granted(2);
  auto back = std::make_shared<TaskSubmission>();
  kind_.Over(1, {back}, clock_.Now());
  EXPECT_TRUE(kind_.Keeps());
  EXPECT_EQ(kind_.TakeNext(), back);
  kind_.Over(2, {}, clock_.Now());
  EXPECT_FALSE(kind_.Keeps());
  EXPECT_EQ(kind_.TakeAll().size(), 2u);
}

}  // namespace
}  // namespace raylet::client
