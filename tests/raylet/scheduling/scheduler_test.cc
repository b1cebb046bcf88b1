#include "raylet/scheduling/scheduler.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;

constexpr JobId kJob = 1;
constexpr ProcessId kOwnerBase = 100;

std::shared_ptr<Task> MakeTask(JobId job = kJob, int64_t cpu_units = kUnitsPerWhole) {
  auto task = std::make_shared<Task>();
  task->id = TaskId::FromRandom();
  task->job = job;
  task->owner = kOwnerBase + job;
  task->name = task->function = "f";
  task->resources = Cpus(cpu_units);
  return task;
}

std::shared_ptr<Task> MakeActor() {
  auto task = MakeTask(kJob, 0);
  task->actor = ActorSettings{};
  task->actor->id = ActorId::FromRandom();
  return task;
}

// A scheduler whose decisions are sorted by kind.
struct Bench {
  explicit Bench(int64_t cpus = 2, SchedulerLimits limits = {}) : scheduler(Cpus(cpus * kUnitsPerWhole), limits) {}

  void Submit(const TaskPtr& task) {
    ASSERT_TRUE(scheduler.Submit(task).has_value());
    Take();
  }
  void Take() {
    started.clear();
    ran.clear();
    stopped.clear();
    watched.clear();
    unwatched.clear();
    lost.clear();
    room.clear();
    for (auto& decision : scheduler.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) started.push_back(*start);
      if (const auto* run = std::get_if<RunTask>(&decision)) ran.push_back(*run);
      if (const auto* stop = std::get_if<StopWorker>(&decision)) stopped.push_back(stop->worker);
      if (const auto* watch = std::get_if<WatchObjects>(&decision)) watched = watch->objects;
      if (const auto* unwatch = std::get_if<UnwatchObjects>(&decision)) unwatched = unwatch->objects;
      if (const auto* lose = std::get_if<LoseTask>(&decision)) lost.push_back(*lose);
      if (const auto* tell = std::get_if<TellRoom>(&decision)) room.push_back(tell->process);
    }
  }
  void Ready(WorkerId worker) {
    scheduler.WorkerReady(worker, 0);
    Take();
  }
  void Finish(const RunTask& run, bool succeeded = true) {
    ASSERT_TRUE(scheduler.TaskFinished(run.worker, run.task->id, succeeded).has_value());
    Take();
  }
  void Gone(WorkerId worker, bool may_start = true) {
    scheduler.WorkerGone(worker, may_start);
    Take();
  }
  int64_t free_cpu() const { return scheduler.ledger().lines()[0].free_units; }

  Scheduler scheduler;
  std::vector<StartWorker> started;
  std::vector<RunTask> ran;
  std::vector<WorkerId> stopped;
  std::vector<ObjectId> watched, unwatched;
  std::vector<LoseTask> lost;
  std::vector<ProcessId> room;
};

TEST(Scheduler, StartsAWorkerForATaskAndRunsItThere) {
  Bench bench;
  const auto task = MakeTask();
  bench.Submit(task);
  ASSERT_EQ(bench.started.size(), 1u);
  EXPECT_TRUE(bench.ran.empty());
  bench.Ready(bench.started[0].worker);
  ASSERT_EQ(bench.ran.size(), 1u);
  EXPECT_EQ(bench.ran[0].task, task);
  EXPECT_EQ(bench.free_cpu(), kUnitsPerWhole);
  bench.Finish(bench.ran[0]);
  EXPECT_EQ(bench.free_cpu(), 2 * kUnitsPerWhole);
  EXPECT_EQ(bench.scheduler.tasks(), 0u);
}

TEST(Scheduler, StartsNoMoreWorkersThanCpus) {
  Bench bench(2);
  size_t started = 0;
  for (int i = 0; i < 10; ++i) {
    bench.Submit(MakeTask());
    started += bench.started.size();
  }
  EXPECT_EQ(started, 2u);
}

TEST(Scheduler, RunsTasksOfOneShapeInOrder) {
  Bench bench(1);
  std::vector<TaskPtr> tasks;
  WorkerId worker = 0;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(MakeTask());
    bench.Submit(tasks.back());
    if (!bench.started.empty()) worker = bench.started[0].worker;
  }
  bench.Ready(worker);
  for (const TaskPtr& task : tasks) {
    ASSERT_EQ(bench.ran.size(), 1u);
    const RunTask run = bench.ran[0];
    EXPECT_EQ(run.task, task);
    bench.Finish(run);
  }
}

