// TaskBacklog: what events do that may concern very many tasks. An object is sealed, an owner ends, or a job does. The
// event counts at once. Of its tasks some follow at once, tasks_per_turn in each turn of the raylet's loop, and the
// others in calls of WorkOff, in later turns. Pure; owned by the Scheduler. Always holds: a job with doomed tasks is
// suspended in the queue, so no doomed task begins.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "raylet/scheduling/forwarded_tasks.h"
#include "raylet/scheduling/scheduler_limits.h"
#include "raylet/scheduling/task_queue.h"
#include "raylet/scheduling/task_table.h"
#include "raylet/scheduling/work_ahead.h"
#include "raylet/scheduling/worker_table.h"

namespace raylet {

class TaskBacklog {
 public:
  // Whether an object may still be sealed here although its owner has ended.
  using MayBeSealed = std::function<bool(const ObjectId&)>;

  struct Parts {
    const SchedulerLimits& limits;
    TaskQueue& queue;
    TaskTable& tasks;
    WorkerTable& workers;
    WorkAhead& ahead;
    ForwardedTasks& forwarded;
  };
  // All outlive this.
  explicit TaskBacklog(const Parts& parts) : parts_(parts) { BeginTurn(); }

  void BeginTurn();
  // ---- events
  void ObjectSealed(const ObjectId& object);
  // Both return the workers that run a task which ends with its owner or its job, and which nobody wants.
  std::vector<WorkerId> OwnersEnded(const ProcessSet& processes);
  std::vector<WorkerId> JobEnded(JobId job, const ProcessSet& survivors, bool for_good);
  // The objects of these owners are lost, unless they may still come.
  void ObjectsLost(const ProcessSet& owners, const MayBeSealed& may_be_sealed);

  void WorkOff(const MayBeSealed& may_be_sealed);
  bool HasMore() const { return parts_.tasks.HasMore(); }

  // Drops a task that is in no queue and does not run here.
  void Drop(QueuedTask* task);

 private:
  std::vector<WorkerId> LeaveDoomed();
  void DropDoomed(size_t& most);
  void MakeReady(size_t& most);
  void LoseOfEnded(size_t& most, const MayBeSealed& may_be_sealed);

  const Parts parts_;
  // Tasks that events may still take at once in this turn.
  size_t drops_left_ = 0, ready_left_ = 0, lost_left_ = 0;
};

}  // namespace raylet
