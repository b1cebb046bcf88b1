// Random lives of leased workers: callers with their TaskKinds, the raylet's Scheduler, workers with a real CallGate,
// and messages that take their time. In all of them each task ends once, and none begins more often than it may. No CPU
// is given twice. Nobody starves, and every lease ends.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "client/ray/cluster/task_kind.h"
#include "fbs/call_gate.h"
#include "raylet/scheduling/scheduler.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/seeded_id.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet::client {
namespace {

constexpr int64_t kCpus = 3;

// A lease's shared memory.
struct SharedChannel {
  CallGate gate;
  std::deque<std::pair<uint64_t, TaskSubmissionPtr>> calls;  // not begun
  std::deque<uint64_t> answers;
  uint64_t pushed = 0;
};

class World {
 public:
  explicit World(uint64_t seed, bool blocks) : random_(seed), blocks_(blocks), scheduler_(Total(), Limits()) {
    for (const ProcessId process : {101, 102, 201}) callers_[process].job = static_cast<JobId>(process / 100);
  }

  // Some 5 ms. For a while one caller submits most, so that it comes to leases.
  void Turn() {
    if (Pick(60) == 0) busiest_ = SomeCaller();
    for (size_t i = Pick(30); i > 0 && open_.size() < 200; --i) Submit(busiest_, Pick(60) == 0);
    if (Pick(30) == 0) Submit(SomeCaller(), false);
    for (size_t i = 20 + Pick(100); i > 0; --i) {
      if (Pick(2) == 0)
        WithWorker([this](WorkerId worker) { Work(worker); });
      else
        Deliver();
    }
    if (blocks_ && Pick(6) == 0) WithWorker([this](WorkerId worker) { BlockOrGoOn(worker); });
    if (Pick(8) == 0) WithWorker([this](WorkerId worker) { Kill(worker); });
    if (Pick(400) == 0) CallerDies(102);
    if (Pick(20) == 0)
      for (int i = 0; i < 6; ++i) Tick();  // nobody does anything: a long task, or a pause
    Tick();
  }

  // No more tasks come: everything that there is ends, and the leases end behind it.
  void Drain() {
    for (int i = 0; i < 200'000 && !open_.empty(); ++i) {
      for (auto& [id, worker] : workers_)
        if (worker.blocked) BlockOrGoOn(id);
      WithEachWorker([this](WorkerId worker) { Work(worker); });
      DeliverAll();
      if (i % 3 == 0) Tick();
    }
    EXPECT_TRUE(open_.empty()) << open_.size() << " tasks never ended";
    for (int i = 0; i < 12; ++i) {
      Tick();
      DeliverAll();
      WithEachWorker([this](WorkerId worker) { Work(worker); });
      DeliverAll();
    }
    EXPECT_EQ(scheduler_.leases().open(), 0u);
    EXPECT_EQ(scheduler_.leases().wishes(), 0u);
    for (const auto& line : scheduler_.ledger().lines()) EXPECT_EQ(line.free_units, line.total_units);
    EXPECT_EQ(scheduler_.tasks(), 0u);
  }

  // A caller whose tasks never run out, with leases; and one task of another job.
  void NobodyStarves() {
    const auto feed = [this] {
      while (callers_[101].kind.waiting() < 20 && callers_[101].by_raylet.size() < 20) Submit(101, false);
    };
    const auto turn = [&] {
      feed();
      for (int i = 0; i < 20; ++i) WithEachWorker([this](WorkerId worker) { Work(worker); });
      DeliverAll();
      Tick();
      DeliverAll();
    };
    for (int i = 0; i < 60 && scheduler_.leases().open() < 2; ++i) turn();
    ASSERT_GE(scheduler_.leases().open(), 1u);
    for (int round = 0; round < 20; ++round) {
      const size_t before = ended_of_[201];
      Submit(201, false);
      int turns = 0;
      while (ended_of_[201] == before && turns < 20) {
        turn();
        ++turns;
      }
      ASSERT_LT(turns, 20) << "round " << round;
    }
  }

