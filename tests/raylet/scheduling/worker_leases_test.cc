// Who gets a lease of a worker, and what ends it.
#include "raylet/scheduling/worker_leases.h"

#include <gtest/gtest.h>

#include "raylet/scheduling/scheduler.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;
using test::kOne;

constexpr ProcessId kCaller = 100;
constexpr ProcessId kOther = 200;

class WorkerLeasesTest : public ::testing::Test {
 protected:
  TaskPtr Submit(JobId job = 1, ProcessId owner = kCaller, int64_t cpus = kOne) {
    auto task = std::make_shared<Task>();
    task->id = TaskId::FromRandom();
    task->job = job;
    task->owner = owner;
    task->name = task->function = "f";
    task->resources = Cpus(cpus);
    EXPECT_TRUE(scheduler_.Submit(task).has_value());
    Take();
    return task;
  }
  void Ask(ProcessId caller = kCaller, JobId job = 1, uint32_t depth = 0) {
    scheduler_.AskForWorker({caller, ++request_, job, depth, Cpus(kOne)});
    Take();
  }
  void Take() {
    for (const auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) starting_.push_back(start->worker);
      if (const auto* run = std::get_if<RunTask>(&decision)) running_.push_back(*run);
      if (const auto* grant = std::get_if<GrantWorker>(&decision)) granted_.push_back(*grant);
      if (std::holds_alternative<RefuseWorker>(decision)) ++refused_;
      if (const auto* shut = std::get_if<ShutLease>(&decision)) shut_.push_back(shut->lease);
      if (const auto* lost = std::get_if<LoseLease>(&decision)) lost_.push_back(*lost);
    }
  }
  void StartAll() {
    for (; !starting_.empty(); Take()) {
      scheduler_.WorkerReady(starting_.back(), 0);
      starting_.pop_back();
    }
  }
  void FinishAll() {
    while (!running_.empty()) {
      const RunTask run = running_.front();
      running_.erase(running_.begin());
      ASSERT_TRUE(scheduler_.TaskFinished(run.worker, run.task->id, true).has_value());
      Take();
    }
  }
  // Two idle workers of job 1.
  void TwoIdle() {
    Submit();
    Submit();
    StartAll();
    FinishAll();
    ASSERT_EQ(scheduler_.CountWorkers(Scheduler::WorkerState::kIdle), 2u);
  }
  void Tick(uint64_t begun, uint64_t pushed) {
    for (const auto& grant : granted_) scheduler_.SawLease(grant.lease, begun, pushed);
    scheduler_.Tick();
    Take();
  }
  int64_t FreeUnits() const { return scheduler_.ledger().lines().front().free_units; }

  Scheduler scheduler_{Cpus(2 * kOne), SchedulerLimits()};
  std::vector<WorkerId> starting_;
  std::vector<RunTask> running_;
  std::vector<GrantWorker> granted_;
  size_t refused_ = 0;
  std::vector<WorkerLeaseId> shut_;
  std::vector<LoseLease> lost_;
  uint64_t request_ = 0;
};

TEST_F(WorkerLeasesTest, AnIdleWorkerIsLeasedWithItsResourcesUntilItReturns) {
  TwoIdle();
  Ask();
  ASSERT_EQ(granted_.size(), 1u);
  EXPECT_EQ(granted_[0].caller, kCaller);
  EXPECT_EQ(granted_[0].request, 1u);
  EXPECT_EQ(FreeUnits(), kOne);
  EXPECT_EQ(scheduler_.WorkerReturned(granted_[0].worker, 77).error().code, ErrorCode::kProtocolError);
  ASSERT_TRUE(scheduler_.WorkerReturned(granted_[0].worker, granted_[0].lease).has_value());
  EXPECT_EQ(FreeUnits(), 2 * kOne);
  EXPECT_EQ(scheduler_.WorkerReturned(granted_[0].worker, granted_[0].lease).error().code, ErrorCode::kProtocolError);
}

TEST_F(WorkerLeasesTest, AWishWithoutAnIdleWorkerIsRefusedAndStartsOne) {
  Ask();
  EXPECT_EQ(refused_, 1u);
  EXPECT_EQ(starting_.size(), 1u);
  StartAll();
  Ask();
  EXPECT_EQ(granted_.size(), 1u);
}

TEST_F(WorkerLeasesTest, AWishWaitsForItsOwnTasksAsLongAsTheyEnd) {
  TwoIdle();
  Submit();
  Submit();
  Ask();
  EXPECT_EQ(refused_ + granted_.size(), 0u);
  for (int tick = 0; tick < 10; ++tick) {
    Submit();
    Submit();
    const RunTask run = running_.front();
    running_.erase(running_.begin());
    ASSERT_TRUE(scheduler_.TaskFinished(run.worker, run.task->id, true).has_value());
    Tick(0, 0);
    EXPECT_EQ(refused_ + granted_.size(), 0u);
  }
  FinishAll();
  EXPECT_EQ(granted_.size(), 1u);
}

TEST_F(WorkerLeasesTest, AWishBehindLongTasksIsRefusedAfterTwoTicks) {
  TwoIdle();
  Submit();
  Submit();
  Ask();
  Tick(0, 0);
  EXPECT_EQ(refused_, 0u);
  Tick(0, 0);
  EXPECT_EQ(refused_, 1u);
}

