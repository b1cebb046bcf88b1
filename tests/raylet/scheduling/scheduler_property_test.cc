// Random lives of a scheduler. In all of them no task is lost, and none ends or is started twice. Tasks sent ahead to
// busy workers run in order or come back. A task runs only with all that it asks for, and no resource is given twice;
// tasks that ask for more than the machine has never run. No task of an owner that is behind begins. No worker whose
// process owns a task is stopped for being idle. No task of an owner that has ended begins, although they go one by
// one.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "raylet/scheduling/scheduler.h"
#include "tests/harness/seeded_id.h"
#include "tests/raylet/scheduling/cpus.h"
#include "tests/raylet/scheduling/random_resources.h"

namespace raylet {
namespace {

using test::kOne;

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), scheduler_(total_, Limits()) {}

  void Step() {
    switch (Pick(18)) {
      case 0:
      case 1:
      case 2: Submit(); break;
      case 3:
      case 4:
        WithWorker(starting_, [&](WorkerId worker) {
          starting_.erase(worker);
          idle_.insert(worker);
          scheduler_.WorkerReady(worker, ProcessOf(worker));
        });
        break;
      case 5:
      case 6:
      case 7: FinishOne(); break;
      case 8: Block(Pick(2) == 0); break;
      case 9: KillOne(); break;
      case 10: SealOne(); break;
      case 11:
        if (Pick(20) == 0) OwnerDies();
        break;
      case 12:
        if (Pick(3) == 0) Rush();
        break;
      case 13: AnswerRecall(); break;
      case 14:
        if (Pick(3) == 0) scheduler_.Tick();
        break;
      case 15: FallBehindOrCatchUp(); break;
      case 16:
      case 17: WorkOff(); break;
    }
    Settle();
  }

  // Everything that can still end, ends.
  void Drain() {
    CancelWhatCanNeverRun();
    while (!behind_.empty()) CatchUp(*behind_.begin());
    for (int i = 0; i < 100'000 && (!live_.empty() || !busy_.empty()); ++i) {
      while (!objects_.empty()) SealOne();
      Settle();
      for (const WorkerId worker : std::set<WorkerId>(starting_)) {
        starting_.erase(worker);
        idle_.insert(worker);
        scheduler_.WorkerReady(worker, ProcessOf(worker));
      }
      Settle();
      for (const WorkerId worker : std::set<WorkerId>(stopping_)) Die(worker);
      if (!actors_.empty()) Die(actors_.begin()->first);
      FinishOne();
      AnswerRecall();
      WorkOff();
      Settle();
    }
    orphans_.clear();
    while (!scheduler_.workers().empty()) Die(scheduler_.workers().begin()->first);
    while (scheduler_.HasMore()) WorkOff();
    EXPECT_TRUE(live_.empty()) << live_.size() << " tasks never ended";
    EXPECT_EQ(scheduler_.tasks(), 0u);
    for (const auto& line : scheduler_.ledger().lines()) EXPECT_EQ(line.free_units, line.total_units) << line.name;
  }

  size_t ahead() const { return ahead_; }
  size_t given_back() const { return given_back_; }
  size_t cancelled() const { return cancelled_; }
  size_t parts() const { return parts_; }

