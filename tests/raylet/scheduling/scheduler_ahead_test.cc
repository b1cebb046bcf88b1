// Work that is sent before there is room for it, and that comes back from behind long tasks.
#include <gtest/gtest.h>

#include <deque>

#include "raylet/scheduling/scheduler.h"
#include "tests/raylet/scheduling/cluster_view_fixture.h"
#include "tests/raylet/scheduling/no_places.h"

namespace raylet {
namespace {

using namespace test;

std::shared_ptr<Task> TaskOf(JobId job = 1, const char* resources = R"({"CPU": 1})") {
  auto task = std::make_shared<Task>();
  task->id = TaskId::FromRandom();
  task->job = job;
  task->owner = kOwner;
  task->name = task->function = "f";
  task->resources = *ParseResources(resources);
  task->max_retries = 3;
  return task;
}

class SchedulerAhead : public ::testing::Test {
 protected:
  void Submit(int count, JobId job = 1, const char* resources = R"({"CPU": 1})") {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(scheduler_.Submit(TaskOf(job, resources)).has_value());
    Take();
  }
  void Take() {
    for (const auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) starting_.push_back(start->worker);
      if (const auto* run = std::get_if<RunTask>(&decision)) given_.push_back(*run);
      if (const auto* recall = std::get_if<RecallFromWorker>(&decision)) recalls_.push_back(*recall);
      if (const auto* kill = std::get_if<KillWorker>(&decision)) killed_.push_back(kill->worker);
      if (const auto* forward = std::get_if<ForwardTask>(&decision)) forwarded_.push_back(forward->task);
      if (const auto* recall = std::get_if<RecallForwarded>(&decision)) recalled_nodes_.push_back(recall->node);
      if (const auto* back = std::get_if<ReturnRecalled>(&decision)) returned_.push_back(*back);
      if (const auto* lost = std::get_if<LoseTask>(&decision)) lost_.push_back(*lost);
    }
  }
  void StartWorkers() {
    while (!starting_.empty()) {
      scheduler_.WorkerReady(starting_.front(), 0);
      starting_.pop_front();
      Take();
    }
  }
  void FinishHere(size_t count) {
    for (; count > 0; --count) {
      const RunTask run = given_.front();
      given_.pop_front();
      ASSERT_TRUE(scheduler_.TaskFinished(run.worker, run.task->id, true).has_value());
      Take();
    }
  }
  void FinishThere(size_t count) {
    for (; count > 0; --count) {
      ASSERT_NE(scheduler_.ForwardedFinished(kB, forwarded_.front()->id, true), nullptr);
      forwarded_.pop_front();
      Take();
    }
  }
  void Tick(int times = 1) {
    for (; times > 0; --times) {
      scheduler_.Tick();
      Take();
    }
  }
  size_t Ahead() const {
    size_t ahead = 0;
    for (const auto& [id, worker] : scheduler_.workers()) ahead += worker.ahead.size();
    return ahead;
  }
  // One worker that has ended five tasks in each of two ticks, and runs another.
  void WithAQuickWorker(int tasks) {
    Submit(tasks);
    StartWorkers();
    for (int tick = 0; tick < 2; ++tick) {
      FinishHere(5);
      EXPECT_TRUE(scheduler_.WantsTick());
      Tick();
    }
  }
  void JoinB(int cpus) {
    scheduler_.JoinCluster(view_, places_);
    view_.Up(kB, 1, MachineNumber{2}, "10.0.0.2:7000", {});
    NodeLoad load;
    load.lines.push_back({kCpu, cpus * kUnitsPerWhole, cpus * kUnitsPerWhole});
    load.lines.push_back({"there", kUnitsPerWhole, kUnitsPerWhole});
    view_.Heard(kB, load, {});
    scheduler_.ClusterChanged();
    Take();
  }
  // Ten tasks there in each of two ticks.
  void WithAQuickMachine(int tasks) {
    JoinB(2);
    Submit(tasks, 1, R"({"CPU": 1, "there": 0.0001})");
    for (int tick = 0; tick < 2; ++tick) {
      FinishThere(10);
      Tick();
    }
  }

