// When a driver is told that work of its job cannot go on, with a clock of the test's.
#include "raylet/scheduling/stuck_work.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"

namespace raylet {
namespace {

using namespace std::chrono_literals;

constexpr JobId kStuckJob = 1;

class StuckWorkTest : public ::testing::Test {
 protected:
  void Start(const char* resources, size_t workers_max = 256) {
    SchedulerLimits limits;
    limits.workers_max = workers_max;
    limits.starting_max = workers_max;
    scheduler_.emplace(*ParseResources(resources), limits);
  }

  TaskId Submit(const char* resources, bool actor = false, JobId job = kStuckJob) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = job;
    task->resources = *ParseResources(resources);
    if (actor) {
      task->actor.emplace();
      task->actor->id = ActorId::FromRandom();
    }
    EXPECT_TRUE(scheduler_->Submit(task).has_value());
    return task->id;
  }

  // Carries out what the scheduler decided: every worker starts at once.
  void Work() {
    for (bool more = true; more;) {
      more = false;
      for (const auto& decision : scheduler_->TakeDecisions()) {
        if (const auto* start = std::get_if<StartWorker>(&decision)) scheduler_->WorkerReady(start->worker, 0);
        if (const auto* run = std::get_if<RunTask>(&decision)) running_.emplace_back(run->worker, run->task->id);
        more = true;
      }
    }
  }

  // Looks once a second, as the raylet does, and returns all that was told.
  std::vector<std::string> LookFor(int seconds) {
    std::vector<std::string> told;
    for (int i = 0; i < seconds; ++i) {
      for (const auto& notice : stuck_.Look(FindStuckCauses(*scheduler_, view_), clock_.Now()))
        told.push_back(notice.sentence);
      clock_.Advance(1s);
    }
    return told;
  }

