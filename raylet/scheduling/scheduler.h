// Scheduler: every task from its submission to its one end, every worker from its start to its death, and who runs what
// with which resources. A core: events in, decisions out, no I/O; the raylet's loop thread.
// Always holds: a task is in exactly one of waiting (for objects), ready (for resources and a worker), ahead (in the
// queue of a worker that runs another), running, and forwarded (to another machine); it leaves by TaskFinished,
// ForwardedFinished, RecalledBy, or one LoseTask decision. What is ahead has not been started. A worker that
// runs a task, or is an actor's, holds that task's resources; while it is blocked its CPU is lent to others. Free CPU
// is below zero only after an unblock.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "raylet/scheduling/ahead_pace.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/dependency_tracker.h"
#include "raylet/scheduling/placement_policy.h"
#include "raylet/scheduling/pool_reserve.h"
#include "raylet/scheduling/resources.h"
#include "raylet/scheduling/task_queue.h"

namespace raylet {

struct SchedulerLimits {
  size_t workers_max = 256;              // processes of all jobs, actors' included
  size_t starting_max = 8;               // processes that are being started at a time, but for shares (StartMissing)
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
  bool ahead = false;  // once it has ended those that it was given before
};
struct RecallFromWorker {  // what of these it has not started; ends in WorkerGaveBack
  WorkerId worker = 0;
  std::vector<TaskId> tasks;
};
struct KillWorker {  // nobody wants what it has begun to run
  WorkerId worker = 0;
};
struct StopWorker {  // an idle one, or one whose actor's constructor threw: it may finish and go
  WorkerId worker = 0;
};
struct WatchObjects {
  std::vector<ObjectId> objects;
};
struct ReleaseArguments {  // what was watched: no task that is to start here needs them any more
  std::vector<ObjectId> objects;
};
struct ForwardTask {  // to another machine, which runs it or sends it back
  NodeId node;
  TaskPtr task;
};
struct RecallForwarded {  // what it does not run yet; ends in NodeGaveBack
  NodeId node;
};
struct ReturnRecalled {  // to the machine that wants them back: they do not run here, nor will they
  NodeId node;
  std::vector<TaskId> tasks;
};
struct CancelForwarded {  // nobody wants its result any more
  NodeId node;
  TaskId task;
};
struct LoseTask {  // its owner gets a failure
  enum class Why { kWorkerDied, kNoWorkerStarts, kObjectLost, kNodeDied, kRefused };
  Why why = Why::kWorkerDied;
  TaskPtr task;
  WorkerId worker = 0;    // kWorkerDied, kNoWorkerStarts: the last one
  ObjectId object;        // kObjectLost
  uint32_t attempts = 1;  // kWorkerDied, kNodeDied: how often it was started
  NodeId node;            // kNodeDied, kRefused: the last one
  std::string reason;     // kObjectLost: unless its owner has ended
};
using SchedulerDecision =
    std::variant<StartWorker, RunTask, RecallFromWorker, KillWorker, StopWorker, WatchObjects, ReleaseArguments,
                 ForwardTask, RecallForwarded, ReturnRecalled, CancelForwarded, LoseTask>;

// Where objects are, as far as this machine knows.
class ObjectPlaces {
 public:
  virtual ~ObjectPlaces() = default;
  virtual bool IsHere(const ObjectId& object) const = 0;
  // Adds the object's size for every machine that has a copy.
  virtual void AddBytes(const ObjectId& object, ArgumentBytes& bytes) const = 0;
};

class Scheduler {
 public:
  enum class WorkerState { kStarting, kIdle, kBusy, kStopping };
  struct Worker {
    WorkerId id = 0;
    JobId job = 0;
    WorkerState state = WorkerState::kStarting;
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

  Scheduler(const ResourceSet& total, SchedulerLimits limits);
  // From now on work may go to other machines. Both outlive this.
  void JoinCluster(ClusterView& view, const ObjectPlaces& places);

