// TaskQueue: tasks that may run as soon as there are resources and a worker. Pure; the raylet's loop thread. It is kept
// by job and by shape. A shape is the resources asked for, the group of workers, whether a worker is wanted for good,
// and the depth of nesting. Either all tasks of a shape fit or none does, so a pass looks at shapes and not at tasks.
// First in, first out within a shape. If two shapes fit, the more deeply nested task goes first, then the older one. A
// shape without tasks is forgotten. Tasks of a held owner are kept aside, in no shape, until the owner is released. Of
// a suspended job nobody sees the shapes, so none of its tasks begins; meanwhile some of them are removed.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "raylet/scheduling/resources.h"
#include "raylet/scheduling/task.h"

namespace raylet {

constexpr size_t kShapesPerJobMax = 1024;  // at each depth

struct QueuedTask;
struct TaskShape;
struct OwnedTasks;
using TaskList = std::list<QueuedTask*>;

// A task on its way through the scheduler.
struct QueuedTask {
  enum class State { kWaiting, kReady, kAhead, kRunning, kForwarded };
  TaskPtr task;
  uint64_t sequence = 0;  // order of submission; a retry keeps it
  int32_t retries_left = 0;
  bool owner_gone = false;     // nobody wants the result: not retried
  bool cancelled = false;      // by its owner, who still gets a result: it does not begin again
  bool group_removed = false;  // its placement group, likewise
  State state = State::kWaiting;
  WorkerId worker = 0;      // kRunning, kAhead: where
  NodeId node;              // kForwarded: where
  bool beyond_fit = false;  // kForwarded: sent ahead, and waits there
  bool going_home = false;  // kAhead: the machine that it came from wants it back
  uint32_t returns = 0;     // how often another machine refused it
  // In a cluster, the objects that it has waited for since it began last, in order. They are kept here until it begins.
  std::vector<ObjectId> awaited;
  TaskShape* shape = nullptr;      // kReady: where the queue has it; null where it is kept aside
  TaskList::iterator place;        // kReady: in the list there; kForwarded: among the tasks on `node`
  OwnedTasks* owned = nullptr;     // with the other tasks of its owner; never null
  TaskList::iterator among_owned;  // in the list there
};

struct TaskShape {
  WorkerGroup group;
  ResourceSet resources;
  bool dedicated = false;              // its worker is an actor's for good
  uint32_t depth = 0;                  // tasks that these are nested in
  std::optional<ResourceNeeds> needs;  // none: tasks of this shape never run on this machine
  TaskList tasks;                      // never empty
};

// Whether `task` goes before `other` where both fit. A nested task goes first, because a task that holds a worker waits
// for it.
inline bool GoesBefore(const QueuedTask& task, const QueuedTask& other) {
  if (task.task->depth != other.task->depth) return task.task->depth > other.task->depth;
  return task.sequence < other.sequence;
}

class TaskQueue {
 public:
  explicit TaskQueue(const ResourceLedger& ledger) : ledger_(ledger) {}

  void Push(QueuedTask* task);       // behind its shape
  void PushAgain(QueuedTask* task);  // it has not begun: goes to the front of its shape
  void PushRetry(QueuedTask* task);  // it may have begun: as PushAgain, with one retry fewer
  // The owner cannot take more results. Creations of actors are not held: they are few, and others may wait for them.
  void Hold(ProcessId owner);
  void Release(ProcessId owner);     // behind what is there
  void OwnerEnded(ProcessId owner);  // its tasks are removed soon; where it is held, they stay so until then
  void Suspend(JobId job);
  void Resume(JobId job);
  const auto& suspended() const { return suspended_; }  // by job
  bool HasRoomForShape(const Task& task) const;         // false: the job has kShapesPerJobMax others

  bool Empty(JobId job) const { return !jobs_.contains(job); }
  size_t size(JobId job) const;
  size_t size() const { return size_; }
  // The numbers above do not count held tasks and those of suspended jobs.
  size_t held_tasks() const { return held_tasks_; }
  bool IsHeld(ProcessId owner) const { return held_.contains(owner); }
  const std::map<ProcessId, TaskList>& held() const { return held_; }
  // The shapes of a job, in the order in which they appeared. Empty where it has none.
  const std::vector<std::unique_ptr<TaskShape>>& shapes(JobId job) const;
  // Jobs with tasks, in order of their numbers.
  std::vector<JobId> jobs() const;
  std::set<WorkerGroup> groups() const;  // with tasks

  // What the group has reserved on this machine has changed.
  void GroupChanged(const PlacementGroupId& group);

  QueuedTask* PopFront(JobId job, size_t shape);
  // Takes the task out, wherever it is. A shape without tasks goes, and the shapes after it move up.
  void Remove(QueuedTask* task);
  // Takes out every task that matches, also held ones and those of suspended jobs.
  std::vector<QueuedTask*> RemoveIf(const std::function<bool(const QueuedTask&)>& matches);
  std::vector<QueuedTask*> RemoveGroup(const WorkerGroup& group);  // all but held ones

 private:
  using Shapes = std::vector<std::unique_ptr<TaskShape>>;
  std::map<JobId, Shapes>& Where(JobId job) { return suspended_.contains(job) ? suspended_ : jobs_; }
  TaskShape& ShapeOf(const Task& task);
  bool KeptAside(QueuedTask* task);
  void PutInto(TaskShape& shape, TaskList::iterator before, QueuedTask* task);

  const ResourceLedger& ledger_;        // outlives this
  std::map<JobId, Shapes> jobs_;        // a job here has at least one shape
  std::map<JobId, Shapes> suspended_;   // and here perhaps none
  std::map<ProcessId, TaskList> held_;  // every held owner, also one without tasks
  std::set<ProcessId> ended_;           // of held_, with tasks: these owners have ended
  size_t size_ = 0;
  size_t held_tasks_ = 0;
};

}  // namespace raylet
