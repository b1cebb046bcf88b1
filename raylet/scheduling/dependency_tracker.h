// DependencyTracker: which tasks wait for which objects to be sealed. Pure; the raylet's loop thread. A task is in here
// iff at least one of its objects is not known to be sealed. An object is in here iff at least one task waits for it
// since it was lost last.
#pragma once

#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class DependencyTracker {
 public:
  // Returns the objects for which no task waited before, which the caller must watch. `objects` is not empty; a
  // repeated one counts once.
  std::vector<ObjectId> Add(const TaskId& task, std::span<const ObjectId> objects);
  // Tasks that wait for nothing any more, in no order.
  std::vector<TaskId> Sealed(const ObjectId& object);
  // The object is lost. Returns the tasks that wait for it. They stay until they are removed, and are no longer found
  // by the object.
  std::vector<TaskId> Lost(const ObjectId& object);
  // Returns the objects for which no task waits any more.
  std::vector<ObjectId> Remove(const TaskId& task);

  // Tasks that wait for an object owned by one of `processes`, with one such object each. `may_be_sealed`: whether an
  // object may still be sealed here although its owner has ended. Null: none may.
  std::vector<std::pair<TaskId, ObjectId>> WaitingForOwners(
      const ProcessSet& processes, const std::function<bool(const ObjectId&)>& may_be_sealed = {}) const;
  std::vector<ObjectId> MissingFor(const TaskId& task) const;
  bool Waits(const TaskId& task) const { return missing_.contains(task); }
  size_t tasks() const { return missing_.size(); }
  size_t objects() const { return waiting_.size(); }

 private:
  void Forget(const ObjectId& object);

  // Sets both ways: a task may wait for thousands of objects, and an object be waited for by as many tasks.
  std::unordered_map<TaskId, std::unordered_set<ObjectId>> missing_;
  std::unordered_map<ObjectId, std::unordered_set<TaskId>> waiting_;
  std::unordered_map<ProcessId, size_t> owners_;  // of the objects in waiting_: the number of objects of each owner
};

}  // namespace raylet
