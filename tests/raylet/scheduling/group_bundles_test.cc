// Bundles that a machine reserves, and tasks, actors and leases in them.
#include "raylet/scheduling/group_bundles.h"

#include <gtest/gtest.h>

#include "raylet/scheduling/scheduler.h"
#include "tests/harness/node_number.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;
using test::kOne;
using test::NodeNumber;

const PlacementGroupId kTheGroup = PlacementGroupId::FromRandom();
const NodeId kHome = NodeNumber(1);

TEST(GroupBundles, AllBundlesArePreparedOrNone) {
  ResourceLedger ledger(Cpus(3 * kOne));
  GroupBundles bundles(ledger);
  EXPECT_FALSE(bundles.Prepare(kTheGroup, 1, kHome, {{0, Cpus(2 * kOne)}, {1, Cpus(2 * kOne)}}));
  EXPECT_EQ(ledger.lines()[0].free_units, 3 * kOne);
  EXPECT_FALSE(bundles.Has(kTheGroup));
  EXPECT_TRUE(bundles.Prepare(kTheGroup, 2, kHome, {{0, Cpus(2 * kOne)}, {1, Cpus(kOne)}}));
  EXPECT_EQ(ledger.lines()[0].free_units, 0);
}

TEST(GroupBundles, MessagesThatComeTwiceChangeNothing) {
  ResourceLedger ledger(Cpus(4 * kOne));
  GroupBundles bundles(ledger);
  const std::vector<Bundle> wanted = {{0, Cpus(2 * kOne)}};
  EXPECT_TRUE(bundles.Prepare(kTheGroup, 1, kHome, wanted));
  EXPECT_TRUE(bundles.Prepare(kTheGroup, 1, kHome, wanted));
  EXPECT_EQ(ledger.lines()[0].free_units, 2 * kOne);
  EXPECT_TRUE(bundles.Commit(kTheGroup, 1));
  EXPECT_TRUE(bundles.Commit(kTheGroup, 1));
  EXPECT_TRUE(ledger.Resolve(WithinGroup(Cpus(2 * kOne), kTheGroup, 0)));
  EXPECT_FALSE(ledger.Resolve(WithinGroup(Cpus(3 * kOne), kTheGroup, 0)));  // not twice as much
  bundles.Cancel(kTheGroup, 1);                                             // it is committed
  EXPECT_TRUE(bundles.Has(kTheGroup));
  bundles.Close(kTheGroup);
  bundles.Close(kTheGroup);
  EXPECT_EQ(ledger.lines()[0].free_units, 4 * kOne);
  EXPECT_FALSE(bundles.Commit(kTheGroup, 1));
}

TEST(GroupBundles, AClosedGroupGivesBackWhatItHasOnceNobodyHoldsIt) {
  ResourceLedger ledger(Cpus(2 * kOne));
  GroupBundles bundles(ledger);
  ASSERT_TRUE(bundles.Prepare(kTheGroup, 1, kHome, {{0, Cpus(2 * kOne)}}));
  ASSERT_TRUE(bundles.Commit(kTheGroup, 1));
  const auto held = *ledger.Resolve(WithinGroup(Cpus(kOne), kTheGroup, 0));
  ledger.Take(held);
  bundles.Close(kTheGroup);
  EXPECT_EQ(ledger.lines()[0].free_units, 0);
  EXPECT_FALSE(ledger.Resolve(WithinGroup(Cpus(kOne), kTheGroup, 0)));  // nothing begins any more
  ledger.Give(held);
  bundles.Collect();
  EXPECT_EQ(ledger.lines()[0].free_units, 2 * kOne);
  EXPECT_FALSE(bundles.Has(kTheGroup));
}