TEST(Scheduler, ServesJobsInTurn) {
  Bench bench(2);
  for (const JobId job : {1u, 2u}) {  // a worker of each, idle
    bench.Submit(MakeTask(job));
    bench.Ready(bench.started[0].worker);
    bench.Finish(bench.ran[0]);
  }
  std::vector<RunTask> runs;
  for (const JobId job : {1u, 1u, 1u, 2u, 2u}) {
    bench.Submit(MakeTask(job, 2 * kUnitsPerWhole));  // one at a time
    runs.insert(runs.end(), bench.ran.begin(), bench.ran.end());
  }
  std::vector<JobId> order;
  while (!runs.empty()) {
    const RunTask run = runs.back();
    order.push_back(run.task->job);
    bench.Finish(run);
    runs = bench.ran;
  }
  EXPECT_EQ(order, (std::vector<JobId>{1, 2, 1, 2, 1}));
}

TEST(Scheduler, BlockedWorkerGivesItsCpuAndTakesItBackAnyway) {
  Bench bench(1);
  bench.Submit(MakeTask());
  bench.Ready(bench.started[0].worker);
  const RunTask outer = bench.ran[0];
  bench.Submit(MakeTask());
  EXPECT_TRUE(bench.started.empty());
  bench.scheduler.WorkerBlocked(outer.worker, true);
  bench.Take();
  ASSERT_EQ(bench.started.size(), 1u);
  bench.Ready(bench.started[0].worker);
  ASSERT_EQ(bench.ran.size(), 1u);
  const RunTask inner = bench.ran[0];
  EXPECT_EQ(bench.free_cpu(), 0);
  bench.scheduler.WorkerBlocked(outer.worker, false);
  bench.Take();
  EXPECT_EQ(bench.free_cpu(), -kUnitsPerWhole);
  bench.Submit(MakeTask());
  EXPECT_TRUE(bench.ran.empty());
  bench.Finish(inner);
  EXPECT_TRUE(bench.ran.empty());
  bench.Finish(outer);
  EXPECT_EQ(bench.ran.size(), 1u);
}

TEST(Scheduler, RetriesATaskOfADeadWorkerBeforeYoungerOnes) {
  Bench bench(1);
  auto task = MakeTask();
  task->max_retries = 1;
  bench.Submit(task);
  bench.Ready(bench.started[0].worker);
  const RunTask run = bench.ran[0];
  bench.Submit(MakeTask());
  bench.Gone(run.worker);
  EXPECT_TRUE(bench.lost.empty());
  ASSERT_EQ(bench.started.size(), 1u);
  bench.Ready(bench.started[0].worker);
  ASSERT_EQ(bench.ran.size(), 1u);
  EXPECT_EQ(bench.ran[0].task, task);
  bench.Gone(bench.ran[0].worker);
  ASSERT_EQ(bench.lost.size(), 1u);
  EXPECT_EQ(bench.lost[0].task, task);
  EXPECT_EQ(bench.lost[0].attempts, 2u);
}

TEST(Scheduler, FailsReadyTasksWhenNoWorkerStartsThreeTimesInARow) {
  Bench bench(1);
  bench.Submit(MakeTask());
  for (int attempt = 0; attempt < 3; ++attempt) {
    ASSERT_EQ(bench.started.size(), 1u);
    EXPECT_TRUE(bench.lost.empty());
    bench.Gone(bench.started[0].worker);
  }
  ASSERT_EQ(bench.lost.size(), 1u);
  EXPECT_EQ(bench.lost[0].why, LoseTask::Why::kNoWorkerStarts);
  EXPECT_TRUE(bench.started.empty());
  bench.Submit(MakeTask());
  EXPECT_EQ(bench.started.size(), 1u);  // a new one is tried again
}