 private:
  static SchedulerLimits Limits() {
    SchedulerLimits limits;
    limits.workers_max = 12;
    limits.tasks_per_turn = 1;  // so that other events come in between
    return limits;
  }
  size_t Pick(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  template <class Use>
  void WithWorker(const std::set<WorkerId>& workers, Use use) {
    if (!workers.empty()) use(*std::next(workers.begin(), static_cast<std::ptrdiff_t>(Pick(workers.size()))));
  }

  void Submit() {
    auto task = std::make_shared<Task>();
    task->id = test::SeededId<TaskId>(ids_);
    task->job = static_cast<JobId>(1 + Pick(jobs_));
    task->owner = DriverOf(task->job);
    if (Pick(3) == 0 && !busy_.empty()) {  // a task submits another one
      const WorkerId worker = std::next(busy_.begin(), static_cast<std::ptrdiff_t>(Pick(busy_.size())))->first;
      task->job = scheduler_.workers().at(worker).job;
      task->owner = ProcessOf(worker);
    }
    task->resources = Request();
    task->max_retries = static_cast<int32_t>(Pick(3));
    if (Pick(10) == 0) {
      task->actor = ActorSettings{};
      task->actor->id = test::SeededId<ActorId>(ids_);
      task->max_retries = 0;
    }
    if (Pick(4) == 0) {
      task->wait_for.push_back(test::SeededId<ObjectId>(ids_));
      objects_.insert(task->wait_for.back());
    }
    ASSERT_TRUE(scheduler_.Submit(task).has_value());
    live_[task->id] = task;
  }

  // One in four asks for more than there is, or for what nobody has.
  ResourceSet Request() {
    ResourceSet request;
    if (alike_)
      request.Accumulate(kCpu, kOne);
    else
      request = test::RandomResources(random_, {{kCpu, {0, kOne / 4, kOne, kOne, 2 * kOne}},
                                                {"disk", {0, 0, kOne / 2}},
                                                {kGpu, {0, 0, 0, kOne / 2, 6 * kOne / 10, kOne}}});
    if (Pick(4) != 0) return request;
    const char* const more[] = {kCpu, "disk", kGpu, "tape"};
    request.Accumulate(more[Pick(4)], 8 * kOne);
    return request;
  }

  void CancelWhatCanNeverRun() {
    std::erase_if(live_, [&](const auto& entry) {
      if (test::Meets(total_, entry.second->resources)) return false;
      EXPECT_TRUE(scheduler_.Cancel(entry.first)) << "it runs, or was sent to a worker";
      ++cancelled_;
      return true;
    });
  }

  void FinishOne() {
    if (busy_.empty()) return;
    const auto run = std::next(busy_.begin(), static_cast<std::ptrdiff_t>(Pick(busy_.size())));
    const WorkerId worker = run->first;
    const TaskPtr task = run->second.front();
    const bool succeeded = Pick(4) != 0;
    ASSERT_TRUE(scheduler_.TaskFinished(worker, task->id, succeeded).has_value());
    End(task->id);
    // A thread that a constructor has left behind may wait on.
    const bool waits_on = task->CreatesActor() && succeeded;
    if (!waits_on && blocked_.erase(worker) > 0) unblocked_ = true;
    run->second.pop_front();
    if (!run->second.empty()) {
      ASSERT_FALSE(run->second.front()->CreatesActor());
      return;
    }
    busy_.erase(run);
    if (stopping_.contains(worker)) return;
    if (!task->CreatesActor())
      idle_.insert(worker);
    else if (succeeded)
      actors_.emplace(worker, task);
  }

  // Many short tasks, so that work is sent ahead.
  void Rush() {
    for (int times = 0; times < 12; ++times) {
      Submit();
      Submit();
      FinishOne();
      Settle();
      if (times % 4 == 3) scheduler_.Tick();
    }
  }

  // The worker gives back what it was asked for and has not started.
  void AnswerRecall() {
    if (recalls_.empty()) return;
    const auto recall = std::next(recalls_.begin(), static_cast<std::ptrdiff_t>(Pick(recalls_.size())));
    auto& queue = busy_[recall->first];
    std::vector<TaskId> back;
    for (const TaskId& id : recall->second) {
      const auto at = std::find_if(queue.begin(), queue.end(), [&](const TaskPtr& task) { return task->id == id; });
      if (at == queue.end() || at == queue.begin()) continue;
      back.push_back(id);
      queue.erase(at);
    }
    const WorkerId worker = recall->first;
    recalls_.erase(recall);
    // What it ran may end before its answer comes.
    if (!back.empty() && !queue.empty() && !queue.front()->CreatesActor() && Pick(2) == 0) {
      const TaskPtr ended = queue.front();
      queue.pop_front();
      ASSERT_TRUE(scheduler_.TaskFinished(worker, ended->id, true).has_value());
      End(ended->id);
      if (blocked_.erase(worker) > 0) unblocked_ = true;
    }
    if (queue.empty()) {
      busy_.erase(worker);
      if (!stopping_.contains(worker)) idle_.insert(worker);
    }
    ASSERT_TRUE(scheduler_.WorkerGaveBack(worker, back).has_value());
    given_back_ += back.size();
  }

  void Block(bool blocked) {
    if (busy_.empty()) return;
    const WorkerId worker = std::next(busy_.begin(), static_cast<std::ptrdiff_t>(Pick(busy_.size())))->first;
    scheduler_.WorkerBlocked(worker, blocked);
    if (blocked) {
      blocked_.insert(worker);
    } else if (blocked_.erase(worker) > 0) {
      unblocked_ = true;
    }
  }

  void KillOne() {
    std::set<WorkerId> all;
    for (const auto& entry : scheduler_.workers()) all.insert(entry.first);
    WithWorker(all, [&](WorkerId worker) { Die(worker); });
  }

  void Die(WorkerId worker) {
    starting_.erase(worker);
    idle_.erase(worker);
    stopping_.erase(worker);
    actors_.erase(worker);
    busy_.erase(worker);
    recalls_.erase(worker);
    if (blocked_.erase(worker) > 0) unblocked_ = true;
    scheduler_.WorkerGone(worker);
    Settle();  // its own task may be one that its process owns
    EndOwner(ProcessOf(worker));
    Settle();
  }

  void SealOne() {
    if (objects_.empty()) return;
    scheduler_.ObjectSealed(*objects_.begin());
    objects_.erase(objects_.begin());
  }

  void FallBehindOrCatchUp() {
    const ProcessId owner = DriverOf(static_cast<JobId>(1 + Pick(3)));
    if (behind_.contains(owner)) return CatchUp(owner);
    if (Pick(3) != 0) return;
    behind_.insert(owner);
    scheduler_.OwnerBehind(owner, true);
  }

  void CatchUp(ProcessId owner) {
    behind_.erase(owner);
    scheduler_.OwnerBehind(owner, false);
  }

  void OwnerDies() {
    const auto job = static_cast<JobId>(1 + Pick(3));
    const ProcessId owner = DriverOf(job);
    ++lives_[job];
    behind_.erase(owner);
    EndOwner(owner);
  }
  void WorkOff() {
    parts_ += scheduler_.HasMore() ? 1 : 0;
    scheduler_.WorkOff();
  }

  void EndOwner(ProcessId owner) {
    const std::vector<WorkerId> killed = scheduler_.OwnerGone(owner);
    std::erase_if(live_, [&](const auto& entry) {
      // The actor directory decides about actors.
      if (entry.second->owner != owner || entry.second->CreatesActor() || Running(entry.first)) return false;
      if (Ahead(entry.first)) orphans_.insert(entry.first);
      return true;
    });
    for (const WorkerId worker : killed) Die(worker);
  }

  bool Running(const TaskId& id) const {
    for (const auto& run : busy_)
      if (run.second.front()->id == id) return true;
    return false;
  }
  bool Ahead(const TaskId& id) const {
    for (const auto& run : busy_)
      for (const TaskPtr& task : run.second)
        if (task->id == id) return true;
    return false;
  }

  void End(const TaskId& id) {
    if (orphans_.erase(id) > 0) return;
    ASSERT_EQ(live_.erase(id), 1u) << "a task ended twice, or never began";
  }

  void Settle() {
    std::vector<WorkerId> doomed;
    for (const auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) {
        starting_.insert(start->worker);
        if (scheduler_.workers().size() > Limits().workers_max) CheckNoWorkerBecomesFree(start->worker);
      } else if (const auto* run = std::get_if<RunTask>(&decision)) {
        ASSERT_TRUE(test::Meets(total_, run->task->resources))
            << "it never runs here: " << run->task->resources.ToString();
        if (run->ahead) {
          ASSERT_TRUE(busy_.contains(run->worker)) << "work was sent ahead to a worker that runs none";
          ASSERT_FALSE(blocked_.contains(run->worker)) << "work was sent ahead to a worker that waits";
          ASSERT_EQ(busy_[run->worker].back()->resources, run->task->resources) << "it inherits something else";
          ++ahead_;
        } else {
          ASSERT_EQ(idle_.erase(run->worker), 1u) << "a task was given to a worker that is not idle";
        }
        ASSERT_EQ(told_[run->worker], scheduler_.workers().at(run->worker).devices) << "it sees other GPUs";
        ASSERT_TRUE(live_.contains(run->task->id));
        ASSERT_TRUE(run->task->CreatesActor() || !behind_.contains(run->task->owner));
        ASSERT_FALSE(Ahead(run->task->id)) << "a task was given to two workers";
        for (const ObjectId& object : run->task->wait_for) ASSERT_FALSE(objects_.contains(object));
        busy_[run->worker].push_back(run->task);
      } else if (const auto* use = std::get_if<UseDevices>(&decision)) {
        told_[use->worker] = use->devices;
      } else if (const auto* recall = std::get_if<RecallFromWorker>(&decision)) {
        if (!scheduler_.workers().contains(recall->worker)) continue;  // it died meanwhile
        ASSERT_FALSE(recalls_.contains(recall->worker));
        recalls_[recall->worker] = recall->tasks;
      } else if (const auto* kill = std::get_if<KillWorker>(&decision)) {
        doomed.push_back(kill->worker);
      } else if (const auto* stop = std::get_if<StopWorker>(&decision)) {
        const bool was_idle = idle_.erase(stop->worker) > 0;
        ASSERT_FALSE(was_idle && OwesResults(stop->worker)) << "its tasks end with it";
        stopping_.insert(stop->worker);
      } else if (const auto* lost = std::get_if<LoseTask>(&decision)) {
        End(lost->task->id);
      }
    }
    int64_t held = 0;
    for (const auto& [id, worker] : scheduler_.workers())
      if (!worker.blocked) held += worker.held.cpu_units();
    int64_t free = 0;
    for (const auto& line : scheduler_.ledger().lines())
      if (line.name == kCpu) free = line.free_units;
    ASSERT_EQ(held + free, total_.units(kCpu));
    if (free >= 0) unblocked_ = false;
    ASSERT_TRUE(free >= 0 || unblocked_) << "CPUs were given twice, and nobody unblocked";
    CheckWhatRuns();
    CheckDevices();
    ASSERT_LE(scheduler_.workers().size(), 2 * Limits().workers_max);
    for (const WorkerId worker : doomed) Die(worker);
  }

