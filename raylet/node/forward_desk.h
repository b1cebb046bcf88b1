// ForwardDesk: tasks that this machine sends to others, and tasks that others send here. A desk. Owned by the TaskDesk,
// whose scheduler decides about both kinds; loop thread only. Always holds: a task from another machine ends in a
// ForwardedResult, a TaskReturned or a TasksRecalled, unless that machine cancels it or is lost. A job's program goes
// ahead of its first task. A machine that was lost and comes back sends a task again whose earlier try may still end
// here. It is submitted once that has ended.
#pragma once

#include <unordered_map>

#include "raylet/node/creations.h"
#include "raylet/node/services.h"
#include "raylet/node/travelling_objects.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

class ForwardDesk {
 public:
  // All outlive it.
  ForwardDesk(Scheduler& scheduler, const Services& services);
  void Wire(CreationEvents& creations, TravellingObjects& objects);

  // ---- messages of other machines
  Result<void> OnJobProgram(const NodeId& node, const Frame& frame);
  Result<void> OnJobWarning(const NodeId& node, const Frame& frame);
  Result<void> OnForwardTask(const NodeId& node, const Frame& frame);
  Result<void> OnForwardedResult(const NodeId& node, const Frame& frame);
  Result<void> OnTaskReturned(const NodeId& node, const Frame& frame);
  Result<void> OnCancelTask(const NodeId& node, const Frame& frame);
  Result<void> OnRecallTasks(const NodeId& node, const Frame& frame);
  Result<void> OnTasksRecalled(const NodeId& node, const Frame& frame);

  // Submits what came while its earlier try still ended here, and can begin by now. Adds no decision where nothing came
  // so.
  void SubmitEarly();
  void MachineLost(const NodeId& node);

  // A worker has run a task of another machine; `body` is the worker's message.
  void SendResult(const Task& task, const wire::TaskResult& result, Bytes body);
  // To the machine that the task came from. Not if that one was lost meanwhile: it may be back, and take the result for
  // that of the task's next try.
  void TellResult(const Task& task, Bytes body);

  // ---- decisions
  void Forward(const ForwardTask& forward);
  void Recall(const RecallForwarded& recall);
  void Return(const ReturnRecalled& returned);
  void Cancel(const CancelForwarded& cancel);

 private:
  void TellProgram(const NodeId& node, JobId id);
  void Refuse(const NodeId& node, const TaskId& task, const Error& why);
  Result<void> Submit(const TaskPtr& task);
  bool IsAwaited(const Task& task) const;

  Scheduler& scheduler_;
  StoreLink& store_;
  PeerPost& post_;
  ProcessDoor& door_;
  WorkerHouse& house_;
  Jobs& jobs_;
  CreationEvents* creations_ = nullptr;        // null before Wire
  TravellingObjects* objects_ = nullptr;       // null before Wire
  std::unordered_map<TaskId, TaskPtr> early_;  // of other machines; an earlier try of each still ends here
};

}  // namespace raylet