TEST(Scheduler, StartsWorkersAgainWhileThereIsNoStoreForThem) {
  Bench bench(1);
  bench.Submit(MakeTask());
  for (int attempt = 0; attempt < 10; ++attempt) {
    ASSERT_EQ(bench.started.size(), 1u);
    bench.Gone(bench.started[0].worker, /*may_start=*/false);
    EXPECT_TRUE(bench.lost.empty());
  }
  for (int attempt = 0; attempt < 3; ++attempt) {
    ASSERT_EQ(bench.started.size(), 1u);
    EXPECT_TRUE(bench.lost.empty());
    bench.Gone(bench.started[0].worker);
  }
  EXPECT_EQ(bench.lost.size(), 1u);
}

TEST(Scheduler, ActorKeepsItsWorkerAndResources) {
  Bench bench(1);
  const auto actor = MakeActor();
  actor->resources = Cpus(kUnitsPerWhole);
  bench.Submit(actor);
  bench.Ready(bench.started[0].worker);
  const RunTask run = bench.ran[0];
  bench.Finish(run);
  EXPECT_EQ(bench.free_cpu(), 0);
  bench.Submit(MakeTask());
  EXPECT_TRUE(bench.ran.empty());
  EXPECT_TRUE(bench.started.empty());
  bench.Gone(run.worker);
  EXPECT_EQ(bench.free_cpu(), kUnitsPerWhole);
  EXPECT_EQ(bench.started.size(), 1u);
}

TEST(Scheduler, StopsAWorkerWhoseConstructorFailed) {
  Bench bench;
  bench.Submit(MakeActor());
  bench.Ready(bench.started[0].worker);
  bench.Finish(bench.ran[0], false);
  ASSERT_EQ(bench.stopped.size(), 1u);
}

TEST(Scheduler, ActorsWithoutCpuStartHoweverFewCpusThereAre) {
  SchedulerLimits limits;
  limits.starting_max = 100;
  Bench bench(1, limits);
  for (int i = 0; i < 5; ++i) bench.Submit(MakeActor());
  EXPECT_EQ(bench.scheduler.CountWorkers(Scheduler::WorkerState::kStarting), 5u);
}

TEST(Scheduler, PoolIsBoundedAndSaysSo) {
  SchedulerLimits limits;
  limits.workers_max = 2;
  Bench bench(8, limits);
  for (int i = 0; i < 4; ++i) bench.Submit(MakeActor());
  bench.Ready(1);
  bench.Ready(2);
  EXPECT_EQ(bench.scheduler.workers().size(), 2u);
  const auto& shapes = bench.scheduler.queue().shapes(kJob);
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(bench.scheduler.WhyWaiting(*shapes[0]), "the pool is full with 2 workers (2 of actors, 0 blocked, 0 idle)");
}

TEST(Scheduler, AReasonWithOneWorkerIsInTheSingular) {
  SchedulerLimits limits;
  limits.workers_max = 1;
  Bench bench(8, limits);
  bench.Submit(MakeActor());
  bench.Submit(MakeActor());
  const auto& shapes = bench.scheduler.queue().shapes(kJob);
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(bench.scheduler.WhyWaiting(*shapes[0]), "the pool is full with 1 worker (0 of actors, 0 blocked, 0 idle)");
  Bench larger(8);
  larger.Submit(MakeActor());
  ASSERT_EQ(larger.scheduler.queue().shapes(kJob).size(), 1u);
  EXPECT_EQ(larger.scheduler.WhyWaiting(*larger.scheduler.queue().shapes(kJob)[0]), "they wait for 1 worker to start");
}

TEST(Scheduler, IdleWorkerOfAnotherJobMakesRoomInAFullPool) {
  SchedulerLimits limits;
  limits.workers_max = 1;
  Bench bench(1, limits);
  bench.Submit(MakeTask(1));
  bench.Ready(1);
  bench.Finish(bench.ran[0]);
  bench.Submit(MakeTask(2));
  ASSERT_EQ(bench.stopped.size(), 1u);
  bench.Gone(bench.stopped[0]);
  ASSERT_EQ(bench.started.size(), 1u);
  EXPECT_EQ(bench.started[0].group.job, 2u);
}

TEST(Scheduler, WaitsForObjectsAndThenForTheOlderTask) {
  Bench bench(1);
  const ObjectId object = ObjectId::FromRandom();
  const auto task = MakeTask();
  task->wait_for = {object};
  bench.Submit(task);
  EXPECT_EQ(bench.watched, std::vector{object});
  EXPECT_TRUE(bench.started.empty());
  bench.scheduler.ObjectSealed(object);
  bench.Take();
  EXPECT_EQ(bench.started.size(), 1u);
}

