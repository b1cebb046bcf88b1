// WorkAhead: tasks that are sent to busy workers before there is room, so that short tasks do not wait for a round trip
// each. A task that waits behind long work is recalled. Pure; the raylet's loop thread. Always holds: a task that is
// ahead has not been started, and takes no resources: it asks for exactly those that its worker holds.
#pragma once

#include <map>
#include <vector>

#include "raylet/scheduling/task_table.h"
#include "raylet/scheduling/worker_table.h"

namespace raylet {

class WorkAhead {
 public:
  using Worker = WorkerTable::Worker;

  // All outlive this.
  WorkAhead(const ResourceLedger& ledger, TaskQueue& queue, TaskTable& tasks, WorkerTable& workers,
            Decisions& decisions)
      : ledger_(ledger), queue_(queue), tasks_(tasks), workers_(workers), decisions_(decisions) {}

  void Send();                // call it after all tasks that fit have been placed
  void Next(Worker& worker);  // the worker's task has ended, and it has begun the next one already
  void Recall(Worker& worker);
  void RecallOwnedBy(ProcessId owner);
  // That machine wants those of its tasks back that do not run yet. Decides ReturnRecalled, at once for ready tasks,
  // and later for tasks that are ahead in workers.
  void RecalledBy(const NodeId& from);
  Result<void> GaveBack(WorkerId worker, const std::vector<TaskId>& tasks);
  void Gone(Worker& worker);  // the worker has gone, and has begun none of its tasks ahead
  void Tick();
  bool WantsTick() const;

 private:
  static constexpr size_t kPerWorkerMax = 64;
  static constexpr size_t kBytesPerWorkerMax = size_t{8} << 20;
  using Homes = std::map<NodeId, std::vector<TaskId>>;

  static bool HasRoom(const Worker& worker) {
    return worker.ahead.size() < worker.pace.Window(kPerWorkerMax) && worker.ahead_bytes < kBytesPerWorkerMax;
  }
  void SendOf(JobId job, size_t shape);
  void ComeBack(QueuedTask* task, Homes& homes);
  void AllComeBack(Worker& worker, Homes& homes);
  void SendHome(Homes& homes);

  const ResourceLedger& ledger_;
  TaskQueue& queue_;
  TaskTable& tasks_;
  WorkerTable& workers_;
  Decisions& decisions_;
};

}  // namespace raylet
