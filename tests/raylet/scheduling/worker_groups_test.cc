// The workers of one job in several runtime environments.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "raylet/scheduling/scheduler.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;

class WorkerGroups : public ::testing::Test {
 protected:
  explicit WorkerGroups(SchedulerLimits limits = {}) : scheduler_(Cpus(4 * kUnitsPerWhole), limits) {}

  TaskId Submit(const std::string& environment, int64_t cpu_units = kUnitsPerWhole) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = 1;
    task->owner = 7;
    task->environment = environment;
    task->resources = Cpus(cpu_units);
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    Take();
    return task->id;
  }
  void Take() {
    for (auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision))
        started_.emplace_back(start->worker, start->group.environment);
      if (const auto* run = std::get_if<RunTask>(&decision)) {
        ran_in_[run->task->id] = EnvironmentOf(run->worker);
        runs_on_[run->task->id] = run->worker;
      }
      if (const auto* stop = std::get_if<StopWorker>(&decision)) stopped_.push_back(stop->worker);
      if (const auto* lose = std::get_if<LoseTask>(&decision)) lost_.push_back(lose->task->id);
      if (const auto* grant = std::get_if<GrantWorker>(&decision)) granted_.push_back(EnvironmentOf(grant->worker));
      if (std::holds_alternative<RefuseWorker>(decision)) ++refused_;
    }
  }
  std::string EnvironmentOf(WorkerId worker) const {
    for (const auto& [id, environment] : started_)
      if (id == worker) return environment;
    return "of no worker that was started";
  }
  void AllReady() {
    for (; ready_ < started_.size(); ++ready_) scheduler_.WorkerReady(started_[ready_].first, 0);
    Take();
  }

  Scheduler scheduler_;
  std::vector<std::pair<WorkerId, std::string>> started_;
  size_t ready_ = 0;
  std::map<TaskId, std::string> ran_in_;
  std::map<TaskId, WorkerId> runs_on_;
  std::vector<WorkerId> stopped_;
  std::vector<TaskId> lost_;
  std::vector<std::string> granted_;
  int refused_ = 0;
};

TEST_F(WorkerGroups, ATaskRunsInAWorkerOfItsEnvironment) {
  const TaskId plain = Submit("");
  AllReady();
  const TaskId one = Submit("one");
  const TaskId two = Submit("two");
  EXPECT_EQ(started_.size(), 3u);
  EXPECT_EQ(ran_in_.size(), 1u) << "a task has begun in the worker of another environment";
  AllReady();
  EXPECT_EQ(ran_in_[plain], "");
  EXPECT_EQ(ran_in_[one], "one");
  EXPECT_EQ(ran_in_[two], "two");
}

TEST_F(WorkerGroups, AnIdleWorkerServesTheNextTaskOfItsEnvironment) {
  const TaskId first = Submit("one");
  AllReady();
  ASSERT_TRUE(scheduler_.TaskFinished(runs_on_.at(first), first, true));
  const TaskId second = Submit("one");
  EXPECT_EQ(ran_in_[second], "one");
  EXPECT_EQ(started_.size(), 1u);
}

TEST_F(WorkerGroups, NoTaskIsSentAheadToAWorkerOfAnotherEnvironment) {
  for (int i = 0; i < 4; ++i) Submit("one");
  AllReady();
  ASSERT_EQ(ran_in_.size(), 4u);
  const TaskId other = Submit("two");
  EXPECT_FALSE(ran_in_.contains(other));
  const TaskId same = Submit("one");  // behind it: only the first of all shapes goes ahead
  EXPECT_FALSE(ran_in_.contains(same));
}

TEST_F(WorkerGroups, StartsThatFailFailTheTasksOfTheirEnvironmentAlone) {
  const TaskId broken = Submit("broken");
  const TaskId sound = Submit("sound");
  while (lost_.empty()) {
    const size_t before = started_.size();
    for (size_t i = 0; i < before; ++i)
      if (started_[i].second == "broken") scheduler_.WorkerGone(started_[i].first);
    Take();
    ASSERT_TRUE(started_.size() > before || !lost_.empty()) << "nothing is tried any more, and nothing is lost";
  }
  EXPECT_EQ(lost_, std::vector<TaskId>{broken});
  AllReady();
  EXPECT_EQ(ran_in_[sound], "sound");
}

TEST_F(WorkerGroups, ALeaseIsOfAWorkerOfItsEnvironment) {
  const TaskId first = Submit("one");
  AllReady();
  ASSERT_TRUE(scheduler_.TaskFinished(runs_on_.at(first), first, true));
  scheduler_.AskForWorker({7, 1, 1, 0, Cpus(kUnitsPerWhole), "two"});
  Take();
  EXPECT_EQ(refused_, 1);  // a worker starts for the next wish
  AllReady();
  scheduler_.AskForWorker({7, 2, 1, 0, Cpus(kUnitsPerWhole), "two"});
  Take();
  EXPECT_EQ(granted_, std::vector<std::string>{"two"});
}

SchedulerLimits FullWithTwo() {
  SchedulerLimits limits;
  limits.workers_max = 2;
  return limits;
}
class FullPool : public WorkerGroups {
 protected:
  FullPool() : WorkerGroups(FullWithTwo()) {}
};

TEST_F(FullPool, AnIdleWorkerOfAnotherEnvironmentMakesRoom) {
  const TaskId first = Submit("one");
  const TaskId second = Submit("one");
  AllReady();
  ASSERT_TRUE(scheduler_.TaskFinished(runs_on_.at(first), first, true));
  ASSERT_TRUE(scheduler_.TaskFinished(runs_on_.at(second), second, true));
  const TaskId third = Submit("two");
  ASSERT_EQ(stopped_.size(), 1u);
  scheduler_.WorkerGone(stopped_[0]);
  Take();
  AllReady();
  EXPECT_EQ(ran_in_[third], "two");
}

}  // namespace
}  // namespace raylet