  // ---- events. Each leaves its decisions for TakeDecisions.
  // kAlreadyExists: an id that is known. kFull: a limit, named. kInvalid: too many shapes.
  Result<void> Submit(TaskPtr task);
  // False where it is unknown or runs here already; otherwise it is gone without a word, also where another machine has
  // it.
  bool Cancel(const TaskId& id);
  void ObjectSealed(const ObjectId& object);
  // The processes owned tasks, creations of detached actors not counted (those that wait go without a word, those that
  // run are not retried; returns the workers that run them) and objects (tasks that wait for them are lost).
  std::vector<WorkerId> OwnersGone(const ProcessSet& processes);
  std::vector<WorkerId> OwnerGone(ProcessId process) { return OwnersGone({process}); }
  // The process does not take its results as fast as they come: while it is behind none of its tasks begins, and those
  // that wait in workers or on other machines come back. Creations of actors go on.
  void OwnerBehind(ProcessId process, bool behind);
  // The job's driver has gone. What Outlives it goes on; all its other tasks go without a word, once and for all, and
  // its other workers stop: returns them. `for_good`: nothing outlives it, and nothing more is taken for it.
  std::vector<WorkerId> JobEnded(JobId job, const ProcessSet& survivors, bool for_good);
  void WorkerReady(WorkerId worker);
  // kProtocolError unless the worker runs this task. An actor's worker stays with it where `succeeded`, and stops
  // otherwise.
  Result<TaskPtr> TaskFinished(WorkerId worker, const TaskId& task, bool succeeded);
  void WorkerBlocked(WorkerId worker, bool blocked);
  void WorkerStopping(WorkerId worker);  // the edge is ending it: it gets no more work
  void WorkerGone(WorkerId worker);
  void JobGone(JobId job);  // it has no workers and no tasks any more

  // Whether it goes on without its job's driver: it hosts a detached actor that is at home here, or runs work of one of
  // `survivors`.
  static bool Outlives(const Worker& worker, const ProcessSet& survivors);

  // ---- work ahead (scheduler_ahead.cc): short work is sent before there is room, so that nobody waits for it
  // Every kAheadTick for as long as it is wanted.
  void Tick();
  bool WantsTick() const;
  // kProtocolError unless it is all that was ahead in this worker when it answered. The task before may have ended
  // since, so that the first of these is taken for running: it was not begun.
  Result<void> WorkerGaveBack(WorkerId worker, const std::vector<TaskId>& tasks);
  void NodeGaveBack(const NodeId& node, const std::vector<TaskId>& tasks);
  // The machine that sent them wants back what does not run yet. Decides ReturnRecalled, at once for what is ready, and
  // later for what is ahead in workers.
  void RecalledBy(const NodeId& from);

  // ---- other machines' (scheduler_cluster.cc)
  void ClusterChanged() { dirty_ = true; }  // another load, or another machine
  // The task has ended there; null where it is not, or no longer, that machine's. What a creation that `succeeded`
  // asked for stays the actor's, until ActorLeft.
  TaskPtr ForwardedFinished(const NodeId& node, const TaskId& task, bool succeeded);
  void ActorLeft(const NodeId& node, const ActorId& actor);
  // The machine would not take it: it goes elsewhere, and after kReturnsMax times nowhere. Null as above.
  TaskPtr ForwardedReturned(const NodeId& node, const TaskId& task);
  // It will not come: the tasks that wait for it are lost.
  void ObjectWillNotCome(const ObjectId& object, const std::string& why);
  // The machine that sent this task here wants its result no more. Returns the worker that runs it, or 0.
  WorkerId Abandon(const NodeId& from, const TaskId& task);
  // What the tasks and actors that came from each machine ask for, and what of it is not running yet.
  struct RemoteWork {
    std::map<std::string, int64_t> units, queued_units;
  };
  std::map<NodeId, RemoteWork> WorkFromElsewhere() const;
  // What was forwarded there is retried or lost, as if a worker had died; what came from there goes without a word, as
  // does what waits for objects owned there. Returns the workers that run what nobody wants any more. The view knows.
  std::vector<WorkerId> NodeGone(const NodeId& node, MachineNumber machine);

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
    bool ended = false;  // for good: no task is taken for it, so that no worker is started
  };