  ClusterView view_{NodeNumber(1)};
  NoPlaces places_;
  Scheduler scheduler_{*ParseResources(R"({"CPU": 1})"), SchedulerLimits()};
  std::deque<WorkerId> starting_;
  std::deque<RunTask> given_;  // in order, and not ended
  std::vector<RecallFromWorker> recalls_;
  std::vector<WorkerId> killed_;
  std::deque<TaskPtr> forwarded_;
  std::vector<NodeId> recalled_nodes_;
  std::vector<ReturnRecalled> returned_;
  std::vector<LoseTask> lost_;
};

TEST_F(SchedulerAhead, AWorkerGetsAheadWhatItEndsInTwoTicks) {
  WithAQuickWorker(100);
  EXPECT_EQ(Ahead(), 10u);
  EXPECT_EQ(given_.size(), 11u);
  EXPECT_FALSE(given_.front().ahead);
  FinishHere(11);
  EXPECT_EQ(Ahead(), 10u);  // others have followed
}

TEST_F(SchedulerAhead, ACancelledTaskThatAWorkerGivesBackIsLost) {
  WithAQuickWorker(100);
  const WorkerId worker = given_.front().worker;
  const TaskId cancelled = given_[3].task->id;
  const auto place = scheduler_.PlaceOf(cancelled);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->worker, worker);
  EXPECT_FALSE(scheduler_.Cancel(cancelled)) << "the worker may have begun it";
  scheduler_.MarkCancelled(cancelled);
  Tick(3);
  ASSERT_EQ(recalls_.size(), 1u);
  ASSERT_TRUE(scheduler_.WorkerGaveBack(worker, recalls_[0].tasks));
  Take();
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].why, LoseTask::Why::kCancelled);
  EXPECT_EQ(lost_[0].task->id, cancelled);
  EXPECT_FALSE(scheduler_.PlaceOf(cancelled));
}

TEST_F(SchedulerAhead, ACancelledTaskIsNotRetriedAfterItsWorker) {
  Submit(1);
  StartWorkers();
  const RunTask run = given_.front();
  scheduler_.MarkCancelled(run.task->id);
  scheduler_.WorkerGone(run.worker);
  Take();
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].why, LoseTask::Why::kWorkerDied);
}

TEST_F(SchedulerAhead, ACancelledTaskThatAnotherMachineGivesBackIsLost) {
  WithAQuickMachine(100);
  const TaskId cancelled = forwarded_.back()->id;
  scheduler_.MarkCancelled(cancelled);
  std::vector<TaskId> all;
  for (const TaskPtr& task : forwarded_) all.push_back(task->id);
  scheduler_.NodeGaveBack(kB, all);
  Take();
  ASSERT_EQ(lost_.size(), 1u);
  EXPECT_EQ(lost_[0].why, LoseTask::Why::kCancelled);
  EXPECT_EQ(lost_[0].task->id, cancelled);
}

TEST_F(SchedulerAhead, LongTasksAreNotSentAhead) {
  Submit(100);
  StartWorkers();
  for (int i = 0; i < 20; ++i) {
    FinishHere(1);
    Tick(2);
    EXPECT_EQ(Ahead(), 0u);
  }
  EXPECT_FALSE(scheduler_.WantsTick());
}

TEST_F(SchedulerAhead, TasksBehindALongTaskComeBackWithinThreeTicks) {
  WithAQuickWorker(100);
  const WorkerId worker = given_.front().worker;
  EXPECT_TRUE(scheduler_.WantsTick());
  Tick(3);
  ASSERT_EQ(recalls_.size(), 1u);
  EXPECT_EQ(recalls_[0].tasks.size(), 10u);
  EXPECT_FALSE(scheduler_.WantsTick());
  // It had begun the first of them when it was asked.
  FinishHere(1);
  std::vector<TaskId> back(recalls_[0].tasks.begin() + 1, recalls_[0].tasks.end());
  EXPECT_FALSE(scheduler_.WorkerGaveBack(worker, {}).has_value());
  ASSERT_TRUE(scheduler_.WorkerGaveBack(worker, back).has_value());
  given_.clear();
  Take();
  EXPECT_EQ(Ahead(), 0u);
  // They are the next ones.
  scheduler_.WorkerGone(worker);
  Take();
  StartWorkers();
  EXPECT_EQ(given_.front().task->id, recalls_[0].tasks[0]);  // a retry
  FinishHere(1);
  EXPECT_EQ(given_.front().task->id, recalls_[0].tasks[1]);
}

