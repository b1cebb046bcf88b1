// Ends of drivers and owners with very many tasks, and objects for which very many tasks wait. The scheduler takes some
// of the tasks at once and the others in later turns. Meanwhile none of them begins, and other jobs go on.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "raylet/scheduling/scheduler.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

class TaskBacklogTest : public ::testing::Test {
 protected:
  static constexpr JobId kJob = 1, kOtherJob = 2;
  static constexpr ProcessId kDriver = 10, kActor = 11, kOther = 20;
  static constexpr size_t kTasks = 1'000;
  static constexpr size_t kPerTurn = 100;

  static std::shared_ptr<Task> MakeTask(JobId job = kJob, ProcessId owner = kDriver) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = job;
    task->owner = owner;
    task->name = task->function = "f";
    task->resources = test::Cpus(kUnitsPerWhole);
    return task;
  }
  static SchedulerLimits Limits() {
    SchedulerLimits limits;
    limits.tasks_per_turn = kPerTurn;
    return limits;
  }
  TaskPtr Submit(const std::shared_ptr<Task>& task) {
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    return task;
  }
  void SubmitMany(ProcessId owner = kDriver, const std::vector<ObjectId>& wait_for = {}) {
    for (size_t i = 0; i < kTasks; ++i) {
      const auto task = MakeTask(kJob, owner);
      task->wait_for = wait_for;
      Submit(task);
    }
  }
  void Take() {
    ran_.clear();
    lost_.clear();
    for (auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) starting_.push_back(start->worker);
      if (const auto* run = std::get_if<RunTask>(&decision)) ran_.push_back(run->task);
      if (const auto* lost = std::get_if<LoseTask>(&decision)) lost_.push_back(*lost);
    }
  }
  void StartAll() {
    for (Take(); !starting_.empty(); Take())
      for (const WorkerId worker : std::exchange(starting_, {})) scheduler_.WorkerReady(worker, 100 + worker);
  }
  // Calls `meanwhile` between the turns, and says how many there were.
  template <class Meanwhile>
  size_t WorkOff(Meanwhile meanwhile) {
    size_t turns = 0;
    for (; scheduler_.HasMore(); ++turns) {
      meanwhile();
      const size_t before = scheduler_.tasks();
      scheduler_.WorkOff();
      EXPECT_LE(before - scheduler_.tasks(), kPerTurn);
      Take();
    }
    return turns;
  }

  Scheduler scheduler_{test::Cpus(2 * kUnitsPerWhole), Limits()};
  std::vector<WorkerId> starting_;
  std::vector<TaskPtr> ran_;
  std::vector<LoseTask> lost_;
};

TEST_F(TaskBacklogTest, ADriversManyTasksGoInPartsWhileAnotherJobsTasksRun) {
  SubmitMany();
  EXPECT_TRUE(scheduler_.JobEnded(kJob, {}, /*for_good=*/true).empty());
  EXPECT_TRUE(scheduler_.OwnerGone(kDriver).empty());
  EXPECT_EQ(scheduler_.tasks(), kTasks - kPerTurn);
  EXPECT_EQ(scheduler_.queue().size(), 0u) << "nobody sees them";
  EXPECT_TRUE(scheduler_.HasTasks(kJob));
  Take();
  EXPECT_TRUE(starting_.empty()) << "a worker starts for a driver that has gone";
  const auto other = Submit(MakeTask(kOtherJob, kOther));
  StartAll();
  ASSERT_EQ(ran_.size(), 1u);
  EXPECT_EQ(ran_[0], other);
  const size_t turns = WorkOff([&] { EXPECT_EQ(scheduler_.Submit(MakeTask()).error().code, ErrorCode::kNotRunning); });
  EXPECT_EQ(turns, (kTasks - kPerTurn) / kPerTurn + 1);
  EXPECT_EQ(scheduler_.tasks(), 1u) << "the other job's";
  EXPECT_FALSE(scheduler_.HasTasks(kJob));
  scheduler_.JobGone(kJob);
  EXPECT_EQ(scheduler_.queue().suspended().size(), 0u);
}

TEST_F(TaskBacklogTest, TheTasksOfAnActorThatOutlivesTheDriverGoOnOnceTheOthersHaveGone) {
  SubmitMany();
  const auto of_actor = Submit(MakeTask(kJob, kActor));
  EXPECT_TRUE(scheduler_.JobEnded(kJob, {kActor}, /*for_good=*/false).empty());
  Take();
  EXPECT_TRUE(starting_.empty());
  WorkOff([&] { EXPECT_TRUE(starting_.empty()); });
  EXPECT_EQ(scheduler_.tasks(), 1u);
  EXPECT_EQ(scheduler_.queue().size(), 1u);
  ASSERT_EQ(starting_.size(), 1u);
  scheduler_.WorkerReady(starting_[0], 100);
  Take();
  ASSERT_EQ(ran_.size(), 1u);
  EXPECT_EQ(ran_[0], of_actor);
}