  using Told = std::vector<std::string>;
  std::optional<Scheduler> scheduler_;
  ClusterView view_{NodeId::FromRandom()};
  test::ManualClock clock_;
  StuckWork stuck_;
  std::vector<std::pair<WorkerId, TaskId>> running_;
};

TEST_F(StuckWorkTest, AResourceThatNoMachineHasIsToldOnceAfterFiveSeconds) {
  Start(R"({"CPU": 2})");
  for (int i = 0; i < 12; ++i) Submit(R"({"CPU": 1, "none": 2})");
  Work();
  EXPECT_EQ(LookFor(5), Told());
  EXPECT_EQ(LookFor(100),
            Told({R"(12 tasks wait for 2 of the resource "none", which no machine has: start a raylet with )"
                  R"(--resources '{"none": 2}', or take SetResource away)"}));
}

TEST_F(StuckWorkTest, MoreThanAnyMachineHasIsToldWithTheLargestAmount) {
  Start(R"({"CPU": 2})");
  Submit(R"({"CPU": 3})");
  Submit(R"({"CPU": 8})", /*actor=*/true);
  Work();
  EXPECT_EQ(LookFor(10), Told({R"(1 task and 1 actor wait for up to 8 of the resource "CPU", and no machine has more )"
                               R"(than 2: start a raylet with --num-cpus 8, or ask for less with SetResource)"}));
}

TEST_F(StuckWorkTest, ResourcesThatNoMachineHasTogetherAreTold) {
  Start(R"({"CPU": 2, "gpu": 1})");
  NodeLoad load;
  load.lines = {{"CPU", 16 * kUnitsPerWhole, 0, 0}};
  const NodeId other = NodeId::FromRandom();
  view_.Up(other, 1, MachineNumber{2}, "10.0.0.2:7000", clock_.Now());
  view_.Heard(other, load, clock_.Now());
  Submit(R"({"CPU": 4, "gpu": 1})");
  Work();
  EXPECT_EQ(LookFor(10), Told({"1 task waits for CPU 4, gpu 1, which no machine has together: start a raylet with all "
                               "of it, or ask for less with SetResource"}));
}

TEST_F(StuckWorkTest, AResourceOfAnotherMachineIsNoCause) {
  Start(R"({"CPU": 2})");
  NodeLoad load;
  load.lines = {{"gpu", kUnitsPerWhole, 0, 0}};
  const NodeId other = NodeId::FromRandom();
  view_.Up(other, 1, MachineNumber{2}, "10.0.0.2:7000", clock_.Now());
  view_.Heard(other, load, clock_.Now());
  Submit(R"({"gpu": 1})");
  Work();
  EXPECT_EQ(LookFor(20), Told());
  view_.Dead(other);
  EXPECT_EQ(LookFor(20).size(), 1u);
}

TEST_F(StuckWorkTest, ResourcesInUseAreNoCause) {
  Start(R"({"CPU": 1})");
  for (int i = 0; i < 3; ++i) Submit(R"({"CPU": 1})");
  Work();
  EXPECT_EQ(running_.size(), 1u);
  EXPECT_EQ(LookFor(60), Told());
}

TEST_F(StuckWorkTest, AFullPoolIsToldOnceWithItsRemedy) {
  Start(R"({"CPU": 2})", 3);
  for (int i = 0; i < 5; ++i) Submit("{}", /*actor=*/true);
  Submit(R"({"CPU": 1})");
  Work();
  EXPECT_EQ(running_.size(), 3u);
  EXPECT_EQ(LookFor(5), Told());
  EXPECT_EQ(LookFor(60), Told({"1 task and 2 actors wait for a worker process, and the pool is full with 3 workers "
                               "(3 of actors, 0 blocked, 0 idle): raise the raylet's --max-workers, or end actors that "
                               "nobody needs"}));
}

TEST_F(StuckWorkTest, APoolThroughWhichTasksPassIsNotTold) {
  Start(R"({"CPU": 8})", 1);
  for (int i = 0; i < 20; ++i) Submit(R"({"CPU": 1})");
  Work();
  for (size_t done = 0; done < 15; ++done) {
    EXPECT_EQ(LookFor(3), Told()) << "after " << done << " tasks";
    const auto [worker, task] = running_.at(done);
    ASSERT_TRUE(scheduler_->TaskFinished(worker, task, true).has_value());
    Work();
  }
}

TEST_F(StuckWorkTest, ACauseIsToldAgainOnlyAfterItHasEnded) {
  Start(R"({"CPU": 2})");
  TaskId task = Submit(R"({"none": 1})");
  EXPECT_EQ(LookFor(10).size(), 1u);
  // A cause that is absent for less than five seconds has not ended.
  ASSERT_TRUE(scheduler_->Cancel(task));
  EXPECT_EQ(LookFor(3), Told());
  task = Submit(R"({"none": 1})");
  EXPECT_EQ(LookFor(30), Told());
  ASSERT_TRUE(scheduler_->Cancel(task));
  EXPECT_EQ(LookFor(10), Told());
  EXPECT_TRUE(stuck_.Empty());
  Submit(R"({"none": 1})");
  EXPECT_EQ(LookFor(30).size(), 1u);
}

TEST_F(StuckWorkTest, EachJobIsToldOfItsOwnTasks) {
  Start(R"({"CPU": 2})");
  Submit(R"({"none": 1})", false, 1);
  Submit(R"({"none": 1})", false, 2);
  LookFor(5);
  std::vector<JobId> jobs;
  for (const auto& notice : stuck_.Look(FindStuckCauses(*scheduler_, view_), clock_.Now())) jobs.push_back(notice.job);
  EXPECT_EQ(jobs, (std::vector<JobId>{1, 2}));
}

TEST_F(StuckWorkTest, AJobHasABoundedNumberOfCauses) {
  Start(R"({"CPU": 2})");
  for (int i = 0; i < 100; ++i) Submit(("{\"none" + std::to_string(i) + "\": 1}").c_str());
  EXPECT_EQ(LookFor(30).size(), kStuckCausesMax);
  EXPECT_EQ(stuck_.size(), kStuckCausesMax);
}

}  // namespace
}  // namespace raylet
