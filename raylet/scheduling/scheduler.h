// Scheduler: every task from its submission to its one end, every worker from its start to its death, and who runs what
// with which resources. A core: events in, decisions out, no I/O; the raylet's loop thread.
// Always holds: a task is in exactly one of waiting (for objects), ready (for resources and a worker), ahead (in the
// queue of a worker that runs another), running, and forwarded (to another machine); it leaves by TaskFinished,
// ForwardedFinished, RecalledBy, or one LoseTask decision. Free CPU is below zero only after an unblock.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/decisions.h"
#include "raylet/scheduling/dispatcher.h"
#include "raylet/scheduling/forwarded_tasks.h"
#include "raylet/scheduling/object_places.h"
#include "raylet/scheduling/resources.h"
#include "raylet/scheduling/scheduler_limits.h"
#include "raylet/scheduling/task_queue.h"
#include "raylet/scheduling/task_table.h"
#include "raylet/scheduling/work_ahead.h"
#include "raylet/scheduling/worker_table.h"

namespace raylet {

class Scheduler {
 public:
  using WorkerState = WorkerTable::State;
  using Worker = WorkerTable::Worker;

  Scheduler(const ResourceSet& total, SchedulerLimits limits) : limits_(limits), ledger_(total) {}
  Scheduler(const Scheduler&) = delete;  // its parts know each other
  Scheduler& operator=(const Scheduler&) = delete;
  // From now on work may go to other machines. Both outlive this.
  void JoinCluster(ClusterView& view, const ObjectPlaces& places);

  // ---- events. Each leaves its decisions for TakeDecisions.
  // Whether there is room for a task that a process submits. Where there is none the task goes back to its owner, which
  // waits for a TellRoom decision and then submits again.
  bool AskForRoom(const Task& task) { return tasks_.AskForRoom(task); }
  // kAlreadyExists: an id that is known. kFull: a limit, named. kInvalid: too many shapes.
  Result<void> Submit(TaskPtr task);
  // False where it is unknown or runs here already; otherwise it is gone without a word, also where another machine has
  // it.
  bool Cancel(const TaskId& id);
  void ObjectSealed(const ObjectId& object);
  // The processes owned tasks, creations of actors not counted (those that wait go without a word, those that
  // run are not retried; returns the workers that run them) and objects (tasks that wait for them are lost, but for
  // those that wait for what may still come).
  std::vector<WorkerId> OwnersGone(const ProcessSet& processes,
                                   const std::function<bool(const ObjectId&)>& may_come = {});
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
  static bool Outlives(const Worker& worker, const ProcessSet& survivors) {
    return WorkerTable::Outlives(worker, survivors);
  }

  // ---- work ahead: short work is sent before there is room, so that nobody waits for it
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

  // ---- other machines'
  void ClusterChanged() { dirty_ = true; }  // another load, or another machine
  // The task has ended there; null where it is not, or no longer, that machine's. What a creation that `succeeded`
  // asked for stays the actor's, until ActorLeft.
  TaskPtr ForwardedFinished(const NodeId& node, const TaskId& task, bool succeeded);
  void ActorLeft(const NodeId& node, const ActorId& actor);
  // The machine would not take it: it goes elsewhere, and after eight times nowhere. Null as
  // above.
  TaskPtr ForwardedReturned(const NodeId& node, const TaskId& task);
  // It will not come: the tasks that wait for it are lost.
  void ObjectWillNotCome(const ObjectId& object, const std::string& why);
  // The machine that sent this task here wants its result no more. Returns the worker that runs it, or 0.
  WorkerId Abandon(const NodeId& from, const TaskId& task);
  // What the tasks and actors that came from each machine ask for, and what of it is not running yet.
  std::map<NodeId, RemoteWork> WorkFromElsewhere() const;
  // What was forwarded there is retried or lost, as if a worker had died; what came from there goes without a word, as
  // does what waits for objects owned there. Returns the workers that run what nobody wants any more. The view knows.
  std::vector<WorkerId> NodeGone(const NodeId& node, MachineNumber machine);

  std::vector<SchedulerDecision> TakeDecisions();  // schedules first

  // ---- for stats
  const ResourceLedger& ledger() const { return ledger_; }
  const TaskQueue& queue() const { return queue_; }
  const DependencyTracker& dependencies() const { return tasks_.dependencies(); }
  const std::map<WorkerId, Worker>& workers() const { return workers_.all(); }
  const SchedulerLimits& limits() const { return limits_; }
  size_t tasks() const { return tasks_.size(); }
  size_t processes_without_room() const { return tasks_.WithoutRoom(); }
  size_t CountWorkers(WorkerState state) const { return workers_.Count(state); }
  // Why the ready tasks of this shape do not run: one sentence.
  std::string WhyWaiting(JobId job, const TaskShape& shape) const { return workers_.WhyWaiting(job, shape); }
  // Nothing where another worker may have one of these tasks.
  std::optional<std::string> WhyPoolIsFull(const TaskShape& shape) const { return workers_.WhyPoolIsFull(shape); }

 private:
  std::vector<WorkerId> DropTasks(const std::function<bool(const QueuedTask&)>& matches);
  void Drop(QueuedTask* task);
  void RetryOrLose(QueuedTask* task, LoseTask lost);

  const SchedulerLimits limits_;
  ResourceLedger ledger_;
  Decisions decisions_;
  TaskQueue queue_{ledger_};
  TaskTable tasks_{limits_, queue_, decisions_};
  WorkerTable workers_{limits_, ledger_, decisions_};
  WorkAhead ahead_{ledger_, queue_, tasks_, workers_, decisions_};
  ForwardedTasks forwarded_{queue_, tasks_, decisions_};
  Dispatcher dispatcher_{{limits_, ledger_, queue_, tasks_, workers_, ahead_, forwarded_, decisions_}};
  bool dirty_ = false;  // something happened since the last pass
};

}  // namespace raylet
