// Tasks that wait for tasks of their own, in simulated workers. However many there are, they go on, with few processes.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "raylet/scheduling/scheduler.h"
#include "tests/harness/seeded_id.h"

namespace raylet {
namespace {

constexpr int64_t kOne = kUnitsPerWhole;

ResourceSet Units(std::initializer_list<std::pair<const char*, int64_t>> amounts) {
  ResourceSet set;
  for (const auto& [name, units] : amounts) set.Accumulate(name, units);
  return set;
}

// A task less deep than `depth` submits one of its own, and waits for it before it ends.
class NestedWorld {
 public:
  NestedWorld(const ResourceSet& total, SchedulerLimits limits, uint32_t depth)
      : depth_(depth), scheduler_(total, limits) {}

  void set_inner(const ResourceSet& inner) { inner_ = inner; }

  void SubmitFromDriver(size_t count, JobId job = 1) {
    for (size_t i = 0; i < count; ++i) Submit(job, 0);
  }

  // Until all tasks have ended, or nothing can happen any more.
  void Run() {
    Settle();
    for (std::vector<WorkerId> able = Able(); !able.empty(); able = Able()) {
      Step(able[std::uniform_int_distribution<size_t>(0, able.size() - 1)(random_)]);
      if (++steps_ % 50 == 0) scheduler_.Tick();
      Settle();
    }
  }

  size_t ended() const { return ended_; }
  size_t workers_most() const { return workers_most_; }
  size_t started() const { return started_; }
  size_t left() const { return scheduler_.tasks(); }

 private:
  struct Process {
    bool starting = true;
    bool stopping = false;
    std::deque<TaskPtr> tasks;  // the first one runs
    TaskId waits_for;
    std::vector<TaskId> recalled;
  };

  TaskId Submit(JobId job, uint32_t depth) {
    auto task = std::make_shared<Task>();
    task->id = test::SeededId<TaskId>(random_);
    task->job = job;
    task->owner = 100 + job;
    task->depth = depth;
    task->resources = depth > 0 && !inner_.empty() ? inner_ : Units({{kCpu, kOne}});
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    live_.insert(task->id);
    return task->id;
  }

  std::vector<WorkerId> Able() const {
    std::vector<WorkerId> able;
    for (const auto& [id, process] : processes_) {
      const bool waits = !process.waits_for.IsNil() && live_.contains(process.waits_for);
      if (process.starting || process.stopping || !process.recalled.empty() || (!process.tasks.empty() && !waits))
        able.push_back(id);
    }
    return able;
  }

  void Step(WorkerId id) {
    Process& process = processes_.at(id);
    if (process.stopping) {
      scheduler_.WorkerGone(id);
      processes_.erase(id);
      return;
    }
    if (process.starting) {
      process.starting = false;
      return scheduler_.WorkerReady(id);
    }
    if (!process.recalled.empty()) return GiveBack(id, process);
    const TaskPtr task = process.tasks.front();
    if (task->depth < depth_ && process.waits_for.IsNil()) {
      process.waits_for = Submit(task->job, task->depth + 1);
      return scheduler_.WorkerBlocked(id, true);
    }
    if (!process.waits_for.IsNil()) scheduler_.WorkerBlocked(id, false);
    process.waits_for = TaskId();
    process.tasks.pop_front();
    live_.erase(task->id);
    ++ended_;
    ASSERT_TRUE(scheduler_.TaskFinished(id, task->id, true).has_value());
  }

  void GiveBack(WorkerId id, Process& process) {
    std::vector<TaskId> back;
    for (const TaskId& task : std::exchange(process.recalled, {})) {
      const auto at = std::find_if(process.tasks.begin() + std::min<std::ptrdiff_t>(1, std::ssize(process.tasks)),
                                   process.tasks.end(), [&](const TaskPtr& each) { return each->id == task; });
      if (at == process.tasks.end()) continue;
      back.push_back(task);
      process.tasks.erase(at);
    }
    ASSERT_TRUE(scheduler_.WorkerGaveBack(id, back).has_value());
  }

  void Settle() {
    for (auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) {
        processes_[start->worker];
        ++started_;
      } else if (const auto* run = std::get_if<RunTask>(&decision)) {
        processes_.at(run->worker).tasks.push_back(run->task);
      } else if (const auto* recall = std::get_if<RecallFromWorker>(&decision)) {
        processes_.at(recall->worker).recalled = recall->tasks;
      } else if (const auto* stop = std::get_if<StopWorker>(&decision)) {
        processes_.at(stop->worker).stopping = true;
      } else {
        FAIL() << "decision " << decision.index();
      }
    }
    workers_most_ = std::max(workers_most_, processes_.size());
  }

  const uint32_t depth_;
  ResourceSet inner_;
  std::mt19937_64 random_{7};
  Scheduler scheduler_;
  std::map<WorkerId, Process> processes_;
  std::set<TaskId> live_;
  size_t steps_ = 0, ended_ = 0, workers_most_ = 0, started_ = 0;
};

class NestedTasks : public ::testing::TestWithParam<uint32_t> {};

TEST_P(NestedTasks, TenThousandGoOnWithFewProcesses) {
  NestedWorld world(Units({{kCpu, 2 * kOne}}), {}, GetParam());
  world.SubmitFromDriver(10'000);
  world.Run();
  EXPECT_EQ(world.ended(), 10'000 * (GetParam() + 1));
  EXPECT_EQ(world.left(), 0u);
  EXPECT_LE(world.workers_most(), 64u);
  EXPECT_LE(world.started(), 256u);  // they are kept for the next tasks
}

// The outer tasks fit where the inner ones do not, so each takes a worker and is blocked.
TEST_P(NestedTasks, GoOnWhereFewOfThemFitAtATime) {
  NestedWorld world(Units({{kCpu, 4 * kOne}}), {}, GetParam());
  world.set_inner(Units({{kCpu, 4 * kOne}}));
  world.SubmitFromDriver(600);
  world.Run();
  EXPECT_EQ(world.ended(), 600 * (GetParam() + 1));
  EXPECT_LE(world.workers_most(), 256u);
}

TEST_P(NestedTasks, GoOnInASmallPool) {
  SchedulerLimits limits;
  limits.workers_max = 8;
  NestedWorld world(Units({{kCpu, 2 * kOne}}), limits, GetParam());
  world.SubmitFromDriver(500);
  world.Run();
  EXPECT_EQ(world.ended(), 500 * (GetParam() + 1));
  EXPECT_LE(world.workers_most(), 8u);
}

TEST_P(NestedTasks, GoOnWhereSeveralJobsShareASmallPool) {
  SchedulerLimits limits;
  limits.workers_max = 10;
  NestedWorld world(Units({{kCpu, 3 * kOne}}), limits, GetParam());
  for (JobId job = 1; job <= 3; ++job) world.SubmitFromDriver(200, job);
  world.Run();
  EXPECT_EQ(world.ended(), 600 * (GetParam() + 1));
  EXPECT_LE(world.workers_most(), 10u);
}

INSTANTIATE_TEST_SUITE_P(Depths, NestedTasks, ::testing::Values(1, 2, 5),
                         [](const auto& each) { return "Depth" + std::to_string(each.param); });

}  // namespace
}  // namespace raylet
