// Tasks that wait for tasks of their own, in simulated workers. However many there are, they go on, with few processes.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "raylet/scheduling/scheduler.h"
#include "tests/harness/seeded_id.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::kOne;

ResourceSet Units(std::initializer_list<std::pair<const char*, int64_t>> amounts) {
  ResourceSet set;
  for (const auto& [name, units] : amounts) set.Accumulate(name, units);
  return set;
}

// A task less deep than `depth` submits some of its own, one unless set_children says more, and waits for them before
// it ends. Whoever finds no room for a task waits until it is told that there is some.
class NestedWorld {
 public:
  NestedWorld(const ResourceSet& total, SchedulerLimits limits, uint32_t depth)
      : depth_(depth), scheduler_(total, limits) {}

  void set_inner(const ResourceSet& inner) { inner_ = inner; }

  void set_children(size_t children) { children_ = children; }

  void SubmitFromDriver(size_t count, JobId job = 1) { drivers_[job] += count; }

  // Until all tasks have ended, or nothing can happen any more.
  void Run() {
    Drive();
    Settle();
    for (std::vector<WorkerId> able = Able(); !able.empty(); able = Able()) {
      Step(able[std::uniform_int_distribution<size_t>(0, able.size() - 1)(random_)]);
      if (++steps_ % 50 == 0) scheduler_.Tick();
      Settle();
      Drive();
      Settle();
    }
  }

  size_t ended() const { return ended_; }
  size_t workers_most() const { return workers_most_; }
  size_t started() const { return started_; }
  size_t left() const { return scheduler_.tasks(); }
  size_t tasks_most() const { return tasks_most_; }
  size_t waits_for_room() const { return waits_for_room_; }  // how often somebody did

 private:
  struct Process {
    bool starting = true;
    bool stopping = false;
    std::deque<TaskPtr> tasks;      // the first one runs
    std::vector<TaskId> submitted;  // by the first one
    bool blocked = false;
    std::vector<TaskId> recalled;
  };
  static ProcessId DriverOf(JobId job) { return 100 + job; }
  static ProcessId ProcessOf(WorkerId worker) { return 1000 + worker; }

  // Nil where there is no room.
  TaskId Submit(JobId job, ProcessId owner, uint32_t depth) {
    auto task = std::make_shared<Task>();
    task->id = test::SeededId<TaskId>(random_);
    task->job = job;
    task->owner = owner;
    task->depth = depth;
    task->resources = depth > 0 && !inner_.empty() ? inner_ : Units({{kCpu, kOne}});
    if (!scheduler_.AskForRoom(*task)) {
      without_room_.insert(owner);
      ++waits_for_room_;
      return {};
    }
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    live_.insert(task->id);
    tasks_most_ = std::max(tasks_most_, scheduler_.tasks());
    return task->id;
  }

  void Drive() {
    for (auto& [job, count] : drivers_)
      while (count > 0 && !without_room_.contains(DriverOf(job)))
        if (!Submit(job, DriverOf(job), 0).IsNil()) --count;
  }

  bool SubmitsMore(const Process& process) const {
    return process.tasks.front()->depth < depth_ && process.submitted.size() < children_;
  }
  bool Waits(WorkerId id, const Process& process) const {
    if (SubmitsMore(process)) return without_room_.contains(ProcessOf(id));
    return std::any_of(process.submitted.begin(), process.submitted.end(),
                       [this](const TaskId& each) { return live_.contains(each); });
  }

