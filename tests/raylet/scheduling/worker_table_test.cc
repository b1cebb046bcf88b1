// How processes are started for several jobs.
#include <gtest/gtest.h>

#include <map>

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
    scheduler_.WorkerReady(started_[2][i]);
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
  scheduler_.WorkerReady(started_[2][0]);
  Take();
  EXPECT_EQ(started_[1].size(), 9u);
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
        scheduler.WorkerReady(start->worker);
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