  size_t by_lease() const { return by_lease_; }
  size_t taken_back() const { return taken_back_; }
  size_t lost() const { return lost_; }

 private:
  struct Lease {
    std::shared_ptr<SharedChannel> channel;
    std::map<uint64_t, TaskSubmissionPtr> waiting;
    bool over = false;
  };
  struct Caller {
    JobId job = 0;
    bool dead = false;
    TaskKind kind;
    std::map<uint64_t, Lease> leases;
    std::map<TaskId, TaskSubmissionPtr> by_raylet;
    std::deque<std::function<void()>> inbox;
  };
  struct Worker {
    JobId job = 0;
    bool ready = false, dying = false, blocked = false;
    std::deque<TaskPtr> queue;  // of the raylet
    TaskPtr running;
    uint64_t lease = 0;
    ProcessId caller = 0;
    std::shared_ptr<SharedChannel> channel;
    std::pair<uint64_t, TaskSubmissionPtr> call;  // begun
    std::deque<std::function<void()>> outbox;     // to the raylet
    bool Runs() const { return running != nullptr || call.second != nullptr; }
  };

  static ResourceSet Total() { return test::Cpus(kCpus * test::kOne); }
  static SchedulerLimits Limits() {
    SchedulerLimits limits;
    limits.workers_max = 8;
    return limits;
  }
  size_t Pick(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  ProcessId SomeCaller() {
    const ProcessId all[] = {101, 102, 201};
    return all[Pick(3)];
  }
  void WithWorker(const std::function<void(WorkerId)>& use) {
    if (!workers_.empty()) use(std::next(workers_.begin(), static_cast<std::ptrdiff_t>(Pick(workers_.size())))->first);
  }
  void WithEachWorker(const std::function<void(WorkerId)>& use) {
    std::vector<WorkerId> ids;
    for (const auto& [id, worker] : workers_) ids.push_back(id);
    for (const WorkerId id : ids)
      if (workers_.contains(id)) use(id);
  }

  // ---- callers, as LeasedTasks and TaskSubmitter have it
  void Submit(ProcessId process, bool lends) {
    Caller& caller = callers_[process];
    if (caller.dead) return;
    auto task = std::make_shared<TaskSubmission>();
    task->function = std::to_string(process) + "-" + std::to_string(++submitted_);
    task->retries_left = static_cast<int32_t>(Pick(3));
    may_begin_[task->function] = task->retries_left + 1;
    open_.insert(task->function);
    if (!lends && caller.kind.Keeps()) {
      task->kind = &caller.kind;
      caller.kind.Add(task);
      Fill(process);
    } else {
      if (!lends) task->kind = &caller.kind;
      SendByRaylet(process, task);
    }
  }

  void SendByRaylet(ProcessId process, const TaskSubmissionPtr& task) {
    Caller& caller = callers_[process];
    auto sent = std::make_shared<Task>();
    sent->id = test::SeededId<TaskId>(random_);
    sent->job = caller.job;
    sent->owner = process;
    sent->name = sent->function = task->function;
    sent->resources = test::Cpus(test::kOne);
    sent->max_retries = task->retries_left;
    caller.by_raylet[sent->id] = task;
    ASSERT_TRUE(scheduler_.Submit(sent).has_value());
    Decide();
  }

  void Fill(ProcessId process) {
    Caller& caller = callers_[process];
    while (caller.kind.Waits()) {
      TaskKind::Worker* const worker = caller.kind.Pick();
      if (worker == nullptr) break;
      Lease& lease = caller.leases.at(worker->lease);
      if (lease.waiting.size() >= 30) {
        worker->full = true;
        continue;
      }
      const TaskSubmissionPtr task = caller.kind.TakeNext();
      lease.channel->calls.emplace_back(++lease.channel->pushed, task);
      lease.channel->gate.pushed = lease.channel->pushed;
      lease.waiting[lease.channel->pushed] = task;
      ++worker->under_way;
    }
    if (!caller.kind.Keeps())
      for (const auto& task : caller.kind.TakeAll()) SendByRaylet(process, task);
    MaybeAsk(process);
  }

  void MaybeAsk(ProcessId process) {
    Caller& caller = callers_[process];
    if (caller.dead || !caller.kind.WantsAnother(clock_.Now())) return;
    scheduler_.AskForWorker({process, ++requests_, caller.job, 0, test::Cpus(test::kOne)});
    Decide();
  }

  void Look(ProcessId process) {  // for answers, and at the gates
    Caller& caller = callers_[process];
    std::vector<uint64_t> ids;
    for (const auto& [id, lease] : caller.leases) ids.push_back(id);
    for (const uint64_t id : ids) {
      Lease& lease = caller.leases.at(id);
      const size_t answers = lease.channel->answers.size();
      for (; !lease.channel->answers.empty(); lease.channel->answers.pop_front()) {
        const auto found = lease.waiting.find(lease.channel->answers.front());
        ASSERT_NE(found, lease.waiting.end());
        Ended(process, *found->second);
        lease.waiting.erase(found);
        ++by_lease_;
      }
      caller.kind.Ended(id, answers, clock_.Now());
      if (IsShut(lease.channel->gate)) End(process, id);
      if (lease.over && lease.waiting.empty()) caller.leases.erase(id);
    }
    Fill(process);
  }

  void End(ProcessId process, uint64_t id) {
    Lease& lease = callers_[process].leases.at(id);
    if (std::exchange(lease.over, true)) return;
    const uint64_t begun = ShutGate(lease.channel->gate);
    std::vector<TaskSubmissionPtr> back;
    for (auto at = lease.waiting.upper_bound(begun); at != lease.waiting.end(); at = lease.waiting.erase(at))
      back.push_back(at->second);
    taken_back_ += back.size();
    callers_[process].kind.Over(id, std::move(back), clock_.Now());
  }

  void OnLost(ProcessId process, uint64_t id) {
    Caller& caller = callers_[process];
    if (!caller.leases.contains(id)) return;
    Look(process);
    if (!caller.leases.contains(id)) return;
    End(process, id);
    for (auto& [call, task] : caller.leases.at(id).waiting) {
      ++lost_;
      if (task->retries_left == 0) {
        Ended(process, *task);
        continue;
      }
      --task->retries_left;
      SendByRaylet(process, task);
    }
    caller.leases.erase(id);
    Fill(process);
  }

  void Ended(ProcessId process, const TaskSubmission& task) {
    EXPECT_EQ(open_.erase(task.function), 1u) << task.function << " ended twice";
    ++ended_of_[process];
  }

  void CallerDies(ProcessId process) {
    Caller& caller = callers_[process];
    if (std::exchange(caller.dead, true)) return;
    caller.inbox.clear();
    std::erase_if(open_, [&](const std::string& name) { return name.starts_with(std::to_string(process) + "-"); });
    const auto killed = scheduler_.OwnersGone({process});
    caller.leases.clear();
    Decide();
    for (const WorkerId worker : killed) Kill(worker);
  }

  // ---- the raylet
  void Decide() {
    for (const auto& decision : scheduler_.TakeDecisions()) {
      if (const auto* start = std::get_if<StartWorker>(&decision)) {
        workers_[start->worker].job = start->group.job;
        Worker& worker = workers_[start->worker];
        worker.outbox.push_back([this, id = start->worker] {
          workers_.at(id).ready = true;
          scheduler_.WorkerReady(id, 0);
        });
      } else if (const auto* run = std::get_if<RunTask>(&decision)) {
        if (workers_.contains(run->worker)) workers_[run->worker].queue.push_back(run->task);
      } else if (const auto* recall = std::get_if<RecallFromWorker>(&decision)) {
        GiveBack(recall->worker, recall->tasks);
      } else if (const auto* grant = std::get_if<GrantWorker>(&decision)) {
        Grant(*grant);
      } else if (const auto* refuse = std::get_if<RefuseWorker>(&decision)) {
        Tell(refuse->caller, [this, process = refuse->caller] {
          callers_[process].kind.Refused(clock_.Now());
          Fill(process);
        });
      } else if (const auto* shut = std::get_if<ShutLease>(&decision)) {
        if (const auto found = channels_.find(shut->lease); found != channels_.end()) ShutGate(found->second->gate);
        Tell(shut->caller, [this, process = shut->caller] { Look(process); });
      } else if (const auto* lost = std::get_if<LoseLease>(&decision)) {
        channels_.erase(lost->lease);
        Tell(lost->caller, [this, process = lost->caller, id = lost->lease] { OnLost(process, id); });
      } else if (const auto* lose = std::get_if<LoseTask>(&decision)) {
        Result(*lose->task);
      } else if (const auto* stop = std::get_if<StopWorker>(&decision)) {
        doomed_.insert(stop->worker);
      } else if (const auto* kill = std::get_if<KillWorker>(&decision)) {
        doomed_.insert(kill->worker);
      }
    }
    if (blocks_) return;
    for (const auto& line : scheduler_.ledger().lines()) EXPECT_GE(line.free_units, 0);
  }

  void Grant(const GrantWorker& grant) {
    const auto channel = channels_[grant.lease] = std::make_shared<SharedChannel>();
    Worker& worker = workers_.at(grant.worker);
    worker.lease = grant.lease;
    worker.caller = grant.caller;
    worker.channel = channel;
    EXPECT_TRUE(worker.queue.empty() && !worker.Runs());
    Tell(grant.caller, [this, process = grant.caller, id = grant.lease, channel] {
      callers_[process].leases[id].channel = channel;
      callers_[process].kind.Granted(id);
      Fill(process);
    });
  }

  void Tell(ProcessId process, std::function<void()> message) {
    if (!callers_[process].dead) callers_[process].inbox.push_back(std::move(message));
  }

  void Result(const Task& task) {
    Tell(task.owner, [this, process = task.owner, id = task.id] {
      Caller& caller = callers_[process];
      const auto found = caller.by_raylet.find(id);
      if (found == caller.by_raylet.end()) return;
      const TaskSubmissionPtr submission = found->second;
      caller.by_raylet.erase(found);
      Ended(process, *submission);
      if (submission->kind == nullptr) return;
      caller.kind.EndedByRaylet(clock_.Now());
      MaybeAsk(process);
    });
  }

  // ---- workers
  void Begins(const std::string& name) { EXPECT_GT(may_begin_[name]--, 0) << name << " begins more often than it may"; }

  void Work(WorkerId id) {
    Worker& worker = workers_.at(id);
    if (!worker.ready || worker.blocked) return;
    if (worker.running != nullptr) {
      const TaskPtr done = std::exchange(worker.running, nullptr);
      worker.outbox.push_back([this, id, done] {
        ASSERT_TRUE(scheduler_.TaskFinished(id, done->id, true).has_value());
        Result(*done);
      });
    } else if (worker.call.second != nullptr) {
      worker.channel->answers.push_back(std::exchange(worker.call, {}).first);
    }
    if (!worker.queue.empty()) {
      worker.running = worker.queue.front();
      worker.queue.pop_front();
      return Begins(worker.running->function);
    }
    if (worker.lease == 0) return;
    SharedChannel& channel = *worker.channel;
    if (!channel.calls.empty() && BeginCall(channel.gate, channel.calls.front().first)) {
      worker.call = channel.calls.front();
      channel.calls.pop_front();
      return Begins(worker.call.second->function);
    }
    if (!IsShut(channel.gate)) return;
    worker.outbox.push_back([this, id, lease = std::exchange(worker.lease, 0)] {
      channels_.erase(lease);
      ASSERT_TRUE(scheduler_.WorkerReturned(id, lease).has_value());
    });
    worker.channel = nullptr;
  }

  void BlockOrGoOn(WorkerId id) {
    Worker& worker = workers_.at(id);
    if (!worker.Runs()) return;
    worker.blocked = !worker.blocked;
    if (worker.blocked && worker.lease != 0) ShutGate(worker.channel->gate);
    worker.outbox.push_back([this, id, blocked = worker.blocked] { scheduler_.WorkerBlocked(id, blocked); });
  }

  void GiveBack(WorkerId id, const std::vector<TaskId>& wanted) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) return;
    std::vector<TaskId> given;
    for (const TaskId& task : wanted)
      if (std::erase_if(found->second.queue, [&](const TaskPtr& each) { return each->id == task; }) > 0)
        given.push_back(task);
    found->second.outbox.push_back(
        [this, id, given] { ASSERT_TRUE(scheduler_.WorkerGaveBack(id, given).has_value()); });
  }