class GroupTasksTest : public ::testing::Test {
 protected:
  void Reserve(const std::vector<Bundle>& bundles) {
    scheduler_.PrepareBundles({kHome, kTheGroup, 1, bundles}, TimePoint());
    ASSERT_TRUE(scheduler_.TakeBundleAnswers().at(0).prepared);
    ASSERT_TRUE(scheduler_.CommitBundles(kTheGroup, 1));
    Take();
  }
  TaskPtr Submit(int32_t bundle, int64_t cpus = kOne) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = 1;
    task->owner = 100;
    task->max_retries = 3;
    task->resources = bundle < -1 ? Cpus(cpus) : WithinGroup(Cpus(cpus), kTheGroup, bundle);
    if (bundle >= -1) task->placement_group = kTheGroup;
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    Take();
    return task;
  }
  void Take() {
    for (const auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) started_.push_back(start->worker);
      if (const auto* run = std::get_if<RunTask>(&decision)) running_.push_back(*run);
      if (const auto* lost = std::get_if<LoseTask>(&decision)) lost_.push_back(*lost);
    }
    while (!started_.empty()) {
      const WorkerId worker = started_.back();
      started_.pop_back();
      scheduler_.WorkerReady(worker, 0);
      Take();
    }
  }
  static constexpr int32_t kOutside = -2;

  Scheduler scheduler_{Cpus(3 * kOne), SchedulerLimits()};
  std::vector<WorkerId> started_;
  std::vector<RunTask> running_;
  std::vector<LoseTask> lost_;
};

TEST_F(GroupTasksTest, TasksUseTheirBundleAndOthersTheRest) {
  Reserve({{0, Cpus(kOne)}, {1, Cpus(kOne)}});
  Submit(0);
  Submit(0);
  EXPECT_EQ(running_.size(), 1u);
  Submit(kOutside);
  Submit(kOutside);
  EXPECT_EQ(running_.size(), 2u);
  Submit(kAnyBundle);
  EXPECT_EQ(running_.size(), 3u);
  Submit(kAnyBundle);
  EXPECT_EQ(running_.size(), 3u);  // all is taken
}

TEST_F(GroupTasksTest, TasksThatComeBeforeTheirBundleRunOnceItIsThere) {
  Submit(0);
  EXPECT_TRUE(running_.empty());
  Reserve({{0, Cpus(kOne)}});
  EXPECT_EQ(running_.size(), 1u);
}

TEST_F(GroupTasksTest, TheEndOfAGroupLosesItsTasksAndFreesItsResourcesWithItsWorkers) {
  Reserve({{0, Cpus(2 * kOne)}});
  const auto running = Submit(0, 2 * kOne);
  Submit(0);
  const auto outside = Submit(kOutside);
  ASSERT_EQ(running_.size(), 2u);
  const auto workers = scheduler_.EndGroup(kTheGroup);
  Take();
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_EQ(workers[0], running_[0].worker);
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].why, LoseTask::Why::kGroupRemoved);
  EXPECT_EQ(scheduler_.ledger().lines()[0].free_units, 0);
  scheduler_.WorkerGone(workers[0]);
  Take();
  ASSERT_EQ(lost_.size(), 2u);  // not retried
  EXPECT_EQ(lost_[1].task->id, running->id);
  EXPECT_EQ(lost_[1].why, LoseTask::Why::kGroupRemoved);
  EXPECT_EQ(scheduler_.ledger().lines()[0].free_units, 2 * kOne);
  EXPECT_FALSE(scheduler_.bundles().Has(kTheGroup));
  EXPECT_EQ(running_.back().task->id, outside->id);
}

TEST_F(GroupTasksTest, ABlockedTaskLendsTheCpuOfItsBundleToTheBundleAlone) {
  Reserve({{0, Cpus(kOne)}});
  Submit(0);
  ASSERT_EQ(running_.size(), 1u);
  Submit(0);
  scheduler_.WorkerBlocked(running_[0].worker, true);
  Take();
  EXPECT_EQ(running_.size(), 2u);
  EXPECT_EQ(scheduler_.ledger().lines()[0].free_units, 2 * kOne);
}

TEST_F(GroupTasksTest, ALeaseInABundleHoldsTheBundlesResources) {
  Reserve({{0, Cpus(kOne)}});
  const auto task = Submit(0);
  ASSERT_TRUE(scheduler_.TaskFinished(running_[0].worker, task->id, true).has_value());
  scheduler_.AskForWorker({100, 1, 1, 0, WithinGroup(Cpus(kOne), kTheGroup, 0), {}, kTheGroup});
  std::vector<GrantWorker> granted;
  for (const auto& decision : scheduler_.TakeDecisions())
    if (const auto* grant = std::get_if<GrantWorker>(&decision)) granted.push_back(*grant);
  ASSERT_EQ(granted.size(), 1u);
  Submit(0);
  EXPECT_EQ(running_.size(), 1u);  // the lease has it
  EXPECT_EQ(scheduler_.EndGroup(kTheGroup), std::vector<WorkerId>{granted[0].worker});
}

}  // namespace
}  // namespace raylet
