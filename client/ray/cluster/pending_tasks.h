// PendingTasks: the tasks of this process whose end the raylet has not told yet, with their places
// in TaskRoom. An actor's creation is among them where something was lent to it, without a place. Owned by
// ClusterParts; any thread.
#pragma once

#include <optional>
#include <unordered_map>

#include "base/mutex.h"
#include "client/ray/cluster/borrowings.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/pending_call.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/task_room.h"

namespace raylet::client {

class PendingTasks {
 public:
  PendingTasks(RayletLink& link, Ownership& ownership, Borrowings& borrowings)
      : link_(link), ownership_(ownership), borrowings_(borrowings) {}
  void Stop(const FailurePtr& failure) RAYLET_EXCLUDES(mutex_);  // fails them all

  void Add(const TaskId& id, PendingCall task, TaskRoom::Place place) RAYLET_EXCLUDES(mutex_);  // before it is sent
  std::optional<PendingCall> Take(const TaskId& id) RAYLET_EXCLUDES(mutex_);
  // The raylet says how it ended.
  void Finish(wire::TaskResultT result) RAYLET_EXCLUDES(mutex_);

 private:
  struct Pending {
    PendingCall task;
    TaskRoom::Place place;
  };
  RayletLink& link_;
  Ownership& ownership_;
  Borrowings& borrowings_;
  Mutex mutex_;
  std::unordered_map<TaskId, Pending> tasks_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