  // Of another machine, about work of ours there.
  struct Peer {
    AheadPace pace;
    size_t ahead = 0;        // tasks there with beyond_fit
    size_t ahead_bytes = 0;  // their bodies
    bool recalling = false;  // they are on their way back
  };

  static constexpr uint32_t kReturnsMax = 8;
  static constexpr size_t kAheadPerWorkerMax = 64;
  static constexpr size_t kAheadBytesPerWorkerMax = size_t{8} << 20;
  static constexpr size_t kAheadBytesPerNodeMax = size_t{64} << 20;
  struct Plan;

  void Schedule();
  PoolReserve Reserve() const;
  bool MayBegin(const TaskShape& shape, size_t more = 0) const {
    return shape.dedicated || reserve_.MayBegin(shape.depth, more);
  }
  void EachJobInTurn(const std::function<bool(JobId)>& dispatch_next);
  void ScheduleHere();
  void ScheduleInCluster();
  bool DispatchOne(JobId id);
  void SendAhead();
  void SendAheadHere(JobId job, size_t shape);
  bool ForwardAheadOne(JobId id);
  void NextAhead(Worker& worker);
  void Recall(Worker& worker);
  void ComeBack(QueuedTask* task, std::map<NodeId, std::vector<TaskId>>& home);
  void LeaveNode(QueuedTask& task);
  bool PlaceOne(JobId id, Plan& plan);
  Placement Place(const QueuedTask& task, const std::optional<ResourceNeeds>& needs, const ResourceLedger& left) const;
  void Forward(QueuedTask* task, const NodeId& node);
  QueuedTask* FindForwarded(const NodeId& node, const TaskId& task);
  std::vector<ObjectId> NotHere(const Task& task) const;
  void WaitFor(QueuedTask* task, const std::vector<ObjectId>& objects);
  void Hold(QueuedTask& task, std::vector<ObjectId> objects);
  void LetGo(QueuedTask& task);
  std::vector<WorkerId> DropTasks(const std::function<bool(const QueuedTask&)>& matches);
  void Drop(QueuedTask* task);
  void LoseWaitingFor(const std::vector<std::pair<TaskId, ObjectId>>& waiting, const std::string& why);
  void RetryOrLose(QueuedTask* task, LoseTask lost);
  void Dispatch(Worker& worker, QueuedTask* task, const ResourceNeeds& needs);
  void StartMissing(const std::function<size_t(JobId)>& wanted_of);
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
  std::unordered_map<TaskId, QueuedTask> tasks_;                   // node-based: pointers to its values stay good
  std::unordered_map<TaskId, QueuedTask*> remote_tasks_;           // those of tasks_ that came from elsewhere
  std::unordered_map<ProcessId, size_t> owned_;                    // tasks of each owner
  std::unordered_map<ObjectId, size_t> awaited_;                   // by how many tasks
  std::map<NodeId, std::map<ActorId, ResourceSet>> actors_there_;  // constructed, and what each holds
  std::map<WorkerId, Worker> workers_;
  std::map<JobId, Job> jobs_;
  std::map<NodeId, Peer> peers_;  // where work of ours is, or was
  std::vector<SchedulerDecision> decisions_;
  ClusterView* view_ = nullptr;  // set: there may be other machines
  const ObjectPlaces* places_ = nullptr;
  std::optional<PlacementPolicy> policy_;
  PoolReserve reserve_{0, 0, 0};  // of this pass
  JobId last_job_ = 0;            // the one that was served last: the next one has its turn
  uint64_t next_sequence_ = 1;
  uint64_t next_worker_ = 1;
  uint64_t next_idle_ = 1;
  bool dirty_ = false;  // something happened since the last pass
};

}  // namespace raylet