TEST_F(TaskBacklogTest, AnEndedOwnersManyTasksGoInPartsAndThoseThatRunAreNamedAtOnce) {
  SubmitMany(kActor);
  StartAll();
  EXPECT_EQ(scheduler_.CountWorkers(Scheduler::WorkerState::kBusy), 2u);
  const auto of_driver = Submit(MakeTask());
  EXPECT_EQ(scheduler_.OwnerGone(kActor).size(), 2u);
  const size_t after = scheduler_.tasks();
  EXPECT_GE(after, kTasks - kPerTurn);
  for (const auto& [id, worker] : scheduler_.workers()) {
    EXPECT_TRUE(worker.task->owner_gone);
    scheduler_.WorkerStopping(id);
  }
  Take();
  WorkOff([&] { EXPECT_TRUE(ran_.empty()); });
  size_t at_workers = 0;
  for (const auto& [id, worker] : scheduler_.workers()) at_workers += 1 + worker.ahead.size();
  EXPECT_EQ(scheduler_.tasks(), 1 + at_workers);
  EXPECT_EQ(scheduler_.queue().size(), 1u);
  std::vector<WorkerId> workers;
  for (const auto& [id, worker] : scheduler_.workers()) workers.push_back(id);
  for (const WorkerId worker : workers) scheduler_.WorkerGone(worker);
  StartAll();
  EXPECT_EQ(scheduler_.tasks(), 1u);
  EXPECT_EQ(scheduler_.CountWorkers(Scheduler::WorkerState::kBusy), 1u);
}

TEST_F(TaskBacklogTest, TheManyTasksOfAnOwnerThatWasBehindGoInParts) {
  SubmitMany();
  scheduler_.OwnerBehind(kDriver, true);
  EXPECT_EQ(scheduler_.queue().held_tasks(), kTasks);
  scheduler_.OwnerGone(kDriver);
  EXPECT_EQ(scheduler_.queue().held_tasks(), kTasks - kPerTurn);
  WorkOff([&] { EXPECT_TRUE(starting_.empty()); });
  EXPECT_EQ(scheduler_.tasks(), 0u);
  EXPECT_TRUE(scheduler_.queue().held().empty());
}

TEST_F(TaskBacklogTest, ManyTasksOfASealedObjectAreReadyInOrderAndInParts) {
  const ObjectId object = ObjectId::FromRandom();
  std::vector<TaskPtr> tasks;
  for (size_t i = 0; i < kTasks; ++i) {
    const auto task = MakeTask();
    task->wait_for = {object};
    tasks.push_back(Submit(task));
  }
  scheduler_.ObjectSealed(object);
  EXPECT_EQ(scheduler_.queue().size(), kPerTurn);
  EXPECT_EQ(scheduler_.dependencies().tasks(), kTasks - kPerTurn);
  EXPECT_TRUE(scheduler_.Cancel(tasks[kTasks - 1]->id));
  for (size_t turn = 2; scheduler_.HasMore(); ++turn) {
    scheduler_.WorkOff();
    EXPECT_EQ(scheduler_.queue().size(), std::min(turn * kPerTurn, kTasks - 1));
  }
  size_t at = 0;
  for (const QueuedTask* const task : scheduler_.queue().shapes(kJob)[0]->tasks) ASSERT_EQ(task->task, tasks[at++]);
  EXPECT_EQ(at, kTasks - 1);
}

TEST_F(TaskBacklogTest, OneTurnMakesSomeTasksReadyHoweverManyObjectsAreSealedInIt) {
  std::vector<ObjectId> objects;
  for (size_t i = 0; i < 3 * kPerTurn; ++i) {
    objects.push_back(ObjectId::FromRandom());
    const auto task = MakeTask();
    task->wait_for = {objects.back()};
    Submit(task);
  }
  for (const ObjectId& object : objects) scheduler_.ObjectSealed(object);
  EXPECT_EQ(scheduler_.queue().size(), kPerTurn);
  Take();
  while (scheduler_.HasMore()) scheduler_.WorkOff();
  EXPECT_EQ(scheduler_.queue().size(), 3 * kPerTurn);
}

TEST_F(TaskBacklogTest, ManyTasksThatWaitForAnObjectOfAnEndedOwnerAreLostInParts) {
  std::atomic<uint64_t> counter{1};
  const ObjectId object = NewObjectId(kOther, counter), comes = NewObjectId(kOther, counter);
  SubmitMany(kDriver, {object});
  const auto waits = MakeTask();
  waits->wait_for = {comes};
  Submit(waits);
  scheduler_.OwnersGone({kOther}, [&](const ObjectId& each) { return each == comes; });
  Take();
  EXPECT_LE(lost_.size(), kPerTurn);
  size_t lost = lost_.size();
  while (scheduler_.HasMore()) {
    scheduler_.WorkOff([&](const ObjectId& each) { return each == comes; });
    Take();
    EXPECT_LE(lost_.size(), kPerTurn);
    lost += lost_.size();
  }
  EXPECT_EQ(lost, kTasks);
  EXPECT_EQ(scheduler_.tasks(), 1u);
}

}  // namespace
}  // namespace raylet