  void Kill(WorkerId id) {
    if (!workers_.contains(id)) return;
    while (!workers_.at(id).outbox.empty()) Send(id);
    workers_.erase(id);
    doomed_.erase(id);
    scheduler_.WorkerGone(id);
    Decide();
  }

  // ---- messages and time
  void Send(WorkerId id) {
    const auto message = std::move(workers_.at(id).outbox.front());
    workers_.at(id).outbox.pop_front();
    message();
    Decide();
  }

  void Deliver() {
    if (Pick(2) == 0) {
      WithWorker([this](WorkerId id) {
        if (!workers_.at(id).outbox.empty()) Send(id);
      });
    } else {
      const ProcessId process = SomeCaller();
      Caller& caller = callers_[process];
      if (!caller.inbox.empty()) {
        const auto message = std::move(caller.inbox.front());
        caller.inbox.pop_front();
        message();
      } else if (!caller.dead) {
        Look(process);
      }
    }
    if (!doomed_.empty() && Pick(4) == 0) Kill(*doomed_.begin());
  }

  void DeliverAll() {
    for (bool any = true; any;) {
      any = false;
      WithEachWorker([&](WorkerId id) {
        if (workers_.at(id).outbox.empty()) return;
        Send(id);
        any = true;
      });
      for (auto& [process, caller] : callers_) {
        for (; !caller.inbox.empty(); any = true) {
          const auto message = std::move(caller.inbox.front());
          caller.inbox.pop_front();
          message();
        }
        if (!caller.dead) Look(process);
      }
      while (!doomed_.empty()) Kill(*doomed_.begin());
    }
  }

