// Dispatcher: one pass over the ready tasks. It decides which tasks begin here or go to another machine. It also starts
// and stops workers. Pure; the raylet's loop thread. Always holds: no job waits behind another's whole queue; a task
// begins only with all that it asks for.
#pragma once

#include <functional>
#include <optional>

#include "raylet/scheduling/forwarded_tasks.h"
#include "raylet/scheduling/placement_policy.h"
#include "raylet/scheduling/task_table.h"
#include "raylet/scheduling/work_ahead.h"
#include "raylet/scheduling/worker_table.h"

namespace raylet {

class Dispatcher {
 public:
  // The tables that a pass changes; all outlive the dispatcher.
  struct Parts {
    const SchedulerLimits& limits;
    const ResourceLedger& ledger;
    TaskQueue& queue;
    TaskTable& tasks;
    WorkerTable& workers;
    WorkAhead& ahead;
    ForwardedTasks& forwarded;
    Decisions& decisions;
  };
  explicit Dispatcher(const Parts& parts) : parts_(parts) {}
  void JoinCluster(const ClusterView& view, const ObjectPlaces& places);

  void Pass();

 private:
  struct Plan;

  void EachJobInTurn(const std::function<bool(JobId)>& dispatch_next);
  void PassHere();
  void PassInCluster();
  bool DispatchOne(JobId job);
  bool PlaceOne(JobId job, Plan& plan);
  Placement Place(const QueuedTask& task, const std::optional<ResourceNeeds>& needs, const ResourceLedger& left) const;
  void Begin(QueuedTask* task, const ResourceNeeds& needs);
  size_t WantedWorkers(const WorkerGroup& group, ResourceLedger& left, size_t wanted_of_others) const;
  void StartMissing(const std::function<size_t(const WorkerGroup&)>& wanted_of);
  bool MayBegin(const TaskShape& shape, size_t more = 0) const {
    return shape.dedicated || reserve_.MayBegin(shape.depth, more);
  }

  const Parts parts_;
  const ObjectPlaces* places_ = nullptr;
  std::optional<PlacementPolicy> policy_;
  PoolReserve reserve_{0, 0, 0};  // of this pass
  JobId last_job_ = 0;            // the job served last: the next job has its turn
};

}  // namespace raylet
