// How processes are started for several jobs, and which of them stop for being idle.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "raylet/scheduling/scheduler.h"

namespace raylet {
namespace {

class WorkerStarts : public ::testing::Test {
 protected:
  // Actors that ask for nothing: each wants a process at once.
  void Submit(JobId job, int count) {
    for (int i = 0; i < count; ++i) {
      auto task = std::make_shared<Task>();
      task->id = TaskId::FromRandom();
      task->job = job;
      task->owner = 100 + job;
      task->actor = ActorSettings{};
      ASSERT_TRUE(scheduler_.Submit(task).has_value());
    }
    Take();
  }
  void Take() {
    for (auto& decision : scheduler_.TakeDecisions())
      if (const auto* start = std::get_if<StartWorker>(&decision)) started_[start->group.job].push_back(start->worker);
  }

  ResourceSet total_ = *ParseResources(R"({"CPU": 2})");
  Scheduler scheduler_{total_, {}};
  std::map<JobId, std::vector<WorkerId>> started_;
};

TEST_F(WorkerStarts, OneJobAloneMayStartTheFullNumberAtATime) {
  Submit(1, 20);
  EXPECT_EQ(started_[1].size(), 8u);
}

TEST_F(WorkerStarts, ProcessesThatHangBeforeTheyRegisterHoldUpNoOtherJob) {
  Submit(1, 20);  // none of its processes registers
  Submit(2, 20);
  EXPECT_EQ(started_[2].size(), 4u);
  Submit(3, 20);
  EXPECT_EQ(started_[3].size(), 2u);
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_GT(started_[2].size(), i) << "nothing is started for the second job any more";
    scheduler_.WorkerReady(started_[2][i], 0);
    Take();
  }
  EXPECT_EQ(started_[1].size(), 8u);
}

TEST_F(WorkerStarts, AJobWhoseProcessesHangStartsOthersOnceTheyHaveGone) {
  Submit(1, 20);
  Submit(2, 1);
  scheduler_.WorkerGone(started_[1][0]);
  Take();
  EXPECT_EQ(started_[1].size(), 8u);  // seven others still hang, and one of the other job's starts
  scheduler_.WorkerReady(started_[2][0], 0);
  Take();
  EXPECT_EQ(started_[1].size(), 9u);
}

// The process of a worker is 1000 + its number. Each worker that starts becomes ready at once.
class OwingWorkers : public ::testing::Test {
 protected:
  static ProcessId ProcessOf(WorkerId worker) { return 1'000 + worker; }
  void Begin(int cpus, size_t workers_max = 256) {
    SchedulerLimits limits;
    limits.workers_max = workers_max;
    scheduler_.emplace(*ParseResources("{\"CPU\": " + std::to_string(cpus) + "}"), limits);
  }
  void Take() {
    for (bool more = true; std::exchange(more, false);) {
      for (auto& decision : scheduler_->TakeDecisions()) {
        if (const auto* start = std::get_if<StartWorker>(&decision)) {
          scheduler_->WorkerReady(start->worker, ProcessOf(start->worker));
          more = true;
        }
        if (const auto* run = std::get_if<RunTask>(&decision)) runs_[run->task->id] = run->worker;
        if (const auto* stop = std::get_if<StopWorker>(&decision)) stopped_.insert(stop->worker);
      }
    }
  }
  TaskPtr Submit(ProcessId owner, uint32_t depth = 0, JobId job = 1) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = job;
    task->owner = owner;
    task->depth = depth;
    task->resources = *ParseResources(R"({"CPU": 1})");
    EXPECT_TRUE(scheduler_->Submit(task).has_value());
    Take();
    return task;
  }
  TaskPtr SubmitActor(ProcessId owner, const char* resources = "{}") {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = 1;
    task->owner = owner;
    task->actor = ActorSettings{};
    task->resources = *ParseResources(resources);
    EXPECT_TRUE(scheduler_->Submit(task).has_value());
    Take();
    return task;
  }
  WorkerId WorkerOf(const TaskPtr& task) const { return runs_.contains(task->id) ? runs_.at(task->id) : 0; }
  void Finish(const TaskPtr& task) {
    ASSERT_TRUE(scheduler_->TaskFinished(WorkerOf(task), task->id, true).has_value());
    Take();
  }
  void Block(const TaskPtr& task, bool blocked) {
    scheduler_->WorkerBlocked(WorkerOf(task), blocked);
    Take();
  }