  void Tick() {
    clock_.Advance(kPaceTick);
    for (const auto& [id, channel] : channels_) scheduler_.SawLease(id, LastBegun(channel->gate), channel->pushed);
    scheduler_.Tick();
    Decide();
    for (auto& [process, caller] : callers_) {
      caller.kind.TickTo(clock_.Now());
      if (!caller.dead) Fill(process);
    }
  }

  std::mt19937_64 random_;
  const bool blocks_;
  test::ManualClock clock_;
  Scheduler scheduler_;
  std::map<ProcessId, Caller> callers_;
  std::map<WorkerId, Worker> workers_;
  std::set<WorkerId> doomed_;
  std::map<WorkerLeaseId, std::shared_ptr<SharedChannel>> channels_;
  std::map<std::string, int> may_begin_;
  std::set<std::string> open_;  // tasks without an end
  std::map<ProcessId, size_t> ended_of_;
  ProcessId busiest_ = 101;
  size_t submitted_ = 0, by_lease_ = 0, taken_back_ = 0, lost_ = 0;
  uint64_t requests_ = 0;
};

TEST(TaskLeasesPropertyTest, EachTaskEndsOnceAndBeginsNoMoreOftenThanItMay) {
  size_t by_lease = 0;
  size_t taken_back = 0;
  size_t lost = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, /*blocks=*/seed % 2 == 0);
    for (int turn = 0; turn < 300; ++turn) world.Turn();
    world.Drain();
    by_lease += world.by_lease();
    taken_back += world.taken_back();
    lost += world.lost();
    if (::testing::Test::HasFailure()) return;
  }
  // The runs must have been about leases.
  EXPECT_GT(by_lease, 10'000u);
  EXPECT_GT(taken_back, 1'000u);
  EXPECT_GT(lost, 100u);
}

TEST(TaskLeasesPropertyTest, TasksOfAnotherJobEndLeasesAndRun) { World(7, /*blocks=*/false).NobodyStarves(); }

}  // namespace
}  // namespace raylet::client
