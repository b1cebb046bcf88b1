// WorkerTable: every worker from its start to its death, what it runs and holds, and which processes are started and
// stopped. Pure; the raylet's loop thread. Always holds: a worker is in its job's idle list iff it is kIdle. One that
// runs a task, or is an actor's, holds that task's resources; while it is blocked its CPU is lent to others.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "raylet/scheduling/ahead_pace.h"
#include "raylet/scheduling/decisions.h"
#include "raylet/scheduling/pool_reserve.h"
#include "raylet/scheduling/resources.h"
#include "raylet/scheduling/scheduler_limits.h"
#include "raylet/scheduling/task_queue.h"
#include "raylet/scheduling/task_table.h"

namespace raylet {

class WorkerTable {
 public:
  enum class State { kStarting, kIdle, kBusy, kStopping };
  struct Worker {
    WorkerId id = 0;
    JobId job = 0;
    State state = State::kStarting;
    bool actor = false;               // kBusy: for good
    bool blocked = false;             // its CPU is lent to others
    QueuedTask* task = nullptr;       // kBusy, unless its actor has been constructed
    TaskPtr hosts;                    // of an actor that has been constructed: its creation
    ResourceNeeds held;               // kBusy, kStopping
    std::deque<QueuedTask*> ahead;    // behind `task`, in order; each asks for exactly what is held
    size_t ahead_bytes = 0;           // their bodies
    bool recalling = false;           // they are on their way back
    bool may_not_have_begun = false;  // `task`: it was recalled before its turn came
    AheadPace pace;
    uint64_t idle_since = 0;  // kIdle: order
  };

  // All outlive this.
  WorkerTable(const SchedulerLimits& limits, ResourceLedger& ledger, Decisions& decisions)
      : limits_(limits), ledger_(ledger), decisions_(decisions) {}

  Worker* Find(WorkerId id);
  Worker& at(WorkerId id) { return workers_.at(id); }
  std::map<WorkerId, Worker>& all() { return workers_; }
  const std::map<WorkerId, Worker>& all() const { return workers_; }

  bool HasIdle(JobId job) const;
  Worker& TakeIdle(JobId job);  // the most recently used, where the job HasIdle
  void Begin(Worker& worker, QueuedTask* task, const ResourceNeeds& needs);
  void Registered(Worker& worker);  // a kStarting one
  void BecomeIdle(Worker& worker);
  void Block(Worker& worker);
  void Unblock(Worker& worker);
  void GiveBack(Worker& worker);  // what it holds
  void Stopping(Worker& worker);  // it gets no more work
  void Stop(Worker& worker);      // and is told so
  // Its process has gone, and gives back what it holds. False: too many processes of its job in a row did not start.
  bool Gone(Worker& worker);
  void Forget(Worker& worker) { workers_.erase(worker.id); }
  void ForgetJob(JobId job);  // it has no workers any more

  void StartMissing(const TaskQueue& queue, const std::function<size_t(JobId)>& wanted_of);
  // Idle workers stay for the next task, as many as there are CPUs and workers that are blocked. While tasks are ready
  // it is as many as were blocked lately: each start of a process costs more than most tasks.
  void TrimIdle(size_t blocked, bool tasks_are_ready);
  size_t RunningTasks(JobId job) const;  // in workers that are neither blocked nor actors

  size_t Count(State state) const;
  PoolReserve Reserve() const;
  // Whether it goes on without its job's driver.
  static bool Outlives(const Worker& worker, const ProcessSet& survivors);
  // What the actors that came from each machine hold.
  void AddActorsFromElsewhere(std::map<NodeId, RemoteWork>& work) const;
  // Why the job's ready tasks of this shape do not run: one sentence.
  std::string WhyWaiting(JobId job, const TaskShape& shape) const;
  // Why no worker more may have one of these tasks; nothing where one may.
  std::optional<std::string> WhyPoolIsFull(const TaskShape& shape) const;

 private:
  struct Job {
    std::vector<WorkerId> idle;  // the most recently used last
    size_t starting = 0;
    size_t failed_starts = 0;  // in a row
  };

  static constexpr uint64_t kTasksPerDecay = 64;

  void LeaveIdle(Worker& worker);
  void StopIdleOfAnother(JobId job);
  void Start(JobId job);

  const SchedulerLimits& limits_;
  ResourceLedger& ledger_;
  Decisions& decisions_;
  std::map<WorkerId, Worker> workers_;
  std::map<JobId, Job> jobs_;
  uint64_t next_worker_ = 1;
  uint64_t next_idle_ = 1;
  size_t blocked_lately_ = 0;  // the most at a time; one less with every kTasksPerDecay tasks
  uint64_t begun_ = 0;         // tasks
};

}  // namespace raylet
