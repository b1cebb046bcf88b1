// CurrentTask: the task that this worker runs, whether its owner has cancelled it, and the tasks that it has submitted,
// which are cancelled with it. Owned by ClusterParts; any thread. A worker runs one task at a time. Nothing is current
// in a driver and in an actor.
#pragma once

#include <atomic>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/cluster_object.h"
#include "fbs/ids.h"

namespace raylet::client {

class CurrentTask {
 public:
  // Around the user's function.
  void Begin(const TaskId& id) RAYLET_EXCLUDES(mutex_);
  void End() RAYLET_EXCLUDES(mutex_);

  bool IsCancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // The current task has submitted a task with this result.
  void AddChild(const ClusterObjectPtr& result) RAYLET_EXCLUDES(mutex_);

  // False where another task is current, or none. `last`: this process ends with the task, at its End at the latest.
  // The task may end by itself meanwhile, because its tasks are cancelled.
  bool Cancel(const TaskId& id, bool last = false) RAYLET_EXCLUDES(mutex_);
  // The results that the current task has not got yet.
  std::vector<ClusterObjectPtr> TakeChildren() RAYLET_EXCLUDES(mutex_);
  // Ends this process where the task is still current. No other task begins meanwhile.
  void EndProcessIf(const TaskId& id) RAYLET_EXCLUDES(mutex_);

 private:
  [[noreturn]] static void EndProcess();

  Mutex mutex_;
  TaskId id_ RAYLET_GUARDED_BY(mutex_);  // nil: none
  std::vector<std::weak_ptr<ClusterObject>> children_ RAYLET_GUARDED_BY(mutex_);
  bool last_ RAYLET_GUARDED_BY(mutex_) = false;
  size_t look_at_ RAYLET_GUARDED_BY(mutex_) = 0;  // children after which those that have ended are dropped
  std::atomic<bool> cancelled_{false};            // stored under mutex_; a number alone
};

}  // namespace raylet::client
