// Bundles that wait here until leased workers give back what they hold.
#include "raylet/scheduling/waiting_bundles.h"

#include <gtest/gtest.h>

#include "raylet/scheduling/scheduler.h"
#include "tests/harness/node_number.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;
using test::kOne;
using test::NodeNumber;
using namespace std::chrono_literals;

const NodeId kHome = NodeNumber(1);

// Three CPUs, of which a leased worker holds one.
class WaitingBundlesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Run();
    scheduler_.AskForWorker({100, 1, 1, 0, Cpus(kOne)});
    for (const auto& decision : scheduler_.TakeDecisions())
      if (const auto* grant = std::get_if<GrantWorker>(&decision)) granted_.push_back(*grant);
    ASSERT_EQ(granted_.size(), 1u);
  }
  // A task that ends at once and leaves an idle worker.
  void Run() {
    auto task = Submit(kOne);
    StartWorkers();
    ASSERT_EQ(running_.size(), 1u);
    ASSERT_TRUE(scheduler_.TaskFinished(running_[0].worker, task->id, true).has_value());
    Take();
  }
  void StartWorkers() {
    while (!started_.empty()) {
      const WorkerId worker = started_.back();
      started_.pop_back();
      scheduler_.WorkerReady(worker, 0);
      Take();
    }
  }
  TaskPtr Submit(int64_t cpus) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = 1;
    task->owner = 100;
    task->resources = Cpus(cpus);
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    Take();
    return task;
  }
  void Take() {
    for (const auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) started_.push_back(start->worker);
      if (const auto* run = std::get_if<RunTask>(&decision)) running_.push_back(*run);
      shut_ += std::holds_alternative<ShutLease>(decision) ? 1 : 0;
    }
  }
  PlacementGroupId Ask(int64_t cpus) {
    const auto group = PlacementGroupId::FromRandom();
    scheduler_.PrepareBundles({kHome, group, 1, {{0, Cpus(cpus)}}}, now_);
    Take();
    return group;
  }
  void ReturnLease() {
    ASSERT_TRUE(scheduler_.WorkerReturned(granted_[0].worker, granted_[0].lease).has_value());
    scheduler_.TryBundles(now_);
    Take();
  }
  // "yes", "no", or nothing: of one answer.
  std::string Answer() {
    const auto answers = scheduler_.TakeBundleAnswers();
    EXPECT_LE(answers.size(), 1u);
    return answers.empty() ? "" : answers[0].prepared ? "yes" : "no";
  }

  TimePoint now_{1h};
  Scheduler scheduler_{Cpus(3 * kOne), SchedulerLimits()};
  std::vector<WorkerId> started_;
  std::vector<RunTask> running_;
  std::vector<GrantWorker> granted_;
  int shut_ = 0;
};

TEST_F(WaitingBundlesTest, BundlesThatFitEndNoLease) {
  Ask(2 * kOne);
  EXPECT_EQ(Answer(), "yes");
  EXPECT_EQ(shut_, 0);
  EXPECT_EQ(scheduler_.leases().Held().units(kCpu), kOne);
}

TEST_F(WaitingBundlesTest, BundlesThatLackWhatLeasedWorkersHoldEndTheLeasesAndGetIt) {
  Ask(3 * kOne);
  EXPECT_EQ(Answer(), "");
  EXPECT_EQ(shut_, 1);
  EXPECT_TRUE(scheduler_.leases().Held().empty());  // for other homes it is no longer to be had
  ReturnLease();
  EXPECT_EQ(Answer(), "yes");
}

TEST_F(WaitingBundlesTest, BundlesAreRefusedWhenATaskTakesWhatWasFreeMeanwhile) {
  Ask(3 * kOne);
  Submit(2 * kOne);
  StartWorkers();
  ASSERT_EQ(running_.size(), 2u);
  ReturnLease();
  EXPECT_EQ(Answer(), "no");
}

TEST_F(WaitingBundlesTest, TheLeasedWorkersResourcesGoToTheBundlesBeforeAnyTask) {
  Ask(3 * kOne);
  EXPECT_EQ(Answer(), "");
  Submit(3 * kOne);
  const size_t ran = running_.size();
  ReturnLease();
  EXPECT_EQ(Answer(), "yes");
  EXPECT_EQ(running_.size(), ran);
  EXPECT_EQ(scheduler_.ledger().lines()[0].free_units, 0);
}

TEST_F(WaitingBundlesTest, BundlesThatLackMoreAreRefusedAtOnce) {
  Ask(4 * kOne);
  EXPECT_EQ(Answer(), "no");
  EXPECT_EQ(shut_, 0);
}

TEST_F(WaitingBundlesTest, ALeaseThatDoesNotComeBackIsWaitedForTwoSeconds) {
  Ask(3 * kOne);
  now_ += WaitingBundles::kWaitMax - 1ms;
  scheduler_.TryBundles(now_);
  EXPECT_EQ(Answer(), "");
  now_ += 1ms;
  scheduler_.TryBundles(now_);
  EXPECT_EQ(Answer(), "no");
  EXPECT_FALSE(scheduler_.BundlesWait());
}

TEST_F(WaitingBundlesTest, ACancelledAttemptAnEndedGroupAndALostHomeWaitNoMore) {
  scheduler_.CancelBundles(Ask(3 * kOne), 1);
  EXPECT_FALSE(scheduler_.BundlesWait());
  scheduler_.EndGroup(Ask(3 * kOne));
  EXPECT_FALSE(scheduler_.BundlesWait());
  Ask(3 * kOne);
  EXPECT_TRUE(scheduler_.BundlesWait());
  scheduler_.MachineLost(kHome);
  EXPECT_FALSE(scheduler_.BundlesWait());
  ReturnLease();
  EXPECT_EQ(Answer(), "");
  EXPECT_EQ(scheduler_.ledger().lines()[0].free_units, 3 * kOne);
}

}  // namespace
}  // namespace raylet