  static ProcessId ProcessOf(WorkerId worker) { return 1'000'000 + worker; }
  // Another process takes its place when it has ended.
  ProcessId DriverOf(JobId job) { return 1'000 * job + lives_[job]; }
  bool OwesResults(WorkerId worker) const {
    return std::any_of(live_.begin(), live_.end(),
                       [&](const auto& entry) { return entry.second->owner == ProcessOf(worker); });
  }
  // Then one more starts than the limit allows.
  void CheckNoWorkerBecomesFree(WorkerId but) const {
    for (const auto& [id, worker] : scheduler_.workers()) {
      if (id == but) continue;
      const bool stays = idle_.contains(id) ? OwesResults(id) : worker.actor || worker.blocked;
      ASSERT_TRUE(stays) << "worker " << id;
    }
  }

  // The tasks that run at one time ask for no more than there is. While an unblocked worker has taken back a CPU that
  // another task got meanwhile, this holds only for the other resources.
  void CheckWhatRuns() const {
    ResourceSet used;
    const auto runs = [&](WorkerId worker, const ResourceSet& resources) {
      for (const auto& amount : resources.amounts())
        if (amount.name != kCpu || (!unblocked_ && !blocked_.contains(worker)))
          used.Accumulate(amount.name, amount.units);
    };
    for (const auto& [worker, tasks] : busy_) runs(worker, tasks.front()->resources);
    for (const auto& [worker, creation] : actors_) runs(worker, creation->resources);
    ASSERT_TRUE(test::Meets(total_, used)) << used.ToString() << " run on " << total_.ToString();
  }

  // A GPU is one holder's alone, or its fractions add up to one at most.
  void CheckDevices() const {
    std::map<uint32_t, int64_t> lent;
    for (const auto& [id, worker] : scheduler_.workers()) {
      const int64_t units = worker.held.device_units();
      const int64_t devices = units == 0 ? 0 : std::max<int64_t>(1, units / kOne);
      ASSERT_EQ(static_cast<int64_t>(worker.devices.size()), devices);
      for (const uint32_t device : worker.devices) lent[device] += std::min(units, kOne);
    }
    for (const auto& [device, units] : lent) {
      ASSERT_LT(device, total_.units(kGpu) / kOne);
      ASSERT_LE(units, kOne) << "GPU " << device << " was given twice";
    }
  }

  std::mt19937_64 random_, ids_{1};
  const size_t jobs_ = 1 + Pick(3);
  const bool alike_ = Pick(2) == 0;  // all tasks ask for the same
  const ResourceSet total_ = test::RandomResources(
      random_, {{kCpu, {0, kOne, 3 * kOne, 3 * kOne}}, {"disk", {0, kOne, 2 * kOne}}, {kGpu, {0, kOne, 2 * kOne}}});
  Scheduler scheduler_;
  std::map<TaskId, TaskPtr> live_;  // submitted, and has not ended
  std::set<ObjectId> objects_;      // not sealed
  std::set<WorkerId> starting_, idle_, stopping_, blocked_;
  std::map<WorkerId, TaskPtr> actors_;            // constructed, by their creations
  std::set<ProcessId> behind_;                    // owners
  std::map<WorkerId, std::deque<TaskPtr>> busy_;  // the first is running, the others are ahead
  std::map<WorkerId, std::vector<TaskId>> recalls_;
  std::map<WorkerId, DeviceIndexes> told_;
  std::set<TaskId> orphans_;  // ahead when their owner died: they come back without a result, or die with their worker
  std::map<JobId, ProcessId> lives_;
  bool unblocked_ = false;
  size_t ahead_ = 0, given_back_ = 0, cancelled_ = 0, parts_ = 0;
};

TEST(SchedulerProperty, EveryTaskEndsExactlyOnceAndRunsOnlyWithItsResources) {
  size_t ahead = 0, given_back = 0, cancelled = 0, parts = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    for (int step = 0; step < 460 && !testing::Test::HasFatalFailure(); ++step) world.Step();
    world.Drain();
    if (testing::Test::HasFailure()) return;
    ahead += world.ahead();
    given_back += world.given_back();
    cancelled += world.cancelled();
    parts += world.parts();
  }
  EXPECT_GT(ahead, 500u);
  EXPECT_GT(given_back, 50u);
  EXPECT_GT(cancelled, 500u);
  EXPECT_GT(parts, 500u);
}

}  // namespace
}  // namespace raylet