TEST(Scheduler, UnwatchesTheObjectsOfACancelledTask) {
  Bench bench(1);
  const ObjectId shared = ObjectId::FromRandom(), own = ObjectId::FromRandom();
  const auto cancelled = MakeTask(), other = MakeTask();
  cancelled->wait_for = {shared, own};
  other->wait_for = {shared};
  bench.Submit(cancelled);
  bench.Submit(other);
  EXPECT_TRUE(bench.scheduler.Cancel(cancelled->id));
  bench.Take();
  EXPECT_EQ(bench.unwatched, std::vector{own});
}

TEST(Scheduler, OwnersDeathDropsItsTasksAndThoseThatWaitForItsObjects) {
  Bench bench(1);
  std::atomic<uint64_t> counter{1};
  const auto waiting = MakeTask(2);
  waiting->wait_for = {NewObjectId(kOwnerBase + 1, counter)};
  bench.Submit(waiting);
  auto running = MakeTask(1);
  running->max_retries = -1;
  bench.Submit(running);
  bench.Ready(bench.started[0].worker);
  const RunTask run = bench.ran[0];
  bench.Submit(MakeTask(1));
  EXPECT_EQ(bench.scheduler.OwnerGone(kOwnerBase + 1), std::vector{run.worker});
  bench.Take();
  ASSERT_EQ(bench.lost.size(), 1u);
  EXPECT_EQ(bench.lost[0].why, LoseTask::Why::kObjectLost);
  EXPECT_EQ(bench.lost[0].task, waiting);
  EXPECT_EQ(bench.scheduler.tasks(), 1u);
  bench.Gone(run.worker);  // for ever would be too long: nobody wants it
  EXPECT_EQ(bench.scheduler.tasks(), 0u);
  bench.scheduler.JobGone(1);
}

TEST(Scheduler, StartsAndRunsNothingForAJobThatHasEnded) {
  Bench bench(2);
  const auto outer = MakeTask();
  outer->max_retries = 3;
  bench.Submit(outer);
  bench.Ready(bench.started[0].worker);
  const RunTask run = bench.ran[0];
  const auto nested = MakeTask();
  nested->owner = kOwnerBase + 50;  // the worker's process
  bench.Submit(nested);
  ASSERT_EQ(bench.started.size(), 1u);
  const WorkerId starting = bench.started[0].worker;
  EXPECT_EQ(bench.scheduler.JobEnded(kJob, {}, /*for_good=*/true), (std::vector{run.worker, starting}));
  bench.Take();
  EXPECT_TRUE(bench.started.empty());
  EXPECT_EQ(bench.scheduler.tasks(), 1u);  // what runs goes with its worker
  EXPECT_EQ(bench.scheduler.Submit(MakeTask()).error().code, ErrorCode::kNotRunning);
  bench.Ready(starting);  // it was on its way
  EXPECT_TRUE(bench.ran.empty());
  bench.Gone(starting);
  bench.Gone(run.worker);
  EXPECT_TRUE(bench.started.empty());
  EXPECT_EQ(bench.scheduler.tasks(), 0u);
  bench.scheduler.JobGone(kJob);
}

TEST(Scheduler, WorkThatOutlivesItsDriverGoesOn) {
  Bench bench(4);
  const auto detached = MakeActor();
  detached->actor->detached = true;
  bench.Submit(detached);
  bench.Ready(bench.started[0].worker);
  const WorkerId host = bench.ran[0].worker;
  bench.Finish(bench.ran[0]);
  constexpr ProcessId kHost = kOwnerBase + 50;
  const auto its_task = MakeTask();
  its_task->owner = kHost;
  bench.Submit(its_task);
  bench.Ready(bench.started[0].worker);
  const WorkerId its_worker = bench.ran[0].worker;
  bench.Submit(MakeTask());
  bench.Ready(bench.started[0].worker);
  const WorkerId drivers_worker = bench.ran[0].worker;
  EXPECT_TRUE(Scheduler::Outlives(bench.scheduler.workers().at(host), {}));
  EXPECT_FALSE(Scheduler::Outlives(bench.scheduler.workers().at(its_worker), {}));
  EXPECT_TRUE(Scheduler::Outlives(bench.scheduler.workers().at(its_worker), {kHost}));
  EXPECT_EQ(bench.scheduler.JobEnded(kJob, {kHost}, /*for_good=*/false), std::vector{drivers_worker});
  bench.Gone(drivers_worker);
  EXPECT_EQ(bench.scheduler.tasks(), 1u);
  const auto another = MakeTask();
  another->owner = kHost;
  bench.Submit(another);
  EXPECT_EQ(bench.started.size(), 1u);
}