TEST_F(SchedulerAhead, AWorkerThatWaitsGivesBackWhatIsAheadAndGetsNoMore) {
  WithAQuickWorker(100);
  scheduler_.WorkerBlocked(given_.front().worker, true);
  Take();
  ASSERT_EQ(recalls_.size(), 1u);
  ASSERT_TRUE(scheduler_.WorkerGaveBack(given_.front().worker, recalls_[0].tasks).has_value());
  Take();
  EXPECT_EQ(Ahead(), 0u);
  ASSERT_EQ(starting_.size(), 1u);  // it lends its CPU
}

TEST_F(SchedulerAhead, AnOwnerThatIsBehindGetsNothingStartedUntilItHasCaughtUp) {
  WithAQuickWorker(100);
  const WorkerId worker = given_.front().worker;
  scheduler_.OwnerBehind(kOwner, true);
  Take();
  ASSERT_EQ(recalls_.size(), 1u);
  EXPECT_EQ(recalls_[0].tasks.size(), 10u);
  given_.resize(1);
  ASSERT_TRUE(scheduler_.WorkerGaveBack(worker, recalls_[0].tasks).has_value());
  FinishHere(1);
  Submit(5);
  Tick();
  EXPECT_TRUE(given_.empty());
  EXPECT_EQ(scheduler_.queue().size(), 0u);
  EXPECT_EQ(scheduler_.queue().held_tasks(), 94u);
  EXPECT_EQ(scheduler_.CountWorkers(Scheduler::WorkerState::kIdle), 1u);
  scheduler_.OwnerBehind(kOwner, false);
  Take();
  ASSERT_FALSE(given_.empty());
  EXPECT_EQ(given_.front().task->id, recalls_[0].tasks[0]) << "the oldest is the first one again";
  EXPECT_EQ(scheduler_.queue().held_tasks(), 0u);
  while (!given_.empty()) FinishHere(1);
  EXPECT_EQ(scheduler_.tasks(), 0u);
}

TEST_F(SchedulerAhead, TasksOfOtherOwnersAndCreationsOfActorsGoOnWhileAnOwnerIsBehind) {
  scheduler_.OwnerBehind(kOwner, true);
  Submit(3);
  const auto of_another = TaskOf();
  of_another->owner = kOwner + 1;
  const auto creation = TaskOf();
  creation->actor = ActorSettings();
  creation->actor->id = ActorId::FromRandom();
  ASSERT_TRUE(scheduler_.Submit(of_another).has_value());
  ASSERT_TRUE(scheduler_.Submit(creation).has_value());
  Take();
  StartWorkers();
  ASSERT_EQ(given_.size(), 1u);
  EXPECT_EQ(given_[0].task->id, of_another->id);
  FinishHere(1);
  StartWorkers();
  ASSERT_EQ(given_.size(), 1u);
  EXPECT_EQ(given_[0].task->id, creation->id);
  EXPECT_EQ(scheduler_.queue().held_tasks(), 3u);
}

TEST_F(SchedulerAhead, TasksOfAnOwnerThatEndsWhileItIsBehindGo) {
  scheduler_.OwnerBehind(kOwner, true);
  Submit(3);
  EXPECT_EQ(scheduler_.tasks(), 3u);
  EXPECT_TRUE(scheduler_.OwnerGone(kOwner).empty());
  EXPECT_EQ(scheduler_.tasks(), 0u);
  EXPECT_EQ(scheduler_.queue().held_tasks(), 0u);
  EXPECT_TRUE(scheduler_.queue().held().empty());
}

TEST_F(SchedulerAhead, TasksAheadAtAMachineComeBackWhileTheirOwnerIsBehind) {
  WithAQuickMachine(100);
  ASSERT_FALSE(forwarded_.empty());
  scheduler_.OwnerBehind(kOwner, true);
  Take();
  ASSERT_EQ(recalled_nodes_, std::vector<NodeId>{kB});
  std::vector<TaskId> back;
  for (const TaskPtr& task : forwarded_) back.push_back(task->id);
  forwarded_.clear();
  scheduler_.NodeGaveBack(kB, back);
  Tick();
  EXPECT_TRUE(forwarded_.empty());
  EXPECT_EQ(scheduler_.queue().held_tasks(), 80u);
  scheduler_.OwnerBehind(kOwner, false);
  Take();
  EXPECT_FALSE(forwarded_.empty());
  EXPECT_EQ(forwarded_.front()->id, back.front());
}

