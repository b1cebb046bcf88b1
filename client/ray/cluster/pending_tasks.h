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

class TaskKind;

class PendingTasks {
 public:
  PendingTasks(RayletLink& link, Ownership& ownership, Borrowings& borrowings)
      : link_(link), ownership_(ownership), borrowings_(borrowings) {}
  void Stop(const FailurePtr& failure) RAYLET_EXCLUDES(mutex_);  // fails them all

  // Before it is sent. `kind`: of a task that a leased worker might have run.
  void Add(const TaskId& id, PendingCall task, TaskRoom::Place place, TaskKind* kind = nullptr) RAYLET_EXCLUDES(mutex_);
  std::optional<PendingCall> Take(const TaskId& id) RAYLET_EXCLUDES(mutex_);
  bool Has(const TaskId& id) RAYLET_EXCLUDES(mutex_);
  // Takes a task that was cancelled; nothing where it was not.
  std::optional<PendingCall> TakeCancelled(const TaskId& id) RAYLET_EXCLUDES(mutex_);
  // The raylet says how it ended. Returns its kind.
  TaskKind* Finish(wire::TaskResultT result) RAYLET_EXCLUDES(mutex_);

 private:
  struct Pending {
    PendingCall task;
    TaskRoom::Place place;
    TaskKind* kind = nullptr;
  };
  std::optional<Pending> TakePending(const TaskId& id) RAYLET_EXCLUDES(mutex_);
  void Fulfil(const PendingCall& task, wire::TaskResultT result);

  RayletLink& link_;
  Ownership& ownership_;
  Borrowings& borrowings_;
  Mutex mutex_;
  std::unordered_map<TaskId, Pending> tasks_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
