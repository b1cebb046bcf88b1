#include "raylet/scheduling/task_queue.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;

class TaskQueueTest : public ::testing::Test {
 protected:
  QueuedTask* Make(JobId job, int64_t units = kUnitsPerWhole, uint32_t depth = 0, ProcessId owner = 7) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = job;
    task->owner = owner;
    task->depth = depth;
    task->resources = Cpus(units);
    QueuedTask& queued = tasks_.emplace_back();
    queued.task = std::move(task);
    queued.sequence = tasks_.size();
    return &queued;
  }
  QueuedTask* Push(JobId job, int64_t units = kUnitsPerWhole, uint32_t depth = 0, ProcessId owner = 7) {
    QueuedTask* const task = Make(job, units, depth, owner);
    queue_.Push(task);
    return task;
  }

  std::deque<QueuedTask> tasks_;
  ResourceLedger ledger_{Cpus(4 * kUnitsPerWhole)};
  TaskQueue queue_{ledger_};
};

TEST_F(TaskQueueTest, KeepsTheOrderWithinAShapeAndForgetsAnEmptyOne) {
  QueuedTask* const first = Push(1);
  QueuedTask* const second = Push(1);
  QueuedTask* const other = Push(1, 2 * kUnitsPerWhole);
  ASSERT_EQ(queue_.shapes(1).size(), 2u);
  EXPECT_EQ(queue_.PopFront(1, 0), first);
  EXPECT_EQ(queue_.PopFront(1, 0), second);
  ASSERT_EQ(queue_.shapes(1).size(), 1u);
  EXPECT_EQ(queue_.PopFront(1, 0), other);
  EXPECT_TRUE(queue_.Empty(1));
  EXPECT_EQ(queue_.size(), 0u);
  EXPECT_TRUE(queue_.jobs().empty());
}

TEST_F(TaskQueueTest, ASuspendedJobIsNotSeenAndItsTasksAreRemovedAndAddedMeanwhile) {
  QueuedTask* const first = Push(1);
  QueuedTask* const second = Push(1);
  Push(2);
  queue_.Suspend(1);
  queue_.Suspend(1);
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(queue_.jobs(), std::vector<JobId>{2});
  EXPECT_TRUE(queue_.shapes(1).empty());
  QueuedTask* const third = Push(1);
  queue_.Remove(first);
  queue_.Resume(1);
  EXPECT_EQ(queue_.size(), 3u);
  EXPECT_EQ(queue_.PopFront(1, 0), second);
  EXPECT_EQ(queue_.PopFront(1, 0), third);
  queue_.Suspend(1);
  QueuedTask* const fourth = Push(1);
  queue_.Remove(fourth);
  queue_.Resume(1);
  EXPECT_TRUE(queue_.Empty(1));
  EXPECT_EQ(queue_.size(), 1u);
}

TEST_F(TaskQueueTest, TheHeldTasksOfAnEndedOwnerStayUntilTheyAreRemoved) {
  QueuedTask* const first = Push(1);
  QueuedTask* const second = Push(1);
  queue_.Hold(7);
  queue_.OwnerEnded(7);
  EXPECT_EQ(queue_.held_tasks(), 2u);
  queue_.Remove(first);
  EXPECT_TRUE(queue_.IsHeld(7));
  queue_.Remove(second);
  EXPECT_FALSE(queue_.IsHeld(7));
  queue_.Hold(8);
  queue_.OwnerEnded(8);
  EXPECT_FALSE(queue_.IsHeld(8));
}

TEST_F(TaskQueueTest, ARetryGoesInFrontOfItsShape) {
  QueuedTask* const first = Push(1);
  Push(1);
  ASSERT_EQ(queue_.PopFront(1, 0), first);
  queue_.PushAgain(first);
  EXPECT_EQ(queue_.PopFront(1, 0), first);
}

