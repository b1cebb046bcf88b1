// WorkerTable: every worker from its start to its death, and the task and resources of each. It decides which processes
// start and stop. Pure; the raylet's loop thread. Always holds: a worker is in its group's idle list iff it is kIdle. A
// worker that runs a task, or hosts an actor, holds that task's resources. While it is blocked its CPU goes to others.
// No worker is stopped for being idle while its process owes results: it owns tasks or calls that have not ended, and
// these would be lost with it.
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
    ProcessId process = 0;  // 0: has not registered
    JobId job = 0;
    std::string environment;  // of its group
    State state = State::kStarting;
    bool actor = false;          // kBusy: for good
    bool blocked = false;        // its CPU goes to others
    QueuedTask* task = nullptr;  // kBusy, unless its actor has been constructed or it is leased
    TaskPtr hosts;               // of an actor that has been constructed: its creation
    WorkerLeaseId lease = 0;     // kBusy, kStopping: it runs calls of `leased_to`, and no task; 0: none
    ProcessId leased_to = 0;     // with a lease
    ResourceNeeds held;          // kBusy, kStopping
    DeviceIndexes devices;       // with `held`
    // By the last UseDevices. Without one the worker has the variable with which its process started.
    std::optional<DeviceIndexes> told_devices;
    // The tasks behind `task`, in order. Each asks for exactly the resources that the worker holds.
    std::deque<QueuedTask*> ahead;
    size_t ahead_bytes = 0;           // their bodies
    bool recalling = false;           // the worker was asked to give them back
    bool may_not_have_begun = false;  // `task` was recalled before its turn came
    AheadPace pace;
    uint64_t idle_since = 0;  // kIdle: order
    bool stays = false;       // its process said so: it owes results that are not known here
    bool was_idle = false;    // kStopping: only because it was idle
    WorkerGroup group() const { return {job, environment}; }
  };

  // All outlive this.
  WorkerTable(const SchedulerLimits& limits, ResourceLedger& ledger, const TaskTable& tasks, Decisions& decisions)
      : limits_(limits), ledger_(ledger), tasks_(tasks), decisions_(decisions) {}

  Worker* Find(WorkerId id);
  Worker& at(WorkerId id) { return workers_.at(id); }
  std::map<WorkerId, Worker>& all() { return workers_; }
  const std::map<WorkerId, Worker>& all() const { return workers_; }

  // `for_actor`: the worker's process goes with the actor, so it owes no results while there is room for another one.
  bool HasIdle(const WorkerGroup& group, bool for_actor = false) const;
  // The most recently used, where the group HasIdle.
  Worker& TakeIdle(const WorkerGroup& group, bool for_actor = false);
  void Begin(Worker& worker, QueuedTask* task, const ResourceNeeds& needs);
  void BeginLease(Worker& worker, WorkerLeaseId lease, ProcessId caller, const ResourceNeeds& needs);
  void Registered(Worker& worker, ProcessId process);  // a kStarting one
  void BecomeIdle(Worker& worker);
  void Block(Worker& worker);
  void Unblock(Worker& worker);
  void GiveBack(Worker& worker);  // what it holds
  void Stopping(Worker& worker);  // the worker gets no more work
  void Stop(Worker& worker);      // as Stopping, and tells the worker
  void StopIdle(Worker& worker);  // as Stop; the worker may say that it stays
  // The worker's process has gone: frees its resources. False: too many processes of its group in a row did not start,
  // although they might have (`may_start`).
  bool Gone(Worker& worker, bool may_start = true);
  void Forget(Worker& worker) { workers_.erase(worker.id); }
  void ForgetJob(JobId job);  // it has no workers any more

  void StartMissing(const TaskQueue& queue, const std::function<size_t(const WorkerGroup&)>& wanted_of);
  // One for the group, unless one of its workers starts already or there is no room.
  void StartOne(const WorkerGroup& group);
  // Keeps as many idle workers for the next task as there are CPUs and blocked workers. While tasks are ready, workers
  // that were blocked lately count, too, because each start of a process costs more than most tasks. Those that owe
  // results stay beside them.
  void TrimIdle(size_t blocked, bool tasks_are_ready);
  size_t RunningTasks(JobId job) const;  // in workers that are neither blocked nor actors

  size_t Count(State state) const;
  // It was asked to end, runs nothing, and waits for results that others want.
  static bool Lingers(const Worker& worker) {
    return worker.state == State::kStopping && worker.stays && worker.task == nullptr && worker.lease == 0;
  }
  bool IsFull() const { return workers_.size() >= limits_.workers_max; }
  PoolReserve Reserve() const;
  // Whether the worker goes on without its job's driver.
  static bool Outlives(const Worker& worker, const ProcessSet& survivors);
  // Adds the resources that actors of other machines hold here.
  void AddRemoteActors(std::map<NodeId, RemoteWork>& work) const;
  // Why the ready tasks of this shape do not run: one sentence.
  std::string WhyWaiting(const TaskShape& shape) const;
  // Why no further worker may run a task of this shape; nothing where one may.
  std::optional<std::string> WhyPoolIsFull(const TaskShape& shape) const;

 private:
  struct Group {
    std::vector<WorkerId> idle;  // the most recently used last
    size_t starting = 0;
    size_t failed_starts = 0;  // in a row
  };

  static constexpr uint64_t kTasksPerDecay = 64;

  void Take(Worker& worker, const ResourceNeeds& needs);
  void LeaveIdle(Worker& worker);
  bool OwesResults(const Worker& worker) const;
  std::vector<WorkerId>::const_iterator FindIdle(const Group& group, bool for_actor) const;
  void StopIdleOfAnother(const WorkerGroup& group);
  bool OnlyOwingOnesAreLeft() const;
  void Start(const WorkerGroup& group);

  const SchedulerLimits& limits_;
  ResourceLedger& ledger_;
  const TaskTable& tasks_;
  Decisions& decisions_;
  std::map<WorkerId, Worker> workers_;
  std::map<WorkerGroup, Group> groups_;
  uint64_t next_worker_ = 1;
  uint64_t next_idle_ = 1;
  size_t blocked_lately_ = 0;  // the most at one time; decays by one with every kTasksPerDecay tasks
  uint64_t begun_ = 0;         // tasks
};

}  // namespace raylet