TEST_F(SchedulerAhead, AWorkerGetsAheadAtMostSoManyBytes) {
  for (int i = 0; i < 40; ++i) {
    const auto task = TaskOf();
    task->body.resize(size_t{1} << 20);
    ASSERT_TRUE(scheduler_.Submit(task).has_value());
  }
  Take();
  StartWorkers();
  for (int tick = 0; tick < 2; ++tick) {
    FinishHere(10);
    Tick();
  }
  EXPECT_EQ(Ahead(), 8u);
  FinishHere(3);
  EXPECT_EQ(Ahead(), 8u);
}

TEST_F(SchedulerAhead, AMachineGetsAheadAtMostSoManyBytes) {
  JoinB(2);
  for (int i = 0; i < 200; ++i) {
    const auto task = TaskOf(1, R"({"CPU": 1, "there": 0.0001})");
    task->body.resize(size_t{4} << 20);
    ASSERT_TRUE(scheduler_.Submit(task).has_value());
  }
  Take();
  for (int tick = 0; tick < 2; ++tick) {
    FinishThere(20);
    Tick();
  }
  // 64 MiB ahead, and what fits.
  EXPECT_GE(forwarded_.size(), 16u);
  EXPECT_LE(forwarded_.size(), 18u);
  FinishThere(10);
  EXPECT_LE(forwarded_.size(), 18u);
}

TEST_F(SchedulerAhead, TaskGivenBackJustBeforeItsTurnWasNotBegun) {
  WithAQuickWorker(100);
  const RunTask running = given_.front();
  Tick(3);
  ASSERT_EQ(recalls_.size(), 1u);
  // The worker answers, and ends its task before the answer comes.
  FinishHere(1);
  ASSERT_TRUE(scheduler_.WorkerGaveBack(running.worker, recalls_[0].tasks).has_value());
  given_.clear();
  Take();
  ASSERT_EQ(given_.size(), 1u);  // the worker was idle, and the oldest task is the next one
  EXPECT_EQ(given_[0].task->id, recalls_[0].tasks[0]);
  EXPECT_FALSE(given_[0].ahead);
  EXPECT_EQ(scheduler_.tasks(), 89u);
}

TEST_F(SchedulerAhead, TasksAreNotSentAheadOfAnotherJobsTurn) {
  WithAQuickWorker(20);
  FinishHere(5);
  Submit(5, 2);
  const size_t ahead = Ahead();
  FinishHere(ahead);
  EXPECT_EQ(Ahead(), 0u);
}

// Older tasks that can never run here do not take the place of tasks that can, and do not hold them up.
TEST_F(SchedulerAhead, InfeasibleTaskIsNotSentAheadAndHoldsUpNoOther) {
  const char* const never[] = {R"({"CPU": 1, "none": 1})", R"({"CPU": 2})", R"({"none": 1})"};
  for (const char* const resources : never) Submit(20, 1, resources);
  Submit(20, 2, R"({"CPU": 1, "none": 1})");
  WithAQuickWorker(40);
  EXPECT_EQ(Ahead(), 10u);
  for (size_t left = 30; left > 0; --left) {
    ASSERT_FALSE(given_.empty()) << left << " tasks wait for no turn";
    EXPECT_EQ(given_.front().task->resources.ToString(), "CPU 1");
    FinishHere(1);
    if (left % 5 == 0) Tick();
  }
  EXPECT_TRUE(given_.empty());
  EXPECT_EQ(scheduler_.queue().size(), 80u);
}

TEST_F(SchedulerAhead, AWorkerThatHoldsNothingGetsNoTaskThatAsksForWhatNobodyHas) {
  Submit(20, 1, R"({"none": 1})");
  Submit(30, 1, "{}");
  StartWorkers();
  for (int tick = 0; tick < 2; ++tick) {
    FinishHere(5);
    Tick();
  }
  EXPECT_EQ(Ahead(), 10u);
  while (!given_.empty()) FinishHere(1);
  EXPECT_EQ(scheduler_.queue().size(), 20u);
}

TEST_F(SchedulerAhead, ADeadWorkersTasksAheadLoseNoRetry) {
  WithAQuickWorker(100);
  const RunTask running = given_.front();
  given_.clear();
  const size_t tasks = scheduler_.tasks();
  for (int death = 0; death < 3; ++death) {  // as often as the one that runs may be retried
    scheduler_.WorkerGone(scheduler_.workers().begin()->first);
    Take();
    StartWorkers();
  }
  EXPECT_EQ(scheduler_.tasks(), tasks);
  EXPECT_EQ(given_.back().task, running.task);
}

