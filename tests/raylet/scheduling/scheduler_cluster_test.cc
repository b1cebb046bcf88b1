// The scheduler's decisions where there are other machines.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/clock.h"
#include "raylet/scheduling/scheduler.h"
#include "tests/raylet/scheduling/cluster_view_fixture.h"

namespace raylet {
namespace {

using namespace test;

std::shared_ptr<Task> TaskNeeding(const char* resources = R"({"CPU": 1})") {
  auto task = std::make_shared<Task>();
  task->id = TaskId::FromRandom();
  task->job = 1;
  task->owner = kOwner;
  task->name = task->function = "f";
  task->resources = Of(resources);
  return task;
}

ObjectId ObjectOf(ProcessId owner) {
  static std::atomic<uint64_t> next{1};
  return NewObjectId(owner, next);
}

class FakePlaces final : public ObjectPlaces {
 public:
  bool IsHere(const ObjectId& object) const override { return here.contains(object); }
  void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const override {
    if (const auto found = elsewhere.find(object); found != elsewhere.end())
      bytes[found->second.first] += found->second.second;
  }
  std::set<ObjectId> here;
  std::map<ObjectId, std::pair<NodeId, uint64_t>> elsewhere;
};

class SchedulerCluster : public ::testing::Test {
 protected:
  SchedulerCluster() { scheduler_.JoinCluster(view_, places_); }

  void Join(const NodeId& id, NodeLoad load) {
    view_.Up(id, 1, MachineNumber{id.data()[0]}, "10.0.0.2:7000", {});
    view_.Heard(id, std::move(load), {});
    scheduler_.ClusterChanged();
    Take();
  }
  void Submit(const TaskPtr& task) {
    ASSERT_TRUE(scheduler_.Submit(task).has_value());
    Take();
  }
  void Take() {
    for (auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) started_.push_back(start->worker);
      if (const auto* run = std::get_if<RunTask>(&decision)) ran_.push_back(run->task);
      if (const auto* forward = std::get_if<ForwardTask>(&decision)) forwarded_.push_back(*forward);
      if (const auto* cancel = std::get_if<CancelForwarded>(&decision)) cancelled_.push_back(cancel->task);
      if (const auto* watch = std::get_if<WatchObjects>(&decision)) watched_ = watch->objects;
      if (const auto* release = std::get_if<ReleaseArguments>(&decision))
        released_.insert(released_.end(), release->objects.begin(), release->objects.end());
      if (const auto* lose = std::get_if<LoseTask>(&decision)) lost_.push_back(*lose);
    }
  }

