// JobRoom bounds the tasks of a job that are under way, and their bytes. It knows the processes that wait for room.
// Pure; the raylet's loop thread.
// Always holds: tasks leave room to more deeply nested ones. So a task can always submit the tasks that it waits for.
// TakeReady names a waiting process once there is room for its deepest task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "fbs/ids.h"
#include "raylet/scheduling/scheduler_limits.h"

namespace raylet {

class JobRoom {
 public:
  explicit JobRoom(const SchedulerLimits& limits) : limits_(limits) {}

  // For one more task that is nested so deeply. A task may pass the bound by its own size.
  bool Has(uint32_t depth) const;
  void Take(size_t bytes);
  void Give(size_t bytes);
  size_t tasks() const { return tasks_; }
  size_t bytes() const { return bytes_; }

  void Wait(ProcessId process, uint32_t depth);
  void Forget(ProcessId process) { waiting_.erase(process); }
  bool AnyWaits() const { return !waiting_.empty(); }
  size_t waiting() const { return waiting_.size(); }
  // Those for whose deepest task there is room again. They wait no longer: what finds none waits anew.
  std::vector<ProcessId> TakeReady();

 private:
  bool IsBelow(uint32_t depth, size_t tasks_more, size_t bytes_more) const;

  const SchedulerLimits& limits_;  // outlives this
  size_t tasks_ = 0;
  size_t bytes_ = 0;
  std::map<ProcessId, uint32_t> waiting_;  // the depth of its deepest task
};

}  // namespace raylet