TEST_F(SchedulerAhead, AnOwnersDeathTakesBackItsTasksAheadAndEndsThoseThatHaveBegun) {
  WithAQuickWorker(20);
  const auto running = scheduler_.OwnerGone(kOwner);
  Take();
  ASSERT_EQ(running, std::vector<WorkerId>{given_.front().worker});
  ASSERT_EQ(recalls_.size(), 1u);
  FinishHere(1);
  EXPECT_EQ(killed_, running);  // it has begun the next one
  ASSERT_TRUE(
      scheduler_.WorkerGaveBack(running[0], std::vector<TaskId>(recalls_[0].tasks.begin() + 1, recalls_[0].tasks.end()))
          .has_value());
  scheduler_.WorkerGone(running[0]);
  Take();
  EXPECT_EQ(scheduler_.tasks(), 0u);
}

TEST_F(SchedulerAhead, MachineGetsAheadWhatItEndsInTwoTicksAndGivesItBackWhenItStalls) {
  WithAQuickMachine(100);
  EXPECT_EQ(forwarded_.size(), 20u);
  Tick(3);
  ASSERT_EQ(recalled_nodes_, std::vector<NodeId>{kB});
  std::vector<TaskId> back;
  while (forwarded_.size() > 2) {
    back.push_back(forwarded_.back()->id);
    forwarded_.pop_back();
  }
  scheduler_.NodeGaveBack(kB, back);
  Take();
  EXPECT_EQ(view_.Find(kB)->in_flight_tasks, 2u);
  EXPECT_EQ(scheduler_.queue().size(), 78u);
  FinishThere(1);
  EXPECT_EQ(forwarded_.back()->id, back.back());  // the oldest
}

TEST_F(SchedulerAhead, AMachineThatNoLongerHasAResourceGetsNothingMoreThatAsksForIt) {
  WithAQuickMachine(100);
  WithAQuickWorker(40);
  NodeLoad load;
  load.lines.push_back({kCpu, 2 * kUnitsPerWhole, 0});
  view_.Heard(kB, load, {});
  scheduler_.ClusterChanged();
  Take();
  const size_t there = forwarded_.size();
  FinishThere(there);
  while (!given_.empty()) {
    EXPECT_EQ(given_.front().task->resources.ToString(), "CPU 1");
    FinishHere(1);
  }
  for (const TaskPtr& task : forwarded_) EXPECT_EQ(task->resources.ToString(), "CPU 1");
}

TEST_F(SchedulerAhead, TaskWithoutRetriesGoesOnlyWhereThereIsRoom) {
  WithAQuickMachine(22);
  FinishThere(forwarded_.size());
  for (int i = 0; i < 10; ++i) {
    auto task = TaskOf(1, R"({"CPU": 1, "there": 0.0001})");
    task->max_retries = 0;
    ASSERT_TRUE(scheduler_.Submit(task).has_value());
  }
  Take();
  EXPECT_EQ(forwarded_.size(), 2u);
}

TEST_F(SchedulerAhead, TasksAheadAtADeadMachineRunElsewhere) {
  WithAQuickMachine(100);
  view_.Dead(kB);
  EXPECT_TRUE(scheduler_.MachineLost(kB).empty());
  Take();
  EXPECT_EQ(scheduler_.queue().size(), 80u);
}

TEST_F(SchedulerAhead, AMachineReturnsTasksThatDoNotRunYetAlsoFromBehindAWorkersTask) {
  for (int i = 0; i < 40; ++i) {
    auto task = TaskOf();
    task->from = kB;
    ASSERT_TRUE(scheduler_.Submit(task).has_value());
  }
  Take();
  StartWorkers();
  for (int tick = 0; tick < 2; ++tick) {
    FinishHere(5);
    Tick();
  }
  ASSERT_EQ(Ahead(), 10u);
  scheduler_.RecalledBy(kB);
  Take();
  ASSERT_EQ(returned_.size(), 1u);
  EXPECT_EQ(returned_[0].tasks.size(), 19u);
  ASSERT_EQ(recalls_.size(), 1u);
  ASSERT_TRUE(scheduler_.WorkerGaveBack(given_.front().worker, recalls_[0].tasks).has_value());
  Take();
  ASSERT_EQ(returned_.size(), 2u);
  EXPECT_EQ(returned_[1].tasks.size(), 10u);
  EXPECT_EQ(scheduler_.tasks(), 1u);
}

}  // namespace
}  // namespace raylet