  ClusterView view_{kOwn};
  FakePlaces places_;
  Scheduler scheduler_{Of(R"({"CPU": 2})"), SchedulerLimits()};
  std::vector<WorkerId> started_;
  std::vector<TaskPtr> ran_;
  std::vector<ForwardTask> forwarded_;
  std::vector<TaskId> cancelled_;
  std::vector<ObjectId> watched_, released_;
  std::vector<LoseTask> lost_;
};

TEST_F(SchedulerCluster, WorkStaysHereUntilHalfFullThenGoesWhereTheLoadIsLowest) {
  Join(kB, Load(4, 4));
  Join(kC, Load(4, 2));
  for (int i = 0; i < 20; ++i) Submit(TaskNeeding());
  EXPECT_EQ(started_.size(), 2u);  // in the end all of this machine is used
  EXPECT_EQ(std::count_if(forwarded_.begin(), forwarded_.end(), [](const auto& each) { return each.node == kB; }), 4);
  EXPECT_EQ(std::count_if(forwarded_.begin(), forwarded_.end(), [](const auto& each) { return each.node == kC; }), 2);
  EXPECT_EQ(forwarded_[0].node, kB);
  EXPECT_EQ(scheduler_.queue().size(), 14u);  // of which two have a worker that is being started
}

TEST_F(SchedulerCluster, AForwardedTaskEndsOnceAndItsPlaceThereIsFreeAgain) {
  Join(kB, Load(1, 1));
  Submit(TaskNeeding(R"({"CPU": 1})"));
  Submit(TaskNeeding(R"({"CPU": 1})"));
  Submit(TaskNeeding(R"({"CPU": 1})"));
  Submit(TaskNeeding(R"({"CPU": 1})"));
  ASSERT_EQ(forwarded_.size(), 1u);
  const TaskId first = forwarded_[0].task->id;
  EXPECT_EQ(scheduler_.ForwardedFinished(kC, first, true), nullptr);  // not there
  EXPECT_EQ(scheduler_.ForwardedFinished(kB, first, true), forwarded_[0].task);
  EXPECT_EQ(scheduler_.ForwardedFinished(kB, first, true), nullptr);  // once
  Take();
  EXPECT_EQ(forwarded_.size(), 2u);
}

TEST_F(SchedulerCluster, AResourceThatOnlyAnotherMachineHasPinsTheTaskThere) {
  NodeLoad load = Load(1, 1);
  load.lines.push_back({"camera", kUnitsPerWhole, kUnitsPerWhole});
  Submit(TaskNeeding(R"({"camera": 1})"));
  EXPECT_TRUE(started_.empty());
  Join(kB, std::move(load));
  ASSERT_EQ(forwarded_.size(), 1u);
  EXPECT_EQ(forwarded_[0].node, kB);
}

TEST_F(SchedulerCluster, ATaskGoesWhereItsLargeArgumentsLie) {
  Join(kB, Load(4, 1));
  Join(kC, Load(4, 4));
  const auto task = TaskNeeding();
  task->stored_arguments = {ObjectOf(kOwner)};
  places_.elsewhere[task->stored_arguments[0]] = {kB, 100 << 20};
  Submit(task);
  ASSERT_EQ(forwarded_.size(), 1u);
  EXPECT_EQ(forwarded_[0].node, kB);
}

TEST_F(SchedulerCluster, ATaskThatRunsHereWaitsForItsArgumentsFromElsewhere) {
  Join(kB, Load(4, 4));
  const auto task = TaskNeeding();
  task->stored_arguments = {ObjectOf(kOwner)};
  places_.elsewhere[task->stored_arguments[0]] = {kB, 100};
  Submit(task);
  EXPECT_EQ(watched_, task->stored_arguments);
  EXPECT_TRUE(started_.empty());
  places_.here.insert(task->stored_arguments[0]);
  scheduler_.ObjectSealed(task->stored_arguments[0]);
  Take();
  EXPECT_EQ(started_.size(), 1u);
  scheduler_.WorkerReady(started_[0], 0);
  Take();
  ASSERT_EQ(ran_.size(), 1u);
}

TEST_F(SchedulerCluster, ArgumentsAreReleasedOnceTheLastTaskThatWaitedForThemBeginsOrIsDropped) {
  Join(kB, Load(4, 4));
  std::vector<TaskPtr> tasks;
  const ObjectId shared = ObjectOf(kOwner);
  places_.elsewhere[shared] = {kB, 100};
  for (int i = 0; i < 3; ++i) {
    const auto task = TaskNeeding();
    task->stored_arguments = {shared, ObjectOf(kOwner), shared};
    places_.elsewhere[task->stored_arguments[1]] = {kB, 100};
    task->from = kB;  // so that it stays
    Submit(task);
    tasks.push_back(task);
  }
  // One task is dropped while it waits. Objects that only this task waited for are wanted no more.
  EXPECT_TRUE(scheduler_.Cancel(tasks[0]->id));
  Take();
  EXPECT_EQ(released_, std::vector{tasks[0]->stored_arguments[1]});
  // One task is ready and has not begun, so its arguments must be kept.
  for (const ObjectId& object : tasks[1]->stored_arguments) {
    places_.here.insert(object);
    scheduler_.ObjectSealed(object);
  }
  Take();
  ASSERT_EQ(started_.size(), 1u);
  EXPECT_EQ(released_.size(), 1u);
  scheduler_.WorkerReady(started_[0], 0);
  Take();
  ASSERT_EQ(ran_.size(), 1u);
  ASSERT_EQ(released_.size(), 2u);
  EXPECT_EQ(released_[1], tasks[1]->stored_arguments[1]);
  // The machine that sent the last one dies.
  scheduler_.MachineLost(kB);
  Take();
  const std::set<ObjectId> last(released_.begin() + 2, released_.end());
  EXPECT_EQ(last, (std::set<ObjectId>{shared, tasks[2]->stored_arguments[1]}));
}

TEST_F(SchedulerCluster, TasksOfADeadMachineRunElsewhereUntilTheirRetriesAreUsedUp) {
  NodeLoad load = Load(1, 1);
  load.lines.push_back({"camera", kUnitsPerWhole, kUnitsPerWhole});
  Join(kB, load);
  const auto task = TaskNeeding(R"({"camera": 1})");
  task->max_retries = 1;
  Submit(task);
  ASSERT_EQ(forwarded_.size(), 1u);
  view_.Dead(kB);
  EXPECT_TRUE(scheduler_.MachineLost(kB).empty());
  Take();
  ASSERT_EQ(forwarded_.size(), 1u);  // it waits
  Join(kC, load);
  ASSERT_EQ(forwarded_.size(), 2u);
  EXPECT_EQ(forwarded_[1].node, kC);
  EXPECT_EQ(scheduler_.ForwardedFinished(kB, task->id, true), nullptr);  // a late message of the dead machine
  EXPECT_TRUE(lost_.empty());
  view_.Dead(kC);
  EXPECT_TRUE(scheduler_.MachineLost(kC).empty());
  Take();
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].why, LoseTask::Why::kNodeDied);
  EXPECT_EQ(lost_[0].node, kC);
  EXPECT_EQ(lost_[0].attempts, 2u);
}

