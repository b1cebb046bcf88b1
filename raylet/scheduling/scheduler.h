// Scheduler: every task from its submission to its one end, and every worker from its start to its death. It decides
// where each task runs, and with which resources. A core: events in, decisions out, no I/O; the raylet's loop thread.
// Always holds: a task is in exactly one state. It waits (for objects), is ready (for resources and a worker), ahead
// (in the queue of a worker that runs another), running, or forwarded (to another machine). It leaves by TaskFinished,
// ForwardedFinished, RecalledBy, or one LoseTask decision. Free CPU is below zero only after an unblock. Tasks that a
// process sends to workers that it leases are not known here.
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
#include "raylet/scheduling/group_bundles.h"
#include "raylet/scheduling/object_places.h"
#include "raylet/scheduling/resources.h"
#include "raylet/scheduling/scheduler_limits.h"
#include "raylet/scheduling/task_backlog.h"
#include "raylet/scheduling/task_queue.h"
#include "raylet/scheduling/task_table.h"
#include "raylet/scheduling/waiting_bundles.h"
#include "raylet/scheduling/work_ahead.h"
#include "raylet/scheduling/worker_leases.h"
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
  // Whether there is room for a task that a process submits. Without room the task goes back to its owner, which waits
  // for a TellRoom decision and then submits again.
  bool AskForRoom(const Task& task) { return tasks_.AskForRoom(task); }
  // kAlreadyExists: an id that is known. kFull: a limit, named. kInvalid: too many shapes.
  Result<void> Submit(TaskPtr task);
  // Removes the task without a result, also where another machine has it. False where the task is unknown or runs here
  // already.
  bool Cancel(const TaskId& id);
  // Where a task is now; nothing where it is unknown.
  struct TaskPlace {
    NodeId from;            // the machine that sent it here; nil: submitted here
    WorkerId worker = 0;    // that runs it, or has it ahead
    NodeId node;            // to which it is forwarded
    bool of_actor = false;  // it creates an actor
  };
  std::optional<TaskPlace> PlaceOf(const TaskId& id);
  // Whether the task is here only until its worker has ended or given it back, or until it is dropped.
  bool EndsWithoutResult(const TaskId& id);
  // Its owner has cancelled the task, which a worker or another machine has. Where that gives the task back, or dies,
  // the task is lost.
  void MarkCancelled(const TaskId& id);
  // Of the tasks that waited for it, the first tasks_per_turn are ready at once. WorkOff takes the others.
  void ObjectSealed(const ObjectId& object);
  // These owners have ended. Their tasks that do not run go without a result; those that run are not retried, and their
  // workers are returned. Creations of actors stay. Tasks that wait for an object of these owners are lost, unless the
  // object may still come. The first tasks_per_turn of each go at once, and WorkOff takes the others. None of them
  // begins meanwhile.
  using MayBeSealed = TaskBacklog::MayBeSealed;
  std::vector<WorkerId> OwnersGone(const ProcessSet& processes, const MayBeSealed& may_be_sealed = {});
  std::vector<WorkerId> OwnerGone(ProcessId process) { return OwnersGone({process}); }
  // The process does not take its results as fast as they come. While it is behind none of its tasks begins, and those
  // that are ahead in workers or on other machines come back. Creations of actors go on.
  void OwnerBehind(ProcessId process, bool behind);
  // The job's driver has gone. Workers that Outlive it go on. All other tasks of the job go without a result, as by
  // OwnersGone. Returns the other workers, which stop. `for_good`: nothing outlives the job, and it takes no more
  // tasks.
  std::vector<WorkerId> JobEnded(JobId job, const ProcessSet& survivors, bool for_good);
  void WorkerReady(WorkerId worker, ProcessId process);
  // Its process owes results that are not known here, to others: it is not stopped for being idle. One that was asked
  // to stop for that goes on. One whose actor has ended gives back what it holds, since it only waits.
  void WorkerStays(WorkerId worker, bool stays);
  bool IsStopping(WorkerId worker) const;
  // kProtocolError unless the worker runs this task. The worker of an actor's creation stays with the actor where
  // `succeeded`, and stops otherwise.
  Result<TaskPtr> TaskFinished(WorkerId worker, const TaskId& task, bool succeeded);
  void WorkerBlocked(WorkerId worker, bool blocked);
  void WorkerStopping(WorkerId worker);  // the edge is ending it: it gets no more work
  // `may_start`: a worker that has gone before it registered has failed to start. Otherwise it had no store to reach.
  void WorkerGone(WorkerId worker, bool may_start = true);
  bool HasTasks(JobId job) const { return tasks_.HasTasks(job) || tasks_.HasDoomed(job); }
  void JobGone(JobId job);  // it has no workers and no tasks any more
  // One part of what sealed and lost objects and ends have left to do: tasks_per_turn of each. Call it in a later turn
  // while it HasMore.
  void WorkOff(const MayBeSealed& may_be_sealed = {}) {
    dirty_ = true;
    backlog_.WorkOff(may_be_sealed);
  }
  bool HasMore() const { return backlog_.HasMore(); }

  // Whether the worker goes on without its job's driver: it hosts a detached actor whose home is here, or runs a task
  // of one of `survivors`.
  static bool Outlives(const Worker& worker, const ProcessSet& survivors) {
    return WorkerTable::Outlives(worker, survivors);
  }

  // ---- work ahead: short work is sent before there is room, so that nobody waits for it
  // Call it every kAheadTick while the scheduler wants ticks.
  void Tick();
  bool WantsTick() const;
  // kProtocolError unless these are all tasks that were ahead in the worker when it answered. The task before them may
  // have ended since. Then the scheduler takes the first of these for running, although it has not begun.
  Result<void> WorkerGaveBack(WorkerId worker, const std::vector<TaskId>& tasks);
  void NodeGaveBack(const NodeId& node, const std::vector<TaskId>& tasks);
  // That machine wants those of its tasks back that do not run yet. Decides ReturnRecalled, at once for ready tasks,
  // and later for tasks that are ahead in workers.
  void RecalledBy(const NodeId& from);

  // ---- leases (see worker_leases.h)
  void AskForWorker(LeaseWish wish);
  // kProtocolError unless the worker has this lease.
  Result<void> WorkerReturned(WorkerId worker, WorkerLeaseId lease);
  // The counts in the gate of an open lease. Call it before each Tick.
  void SawLease(WorkerLeaseId lease, uint64_t begun, uint64_t pushed) { leases_.Saw(lease, begun, pushed); }

  // ---- placement groups (see group_bundles.h)
  // Answered by TakeBundleAnswers, at once or once leases have ended for it.
  void PrepareBundles(WaitingBundles::Request request, TimePoint now);
  std::vector<WaitingBundles::Answer> TakeBundleAnswers() { return waiting_bundles_.TakeAnswers(); }
  void TryBundles(TimePoint now);  // those that wait for leases
  bool BundlesWait() const { return waiting_bundles_.Any(); }
  bool CommitBundles(const PlacementGroupId& group, uint64_t attempt);
  void CancelBundles(const PlacementGroupId& group, uint64_t attempt);
  // The group is no more. Its tasks are lost, also those on other machines, and its bundles here are closed. Returns
  // the workers that hold some of it, which get no more work. They must end.
  std::vector<WorkerId> EndGroup(const PlacementGroupId& group);
  const GroupBundles& bundles() const { return bundles_; }

  // ---- other machines
  void ClusterChanged() { dirty_ = true; }  // a load has changed, or a machine has come
  // The task has ended there. Null where that machine does not have the task (any more). The resources of a creation
  // that `succeeded` stay with the actor until ActorLeft.
  TaskPtr ForwardedFinished(const NodeId& node, const TaskId& task, bool succeeded);
  void ActorLeft(const NodeId& node, const ActorId& actor);
  // The machine that hosts one of our actors; nil: none but this one.
  NodeId HostOf(const ActorId& actor) const { return forwarded_.HostOf(actor); }
  // The machine refused the task, which goes to another one; after eight refusals it fails. Null as above.
  TaskPtr ForwardedReturned(const NodeId& node, const TaskId& task);
  // The object is lost: the tasks that wait for it are lost, in calls of WorkOff. A task that waits for the object only
  // from now on waits anew.
  void ObjectLost(const ObjectId& object, const std::string& why) { tasks_.ObjectLost(object, why); }
  // The machine that sent this task here wants its result no more. Returns the worker that runs it, or 0.
  WorkerId Abandon(const NodeId& from, const TaskId& task);
  // For each machine, the resources that its tasks and actors ask for here, and the part of those that do not run yet.
  std::map<NodeId, RemoteWork> WorkByMachine() const;
  // The machine is dead, and the view knows. Tasks that were forwarded there are retried or lost, as if a worker had
  // died. Tasks that came from there go without a result. Returns the workers that run tasks whose results nobody wants
  // any more. Objects that are owned there are lost one by one, by ObjectLost.
  std::vector<WorkerId> MachineLost(const NodeId& node);

  std::vector<SchedulerDecision> TakeDecisions();  // schedules first

  // ---- for stats
  const ResourceLedger& ledger() const { return ledger_; }
  const TaskQueue& queue() const { return queue_; }
  const DependencyTracker& dependencies() const { return tasks_.dependencies(); }
  const std::map<WorkerId, Worker>& workers() const { return workers_.all(); }
  const SchedulerLimits& limits() const { return limits_; }
  const WorkerLeases& leases() const { return leases_; }
  size_t tasks() const { return tasks_.size(); }
  size_t processes_without_room() const { return tasks_.WithoutRoom(); }
  size_t CountWorkers(WorkerState state) const { return workers_.Count(state); }
  // Why the ready tasks of this shape do not run: one sentence.
  std::string WhyWaiting(const TaskShape& shape) const { return workers_.WhyWaiting(shape); }
  // Nothing where another worker may have one of these tasks.
  std::optional<std::string> WhyPoolIsFull(const TaskShape& shape) const { return workers_.WhyPoolIsFull(shape); }

 private:
  std::vector<WorkerId> DropAll(const std::vector<QueuedTask*>& tasks);
  void LoseTasksIn(const PlacementGroupId& group);
  void RetryOrLose(QueuedTask* task, LoseTask lost);

  const SchedulerLimits limits_;
  ResourceLedger ledger_;
  GroupBundles bundles_{ledger_};
  Decisions decisions_;
  TaskQueue queue_{ledger_};
  TaskTable tasks_{limits_, queue_, decisions_};
  WorkerTable workers_{limits_, ledger_, tasks_, decisions_};
  WorkAhead ahead_{ledger_, queue_, tasks_, workers_, decisions_};
  WorkerLeases leases_{ledger_, queue_, tasks_, workers_, decisions_};
  WaitingBundles waiting_bundles_{ledger_, bundles_, leases_};
  ForwardedTasks forwarded_{queue_, tasks_, decisions_};
  TaskBacklog backlog_{{limits_, queue_, tasks_, workers_, ahead_, forwarded_}};
  Dispatcher dispatcher_{{limits_, ledger_, queue_, tasks_, workers_, ahead_, forwarded_, decisions_}};
  bool dirty_ = false;  // something happened since the last pass
};

}  // namespace raylet
