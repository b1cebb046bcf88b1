// Scheduler: every task from its submission to its one end, every worker from its start to its death, and who runs what
// with which resources. A core: events in, decisions out, no I/O; the raylet's loop thread.
// Always holds: a task is in exactly one of waiting (for objects), ready (for resources and a worker) and running; it
// leaves by TaskFinished, or by one LoseTask or DropTask decision. A worker that runs a task, or is an actor's, holds
// that task's resources; while it is blocked its CPU is lent to others. Free CPU is below zero only after an unblock.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "raylet/dependency_tracker.h"
#include "raylet/resources.h"
#include "raylet/task_queue.h"

namespace raylet {

struct SchedulerLimits {
  size_t workers_max = 256;              // processes of all jobs, actors' included
  size_t starting_max = 8;               // processes that are being started at a time
  size_t start_attempts = 3;             // failed starts in a row before a job's ready tasks fail
  size_t tasks_per_job_max = 1'000'000;  // waiting, ready and running
  size_t task_bytes_per_job_max = size_t{1} << 30;
};

// What the edge must do, in this order.
struct StartWorker {
  WorkerId worker = 0;
  JobId job = 0;
};
struct RunTask {
  WorkerId worker = 0;
  TaskPtr task;
};
struct StopWorker {  // an idle one, or one whose actor's constructor threw: it may finish and go
  WorkerId worker = 0;
};
struct WatchObjects {
  std::vector<ObjectId> objects;
};
struct LoseTask {  // its owner gets a failure
  enum class Why { kWorkerDied, kNoWorkerStarts, kObjectLost };
  Why why = Why::kWorkerDied;
  TaskPtr task;
  WorkerId worker = 0;    // kWorkerDied, kNoWorkerStarts: the last one
  ObjectId object;        // kObjectLost
  uint32_t attempts = 1;  // kWorkerDied: how often it was started
};
using SchedulerDecision = std::variant<StartWorker, RunTask, StopWorker, WatchObjects, LoseTask>;

class Scheduler {
 public:
  enum class WorkerState { kStarting, kIdle, kBusy, kStopping };
  struct Worker {
    WorkerId id = 0;
    JobId job = 0;
    WorkerState state = WorkerState::kStarting;
    bool actor = false;          // kBusy: for good
    bool blocked = false;        // its CPU is lent to others
    QueuedTask* task = nullptr;  // kBusy, unless its actor has been constructed
    ResourceNeeds held;          // kBusy, kStopping
    uint64_t idle_since = 0;     // kIdle: order
  };

  Scheduler(const ResourceSet& total, SchedulerLimits limits);

  // ---- events. Each leaves its decisions for TakeDecisions.
  // kAlreadyExists: an id that is known. kFull: a limit, named. kInvalid: too many shapes.
  Result<void> Submit(TaskPtr task);
  bool Cancel(const TaskId& id);  // false where it is unknown or runs already; otherwise it is gone without a word
  void ObjectSealed(const ObjectId& object);
  // The process owned tasks (those that wait go without a word, those that run are not retried; returns the workers
  // that run them) and objects (tasks that wait for them are lost).
  std::vector<WorkerId> OwnerGone(ProcessId process);
  void WorkerReady(WorkerId worker);
  // kProtocolError unless the worker runs this task. An actor's worker stays with it where `succeeded`, and stops
  // otherwise.
  Result<TaskPtr> TaskFinished(WorkerId worker, const TaskId& task, bool succeeded);
  void WorkerBlocked(WorkerId worker, bool blocked);
  void WorkerStopping(WorkerId worker);  // the edge is ending it: it gets no more work
  void WorkerGone(WorkerId worker);
  void JobGone(JobId job);  // it has no workers and no tasks any more

  std::vector<SchedulerDecision> TakeDecisions();  // schedules first

  // ---- for stats
  const ResourceLedger& ledger() const { return ledger_; }
  const TaskQueue& queue() const { return queue_; }
  const DependencyTracker& dependencies() const { return dependencies_; }
  const std::map<WorkerId, Worker>& workers() const { return workers_; }
  const SchedulerLimits& limits() const { return limits_; }
  size_t tasks() const { return tasks_.size(); }
  size_t CountWorkers(WorkerState state) const;
  // Why the ready tasks of this shape do not run: one sentence.
  std::string WhyWaiting(JobId job, const TaskShape& shape) const;

 private:
  struct Job {
    std::vector<WorkerId> idle;  // the most recently used last
    size_t starting = 0;
    size_t failed_starts = 0;  // in a row
    size_t tasks = 0;
    size_t task_bytes = 0;
  };

  void Schedule();
  bool DispatchOne(JobId id);
  void Dispatch(Worker& worker, QueuedTask* task, const ResourceNeeds& needs);
  void StartMissing();
  size_t WantedWorkers(JobId job, ResourceLedger& left) const;
  bool StopIdleOfAnother(JobId job);
  void BecomeIdle(Worker& worker);
  void TrimIdle();
  void GiveBack(Worker& worker);
  void Unblock(Worker& worker);
  void LeaveIdle(Worker& worker);
  void Forget(QueuedTask* task);
  void LoseReadyTasks(JobId job, WorkerId last);
  Worker* Find(WorkerId id);

  const SchedulerLimits limits_;
  ResourceLedger ledger_;
  TaskQueue queue_{ledger_};
  DependencyTracker dependencies_;
  std::unordered_map<TaskId, QueuedTask> tasks_;  // node-based: pointers to its values stay good
  std::unordered_map<ProcessId, size_t> owned_;   // tasks of each owner
  std::map<WorkerId, Worker> workers_;
  std::map<JobId, Job> jobs_;
  std::vector<SchedulerDecision> decisions_;
  JobId last_job_ = 0;  // the one that was served last: the next one has its turn
  uint64_t next_sequence_ = 1;
  uint64_t next_worker_ = 1;
  uint64_t next_idle_ = 1;
  bool dirty_ = false;  // something happened since the last pass
};

}  // namespace raylet