TEST_F(SchedulerCluster, TasksThatWaitForALostObjectAreLostLaterAndOthersWaitAnew) {
  const ObjectId object = ObjectOf(ProcessIdOf(MachineNumber{kB.data()[0]}, 1));
  const auto submit_waiting = [&] {
    const auto task = TaskNeeding();
    task->wait_for = {object};
    Submit(task);
    return task;
  };
  for (int i = 0; i < 10; ++i) submit_waiting();
  watched_.clear();
  scheduler_.ObjectLost(object, "its machine is lost");
  Take();
  EXPECT_TRUE(lost_.empty());
  const auto anew = submit_waiting();
  EXPECT_EQ(watched_, std::vector{object});
  while (scheduler_.HasMore()) scheduler_.WorkOff();
  Take();
  ASSERT_EQ(lost_.size(), 10u);
  for (const LoseTask& lost : lost_) {
    EXPECT_EQ(lost.why, LoseTask::Why::kObjectLost);
    EXPECT_EQ(lost.reason, "its machine is lost");
    EXPECT_NE(lost.task, anew);
  }
  EXPECT_EQ(scheduler_.tasks(), 1u);
  scheduler_.ObjectSealed(object);
  Take();
  EXPECT_EQ(scheduler_.queue().size(), 1u);
}

TEST_F(SchedulerCluster, ATaskThatIsSubmittedAgainIsNotLostWithItsEarlierWish) {
  const ObjectId object = ObjectOf(ProcessIdOf(MachineNumber{kB.data()[0]}, 1));
  const auto task = TaskNeeding();
  task->wait_for = {object};
  Submit(task);
  scheduler_.ObjectLost(object, "its machine is lost");
  EXPECT_TRUE(scheduler_.Cancel(task->id));
  Submit(task);
  while (scheduler_.HasMore()) scheduler_.WorkOff();
  Take();
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(scheduler_.dependencies().tasks(), 1u);
}