TEST_F(WorkerLeasesTest, AWishIsRefusedWhileTasksOfAnotherJobWait) {
  TwoIdle();
  Submit(2, kOther);  // its worker is being started
  Ask();
  EXPECT_EQ(refused_, 1u);
}

TEST_F(WorkerLeasesTest, ATaskThatNeedsTheirResourcesEndsAllLeases) {
  TwoIdle();
  Ask();
  Ask();
  ASSERT_EQ(granted_.size(), 2u);
  const TaskPtr task = Submit(2, kOther);
  ASSERT_EQ(shut_.size(), 2u);
  for (const auto& grant : granted_) ASSERT_TRUE(scheduler_.WorkerReturned(grant.worker, grant.lease).has_value());
  Take();
  StartAll();
  ASSERT_EQ(running_.size(), 1u);
  EXPECT_EQ(running_[0].task, task);
}

TEST_F(WorkerLeasesTest, ATaskThatGainsNothingFromThemEndsNoLease) {
  TwoIdle();
  Ask();
  Submit(1, kCaller, 3 * kOne);  // more than the machine has
  Submit(2, kOther);             // finds a CPU, and waits for its worker alone
  EXPECT_TRUE(shut_.empty());
}

TEST_F(WorkerLeasesTest, CallsBehindALongOneEndTheLeaseAfterTwoTicks) {
  TwoIdle();
  Ask();
  Tick(1, 5);
  Tick(2, 5);
  Tick(2, 5);
  EXPECT_TRUE(shut_.empty());
  Tick(2, 5);
  EXPECT_EQ(shut_.size(), 1u);
}

TEST_F(WorkerLeasesTest, FarMoreCallsThanBeganLatelyEndTheLease) {
  TwoIdle();
  Ask();
  Tick(1000, 1000);
  Tick(2000, 2000);
  Tick(2005, 3000);  // longer tasks come
  EXPECT_TRUE(shut_.empty());
  Tick(2010, 3000);
  EXPECT_EQ(shut_.size(), 1u);
}

TEST_F(WorkerLeasesTest, ALeaseWithoutCallsEndsAfterFourTicks) {
  TwoIdle();
  Ask();
  Tick(5, 5);
  for (int tick = 0; tick < 3; ++tick) Tick(5, 5);
  EXPECT_TRUE(shut_.empty());
  Tick(5, 5);
  EXPECT_EQ(shut_.size(), 1u);
  EXPECT_FALSE(scheduler_.leases().WantsTick());
}

TEST_F(WorkerLeasesTest, ABlockedWorkerGivesItsCpuAwayAndItsLeaseIsShut) {
  TwoIdle();
  Ask();
  scheduler_.WorkerBlocked(granted_[0].worker, true);
  Take();
  EXPECT_EQ(shut_.size(), 1u);
  EXPECT_EQ(FreeUnits(), 2 * kOne);
  scheduler_.WorkerBlocked(granted_[0].worker, false);
  EXPECT_EQ(FreeUnits(), kOne);
  ASSERT_TRUE(scheduler_.WorkerReturned(granted_[0].worker, granted_[0].lease).has_value());
  EXPECT_EQ(FreeUnits(), 2 * kOne);
}

TEST_F(WorkerLeasesTest, ADeadWorkersLeaseIsToldAsLost) {
  TwoIdle();
  Ask();
  scheduler_.WorkerGone(granted_[0].worker);
  Take();
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].caller, kCaller);
  EXPECT_EQ(FreeUnits(), 2 * kOne);
  EXPECT_EQ(scheduler_.leases().open(), 0u);
}

TEST_F(WorkerLeasesTest, ACallersEndEndsItsWorkersAndItsWishes) {
  TwoIdle();
  Ask();
  Submit();
  Ask();  // waits for that task
  EXPECT_EQ(scheduler_.leases().wishes(), 1u);
  const auto killed = scheduler_.OwnersGone({kCaller});
  EXPECT_NE(std::find(killed.begin(), killed.end(), granted_[0].worker), killed.end());
  EXPECT_EQ(scheduler_.leases().wishes(), 0u);
  // It gets no more work, although it returns the lease before it dies.
  ASSERT_TRUE(scheduler_.WorkerReturned(granted_[0].worker, granted_[0].lease).has_value());
  EXPECT_EQ(scheduler_.workers().at(granted_[0].worker).state, Scheduler::WorkerState::kStopping);
}

TEST_F(WorkerLeasesTest, ACallerThatIsBehindHasNoLease) {
  TwoIdle();
  Ask();
  scheduler_.OwnerBehind(kCaller, true);
  Take();
  EXPECT_EQ(shut_.size(), 1u);
  Ask();
  EXPECT_EQ(refused_, 1u);
  scheduler_.OwnerBehind(kCaller, false);
  Ask();
  EXPECT_EQ(granted_.size(), 2u);
}

TEST_F(WorkerLeasesTest, OneProcessHasNoMoreThan64OpenWishes) {
  TwoIdle();
  Submit();
  Submit();
  for (size_t i = 0; i < WorkerLeases::kWishesPerProcessMax; ++i) Ask();
  EXPECT_EQ(refused_, 0u);
  Ask();
  EXPECT_EQ(refused_, 1u);
}

}  // namespace
}  // namespace raylet
