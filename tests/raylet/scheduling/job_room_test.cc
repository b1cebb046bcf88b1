#include "raylet/scheduling/job_room.h"

#include <gtest/gtest.h>

#include "raylet/scheduling/task.h"

namespace raylet {
namespace {

constexpr ProcessId kDriver = 1, kWorker = 2;

SchedulerLimits Limits(size_t tasks, size_t bytes = size_t{1} << 30) {
  SchedulerLimits limits;
  limits.tasks_per_job_max = tasks;
  limits.task_bytes_per_job_max = bytes;
  return limits;
}

// Takes as much as tasks of this depth find; how many that were.
size_t Fill(JobRoom& room, uint32_t depth, size_t bytes = 0) {
  size_t taken = 0;
  for (; room.Has(depth); ++taken) room.Take(bytes);
  return taken;
}

TEST(JobRoom, EachDepthLeavesSomeToTheNextOne) {
  for (const size_t limit : {32u, 33u, 1'000u, 1'000'000u}) {
    const SchedulerLimits limits = Limits(limit);
    JobRoom room(limits);
    EXPECT_GT(Fill(room, 0), limits.tasks_per_process_max()) << limit;
    for (uint32_t depth = 1; depth <= kTaskDepthMax; ++depth) EXPECT_GE(Fill(room, depth), limit / 32) << limit;
    EXPECT_EQ(room.tasks(), limit);
    EXPECT_EQ(Fill(room, kTaskDepthMax + 100), 0u);
  }
}

TEST(JobRoom, BytesAreBoundedLikeTasks) {
  const SchedulerLimits limits = Limits(1'000'000, 3'200);
  JobRoom room(limits);
  Fill(room, 0, 10);
  EXPECT_EQ(room.bytes(), 1'700u);
  Fill(room, kTaskDepthMax, 10);
  EXPECT_EQ(room.bytes(), 3'200u);
}

TEST(JobRoom, ATaskThatIsLargerThanTheBoundFindsRoomWhereThereIsAny) {
  const SchedulerLimits limits = Limits(1'000, 3'200);
  JobRoom room(limits);
  EXPECT_TRUE(room.Has(0));
  room.Take(1'000'000);
  EXPECT_FALSE(room.Has(kTaskDepthMax));
  room.Give(1'000'000);
  EXPECT_TRUE(room.Has(0));
}

TEST(JobRoom, AWaiterIsNamedOnceWhenThereIsRoomForManyTasks) {
  const SchedulerLimits limits = Limits(32'000);
  JobRoom room(limits);
  Fill(room, 0);
  room.Wait(kDriver, 0);
  room.Wait(kDriver, 0);
  size_t given = 0;
  std::vector<ProcessId> ready;
  for (; ready.empty() && given < 32'000; ++given) {
    room.Give(0);
    ready = room.TakeReady();
  }
  EXPECT_EQ(ready, std::vector{kDriver});
  EXPECT_EQ(given, 501u);
  EXPECT_FALSE(room.AnyWaits());
  EXPECT_TRUE(room.TakeReady().empty());
}

TEST(JobRoom, AWaiterWithADeeperTaskIsNamedBeforeTheOthers) {
  const SchedulerLimits limits = Limits(32);
  JobRoom room(limits);
  Fill(room, 1);
  room.Wait(kDriver, 0);
  room.Wait(kWorker, 0);
  room.Wait(kWorker, 1);  // its deepest task counts
  room.Give(0);
  EXPECT_EQ(room.TakeReady(), std::vector{kWorker});
  room.Give(0);
  EXPECT_EQ(room.TakeReady(), std::vector{kDriver});
}

TEST(JobRoom, AnEndedWaiterIsNotNamed) {
  const SchedulerLimits limits = Limits(32);
  JobRoom room(limits);
  Fill(room, 0);
  room.Wait(kDriver, 0);
  room.Forget(kDriver);
  room.Give(0);
  EXPECT_TRUE(room.TakeReady().empty());
}

}  // namespace
}  // namespace raylet