// The loss of a machine that has nothing of ours costs nothing, however many tasks are here.
TEST_F(SchedulerCluster, ALostMachineCostsNoLookAtTheTasksOfOthers) {
  constexpr int kTasks = 20'000;
  Join(kB, Load(1, 0));
  const auto task = TaskNeeding(R"({"absent": 1})");
  for (int i = 0; i < kTasks; ++i) {
    const auto another = std::make_shared<Task>(*task);
    another->id = TaskId::FromRandom();
    ASSERT_TRUE(scheduler_.Submit(another).has_value());
  }
  Take();
  const ThreadCpuClock clock;
  const TimePoint before = clock.Now();
  EXPECT_TRUE(scheduler_.MachineLost(kB).empty());
  EXPECT_LT(clock.Now() - before, std::chrono::milliseconds(1));
  EXPECT_EQ(scheduler_.tasks(), size_t{kTasks});
}

TEST_F(SchedulerCluster, StartsWorkersForPlacedTasksOnly) {
  Join(kB, Load(1, 0));
  const auto wide = TaskNeeding(R"({"CPU": 2})");
  const auto narrow = TaskNeeding();
  narrow->job = 2;
  ASSERT_TRUE(scheduler_.Submit(wide).has_value());
  Submit(narrow);
  ASSERT_EQ(started_.size(), 1u);
  EXPECT_EQ(scheduler_.workers().at(started_[0]).job, 1u);
}

TEST_F(SchedulerCluster, TaskThatNoMachineTakesIsLostInTheEnd) {
  NodeLoad load = Load(1, 1);
  load.lines.push_back({"camera", kUnitsPerWhole, kUnitsPerWhole});
  Join(kB, load);
  Submit(TaskNeeding(R"({"camera": 1})"));
  for (int i = 0; i < 20 && lost_.empty(); ++i) {
    ASSERT_EQ(forwarded_.size(), static_cast<size_t>(i) + 1);
    scheduler_.ForwardedReturned(kB, forwarded_.back().task->id);
    Take();
  }
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].why, LoseTask::Why::kRefused);
  EXPECT_EQ(scheduler_.tasks(), 0u);
}

TEST_F(SchedulerCluster, AnOwnersEndCancelsItsTasksOnOtherMachines) {
  Join(kB, Load(8, 8));
  for (int i = 0; i < 4; ++i) Submit(TaskNeeding());
  ASSERT_FALSE(forwarded_.empty());
  EXPECT_TRUE(scheduler_.OwnerGone(kOwner).empty());
  Take();
  EXPECT_EQ(cancelled_.size(), forwarded_.size());
  EXPECT_EQ(scheduler_.tasks(), 0u);
  EXPECT_EQ(view_.Find(kB)->in_flight_tasks, 0u);
}

TEST_F(SchedulerCluster, TaskFromAnotherMachineRunsHereOrWaitsAndGoesWithItsMachine) {
  Join(kB, Load(8, 8));
  for (int i = 0; i < 3; ++i) {
    const auto task = TaskNeeding();
    task->from = kB;
    task->owner = ProcessIdOf(MachineNumber{kB.data()[0]}, 1);
    Submit(task);
  }
  EXPECT_TRUE(forwarded_.empty());
  ASSERT_EQ(started_.size(), 2u);
  scheduler_.WorkerReady(started_[0], 0);
  Take();
  ASSERT_EQ(ran_.size(), 1u);
  view_.Dead(kB);
  EXPECT_EQ(scheduler_.MachineLost(kB), std::vector<WorkerId>{started_[0]});
  scheduler_.WorkerGone(started_[0]);
  Take();
  EXPECT_EQ(scheduler_.tasks(), 0u);
}

TEST_F(SchedulerCluster, TasksThatAskForNothingDoNotAllLeaveAtOnce) {
  Join(kB, Load(8, 8));
  for (uint64_t i = 0; i < kInFlightPerNodeMax + 500; ++i)
    ASSERT_TRUE(scheduler_.Submit(TaskNeeding("{}")).has_value());
  Take();
  EXPECT_LE(forwarded_.size(), kInFlightPerNodeMax);
}

}  // namespace
}  // namespace raylet