TEST(Scheduler, RefusesATaskThatItKnows) {
  Bench bench;
  const auto task = MakeTask();
  bench.Submit(task);
  EXPECT_EQ(bench.scheduler.Submit(task).error().code, ErrorCode::kAlreadyExists);
}

TEST(Scheduler, TellsWhoFoundNoRoomForATaskOnceOneHasEnded) {
  SchedulerLimits limits;
  limits.tasks_per_job_max = 32;
  Bench bench(1, limits);
  bench.Submit(MakeTask());
  bench.Ready(bench.started[0].worker);
  const RunTask first = bench.ran[0];
  while (bench.scheduler.AskForRoom(*MakeTask())) bench.Submit(MakeTask());
  EXPECT_EQ(bench.scheduler.tasks(), 17u);
  EXPECT_TRUE(bench.scheduler.AskForRoom(*MakeTask(2))) << "another program has room of its own";
  const auto nested = MakeTask();
  nested->depth = 1;
  EXPECT_TRUE(bench.scheduler.AskForRoom(*nested));
  EXPECT_TRUE(bench.scheduler.AskForRoom(*MakeActor()));
  const auto elsewhere = MakeTask();
  elsewhere->from = NodeId::FromRandom();
  EXPECT_TRUE(bench.scheduler.AskForRoom(*elsewhere)) << "the machine that sends it found room";
  bench.Finish(first);
  EXPECT_EQ(bench.room, std::vector{kOwnerBase + kJob});
}

TEST(Scheduler, TellsNobodyOfRoomWhoHasEnded) {
  SchedulerLimits limits;
  limits.tasks_per_job_max = 32;
  Bench bench(1, limits);
  while (bench.scheduler.AskForRoom(*MakeTask())) bench.Submit(MakeTask());
  bench.scheduler.OwnerGone(kOwnerBase + kJob);
  bench.Take();
  EXPECT_TRUE(bench.room.empty());
  EXPECT_TRUE(bench.scheduler.AskForRoom(*MakeTask()));
}

TEST(Scheduler, RefusesCreationsOfActorsPastTheirBytesAndNamesTheBound) {
  SchedulerLimits limits;
  limits.task_bytes_per_job_max = 100'000;
  Bench bench(1, limits);
  const auto large = [] {
    auto actor = MakeActor();
    actor->body.resize(60'000);
    return actor;
  };
  const auto first = large();
  bench.Submit(first);
  const auto refused = bench.scheduler.Submit(large());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_NE(refused.error().message.find("put large arguments into the store"), std::string::npos)
      << refused.error().message;
  ASSERT_TRUE(bench.scheduler.Cancel(first->id));
  bench.Submit(large());
}

TEST(Scheduler, RefusesAResultForATaskThatTheWorkerWasNotGiven) {
  Bench bench;
  bench.Submit(MakeTask());
  bench.Ready(bench.started[0].worker);
  const auto finished = bench.scheduler.TaskFinished(bench.ran[0].worker, TaskId::FromRandom(), true);
  EXPECT_EQ(finished.error().code, ErrorCode::kProtocolError);
}

TEST(Scheduler, CancelsOneOfManyTasksWithoutLookingAtTheOthers) {
  Scheduler scheduler(Cpus(kUnitsPerWhole), {});
  std::vector<TaskId> tasks;
  for (int i = 0; i < 100'000; ++i) {
    const auto task = MakeTask();
    tasks.push_back(task->id);
    ASSERT_TRUE(scheduler.Submit(task).has_value());
  }
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < tasks.size(); i += 2) ASSERT_TRUE(scheduler.Cancel(tasks[i]));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  EXPECT_EQ(scheduler.queue().size(), tasks.size() / 2);
}

}  // namespace
}  // namespace raylet