TEST_F(TaskQueueTest, ANestedTaskGoesBeforeAnOlderOne) {
  QueuedTask* const outer = Push(1);
  QueuedTask* const inner = Push(1, kUnitsPerWhole, 1);
  QueuedTask* const younger = Push(1, kUnitsPerWhole, 1);
  EXPECT_EQ(queue_.shapes(1).size(), 2u);
  EXPECT_TRUE(GoesBefore(*inner, *outer));
  EXPECT_FALSE(GoesBefore(*outer, *inner));
  EXPECT_TRUE(GoesBefore(*inner, *younger));
}

TEST_F(TaskQueueTest, KnowsTheShapesThatNeverRunHere) {
  Push(1, 5 * kUnitsPerWhole);
  EXPECT_FALSE(queue_.shapes(1)[0]->needs.has_value());
}

TEST_F(TaskQueueTest, KeepsTasksOfAHeldOwnerAsideInOrder) {
  QueuedTask* const first = Push(1, kUnitsPerWhole, 0, 7);
  QueuedTask* const other = Push(1, kUnitsPerWhole, 0, 8);
  queue_.Hold(7);
  QueuedTask* const later = Push(1, kUnitsPerWhole, 0, 7);
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(queue_.held_tasks(), 2u);
  queue_.Release(7);
  EXPECT_EQ(queue_.held_tasks(), 0u);
  EXPECT_EQ(queue_.PopFront(1, 0), other);
  EXPECT_EQ(queue_.PopFront(1, 0), first);
  EXPECT_EQ(queue_.PopFront(1, 0), later);
}

TEST_F(TaskQueueTest, HoldsBackNoCreationOfAnActor) {
  auto creation = std::make_shared<Task>(*Make(1)->task);
  creation->actor = ActorSettings{};
  QueuedTask queued;
  queued.task = creation;
  queue_.Hold(7);
  queue_.Push(&queued);
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(queue_.held_tasks(), 0u);
}

TEST_F(TaskQueueTest, RemovesMatchingTasksAlsoHeldOnes) {
  Push(1);
  QueuedTask* const kept = Push(2);
  queue_.Hold(9);
  Push(1, kUnitsPerWhole, 0, 9);
  EXPECT_EQ(queue_.RemoveIf([](const QueuedTask& task) { return task.task->job == 1; }).size(), 2u);
  EXPECT_EQ(queue_.held_tasks(), 0u);
  EXPECT_EQ(queue_.jobs(), std::vector<JobId>{2});
  EXPECT_EQ(queue_.RemoveGroup({2, {}}), std::vector<QueuedTask*>{kept});
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(TaskQueueTest, RemovesOneTaskWhereverItIs) {
  QueuedTask* const first = Push(1);
  QueuedTask* const second = Push(1);
  QueuedTask* const third = Push(1);
  queue_.Hold(9);
  QueuedTask* const held = Push(1, kUnitsPerWhole, 0, 9);
  queue_.Remove(second);
  queue_.Remove(held);
  EXPECT_EQ(queue_.held_tasks(), 0u);
  EXPECT_EQ(queue_.size(), 2u);
  EXPECT_EQ(queue_.PopFront(1, 0), first);
  queue_.Remove(third);
  EXPECT_TRUE(queue_.Empty(1));
}

TEST_F(TaskQueueTest, BoundsTheShapesOfAJobAtEachDepth) {
  for (size_t i = 0; i < kShapesPerJobMax; ++i) Push(1, static_cast<int64_t>(1 + i));
  EXPECT_TRUE(queue_.HasRoomForShape(*Make(1, 1)->task));
  EXPECT_FALSE(queue_.HasRoomForShape(*Make(1, 5000)->task));
  EXPECT_TRUE(queue_.HasRoomForShape(*Make(1, 5000, 1)->task));
  EXPECT_TRUE(queue_.HasRoomForShape(*Make(2, 5000)->task));
}

}  // namespace
}  // namespace raylet