  std::vector<WorkerId> Able() const {
    std::vector<WorkerId> able;
    for (const auto& [id, process] : processes_) {
      if (process.starting || process.stopping || !process.recalled.empty() ||
          (!process.tasks.empty() && !Waits(id, process)))
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
      return scheduler_.WorkerReady(id, 0);
    }
    if (!process.recalled.empty()) return GiveBack(id, process);
    const TaskPtr task = process.tasks.front();
    if (std::exchange(process.blocked, false)) scheduler_.WorkerBlocked(id, false);
    while (SubmitsMore(process) && !Waits(id, process)) {
      const TaskId submitted = Submit(task->job, ProcessOf(id), task->depth + 1);
      if (!submitted.IsNil()) process.submitted.push_back(submitted);
    }
    if (Waits(id, process)) {
      process.blocked = true;
      return scheduler_.WorkerBlocked(id, true);
    }
    process.submitted.clear();
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
      } else if (const auto* room = std::get_if<TellRoom>(&decision)) {
        without_room_.erase(room->process);
      } else {
        FAIL() << "decision " << decision.index();
      }
    }
    workers_most_ = std::max(workers_most_, processes_.size());
  }

  const uint32_t depth_;
  ResourceSet inner_;
  size_t children_ = 1;
  std::mt19937_64 random_{7};
  Scheduler scheduler_;
  std::map<WorkerId, Process> processes_;
  std::set<TaskId> live_;
  std::map<JobId, size_t> drivers_;  // how many tasks they have yet to submit
  std::set<ProcessId> without_room_;
  size_t tasks_most_ = 0, waits_for_room_ = 0;
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

// Each task submits more than there is room for, and so do its children, while the driver fills what it can.
TEST(NestedTasksAndRoom, ThoseThatSubmitMoreThanThereIsRoomForGoOn) {
  SchedulerLimits limits;
  limits.tasks_per_job_max = 32;
  NestedWorld world(Units({{kCpu, 2 * kOne}}), limits, 2);
  world.set_children(40);
  world.SubmitFromDriver(20);
  world.Run();
  EXPECT_EQ(world.ended(), 20u + 20 * 40 + 20 * 40 * 40);
  EXPECT_EQ(world.left(), 0u);
  EXPECT_LE(world.tasks_most(), 32u);
  EXPECT_GT(world.waits_for_room(), 1'000u);
}

TEST(NestedTasksAndRoom, ThoseThatSubmitMoreThanThereIsRoomForGoOnInASmallPool) {
  SchedulerLimits limits;
  limits.tasks_per_job_max = 40;
  limits.workers_max = 8;
  NestedWorld world(Units({{kCpu, kOne}}), limits, 3);
  world.set_children(12);
  world.SubmitFromDriver(50);
  world.Run();
  EXPECT_EQ(world.ended(), 50u * (1 + 12 + 144 + 1728));
  EXPECT_LE(world.tasks_most(), 40u);
  EXPECT_LE(world.workers_most(), 8u);
}

class RandomNestedTasks : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomNestedTasks, GoOnWithLittleRoom) {
  std::mt19937 random(GetParam());
  const auto any = [&random](uint32_t least, uint32_t most) {
    return std::uniform_int_distribution<uint32_t>(least, most)(random);
  };
  for (int round = 0; round < 10; ++round) {
    SchedulerLimits limits;
    limits.tasks_per_job_max = any(32, 80);
    limits.workers_max = any(8, 40);
    const uint32_t cpus = any(1, 3), depth = any(1, 5), children = any(1, depth > 3 ? 3 : 6), count = any(5, 40);
    NestedWorld world(Units({{kCpu, cpus * kOne}}), limits, depth);
    world.set_children(children);
    world.SubmitFromDriver(count);
    world.Run();
    size_t expected = 0;
    for (size_t level = 0, tasks = count; level <= depth; ++level, tasks *= children) expected += tasks;
    ASSERT_EQ(world.ended(), expected) << "room " << limits.tasks_per_job_max << ", pool " << limits.workers_max
                                       << ", CPUs " << cpus << ", depth " << depth << ", children " << children;
    EXPECT_LE(world.tasks_most(), limits.tasks_per_job_max);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomNestedTasks, ::testing::Range(1u, 6u));

INSTANTIATE_TEST_SUITE_P(Depths, NestedTasks, ::testing::Values(1, 2, 5),
                         [](const auto& each) { return "Depth" + std::to_string(each.param); });

}  // namespace
}  // namespace raylet