  static constexpr ProcessId kDriver = 101;
  std::optional<Scheduler> scheduler_;
  std::map<TaskId, WorkerId> runs_;
  std::set<WorkerId> stopped_;
};

// Two blocked tasks have made the pool larger than it has to be. A task has returned the result of another, which runs.
TEST_F(OwingWorkers, AnIdleWorkerThatOwnsATaskIsNotStopped) {
  Begin(2);
  const auto first = Submit(kDriver);
  const auto second = Submit(kDriver);
  Block(first, true);
  const auto outer = Submit(kDriver);
  const WorkerId owing = WorkerOf(outer);
  Block(second, true);
  const auto slow = Submit(ProcessOf(owing), 1);
  Finish(outer);
  for (const TaskPtr& blocked : {first, second}) {
    Finish(Submit(ProcessOf(WorkerOf(blocked)), 1));
    Block(blocked, false);
    Finish(blocked);
  }
  EXPECT_FALSE(stopped_.empty());
  EXPECT_FALSE(stopped_.contains(owing));
  Finish(slow);
  EXPECT_NE(WorkerOf(Submit(kDriver)), 0u);
}

TEST_F(OwingWorkers, AnIdleWorkerThatOwnsATaskMakesNoRoomForAnotherJob) {
  Begin(2, 2);
  const auto outer = Submit(kDriver);
  const WorkerId owing = WorkerOf(outer);
  const auto slow = Submit(ProcessOf(owing), 1);
  Finish(outer);
  const auto other = Submit(kDriver + 1, 0, 2);
  EXPECT_EQ(WorkerOf(other), 0u);
  EXPECT_TRUE(stopped_.empty());
  Finish(slow);
  EXPECT_EQ(stopped_.size(), 1u);
}

// What it waits for may need a worker of another group, which would never start.
TEST_F(OwingWorkers, AWorkerStartsBeyondTheLimitWhereOnlyOwingOnesAreLeft) {
  Begin(2, 1);
  const auto outer = Submit(kDriver);
  const WorkerId owing = WorkerOf(outer);
  const auto other = Submit(ProcessOf(owing), 1, 2);
  EXPECT_EQ(WorkerOf(other), 0u);
  Finish(outer);
  EXPECT_NE(WorkerOf(other), 0u);
  EXPECT_TRUE(stopped_.empty());
  Finish(other);
}

// An actor may be killed, and its process with it.
TEST_F(OwingWorkers, AnActorGetsAWorkerThatOwesNothing) {
  Begin(2);
  const auto outer = Submit(kDriver);
  const WorkerId owing = WorkerOf(outer);
  const auto slow = Submit(ProcessOf(owing), 1);
  Finish(outer);
  const auto actor = SubmitActor(kDriver);
  EXPECT_NE(WorkerOf(actor), 0u);
  EXPECT_NE(WorkerOf(actor), owing);
}

TEST_F(OwingWorkers, AWorkerThatSaysThatItStaysRunsTasksUntilItMayStop) {
  Begin(1);
  Finish(Submit(kDriver));
  const auto first = Submit(kDriver);
  Block(first, true);
  Finish(Submit(kDriver, 1));
  Block(first, false);
  Finish(first);
  ASSERT_EQ(stopped_.size(), 1u);
  const WorkerId asked = *stopped_.begin();
  stopped_.clear();
  scheduler_->WorkerStays(asked, true);
  Take();
  EXPECT_FALSE(scheduler_->IsStopping(asked));
  EXPECT_EQ(stopped_.size(), 1u) << "another one stops in its place";
  EXPECT_FALSE(stopped_.contains(asked));
  const auto last = Submit(kDriver);
  EXPECT_EQ(WorkerOf(last), asked);
  Finish(last);
  scheduler_->WorkerStays(asked, false);
  const auto second = Submit(kDriver);
  Block(second, true);
  Finish(Submit(kDriver, 1));
  Block(second, false);
  Finish(second);
  EXPECT_EQ(stopped_.size(), 2u) << "it may stop, or the one beside it";
}

// Its process waits for results that may need what the actor held.
TEST_F(OwingWorkers, AnEndedActorThatLingersGivesBackWhatItHeld) {
  Begin(1);
  const auto actor = SubmitActor(kDriver, R"({"CPU": 1})");
  Finish(actor);
  const WorkerId lingers = WorkerOf(actor);
  const auto unmade = Submit(ProcessOf(lingers), 1);
  scheduler_->WorkerStopping(lingers);
  Take();
  EXPECT_EQ(WorkerOf(unmade), 0u);
  scheduler_->WorkerStays(lingers, true);
  Take();
  ASSERT_NE(WorkerOf(unmade), 0u);
  Finish(unmade);
  scheduler_->WorkerStays(lingers, false);
  scheduler_->WorkerGone(lingers);
  EXPECT_EQ(scheduler_->ledger().lines()[0].free_units, kUnitsPerWhole);
}

TEST_F(OwingWorkers, AWorkerStartsBeyondTheLimitWhereOnlyEndedActorsThatLingerAreLeft) {
  Begin(2, 1);
  const auto actor = SubmitActor(kDriver);
  Finish(actor);
  const WorkerId lingers = WorkerOf(actor);
  scheduler_->WorkerStopping(lingers);
  const auto unmade = Submit(ProcessOf(lingers), 1);
  EXPECT_EQ(WorkerOf(unmade), 0u) << "room is coming";
  scheduler_->WorkerStays(lingers, true);
  Take();
  EXPECT_NE(WorkerOf(unmade), 0u);
}

TEST(WhyWaiting, SaysThatWorkersAreKeptForWhatBlockedOnesWaitFor) {
  SchedulerLimits limits;
  limits.workers_max = 4;
  Scheduler scheduler(*ParseResources(R"({"CPU": 1})"), limits);
  for (int i = 0; i < 5; ++i) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = 1;
    task->resources = *ParseResources(R"({"CPU": 1})");
    ASSERT_TRUE(scheduler.Submit(task).has_value());
  }
  size_t started = 0;
  for (bool more = true; more;) {
    more = false;
    for (auto& decision : scheduler.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) {
        scheduler.WorkerReady(start->worker, 0);
        ++started;
        more = true;
      }
      if (const auto* run = std::get_if<RunTask>(&decision)) {
        scheduler.WorkerBlocked(run->worker, true);
        more = true;
      }
    }
  }
  EXPECT_EQ(started, 1u);  // the others are kept for tasks of depths 1, 2 and 3
  const auto& shapes = scheduler.queue().shapes(1);
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(scheduler.WhyWaiting(*shapes[0]),
            "the pool of 4 workers keeps 3 of them for tasks that others wait for (1 blocked)");
}

}  // namespace
}  // namespace raylet
