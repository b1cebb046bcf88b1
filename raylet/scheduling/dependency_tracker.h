// DependencyTracker: which tasks wait for which objects to be sealed. Pure; the raylet's loop thread. A task is in here
// iff at least one of its objects is not known to be sealed, or the tracker has still to look at one that is. An object
// is in here iff at least one task waits for it since it was sealed or lost last. Very many tasks may wait for an
// object, and for objects of one owner. So an event is noted at once, and the caller takes what follows in parts.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/spread_map.h"
#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class DependencyTracker {
 public:
  using Waiting = std::map<uint64_t, TaskId>;  // by the order in which the tasks were submitted

  // Returns the objects for which no task waited before, which the caller must watch. `objects` is not empty; a
  // repeated one counts once. No two tasks in here have the same sequence.
  std::vector<ObjectId> Add(const TaskId& task, uint64_t sequence, std::span<const ObjectId> objects);
  // The object is sealed. TakeReady names the tasks that wait for nothing any more.
  void Sealed(const ObjectId& object);
  // In order for each object. Looks at `most` tasks that waited for a sealed object, and takes them off `most`.
  std::vector<TaskId> TakeReady(size_t& most);
  // The object is lost. Returns the tasks that wait for it. They stay until they are removed, and are no longer found
  // by the object.
  Waiting Lost(const ObjectId& object);
  // Returns the objects for which no task waits any more.
  std::vector<ObjectId> Remove(const TaskId& task);

  // These owners have ended. TakeLost names their objects in here that may not be sealed any more. It looks at `most`
  // of them, and takes these off `most`. `may_be_sealed`: whether an object may still be sealed here although its owner
  // has ended. Null: none may.
  void OwnersEnded(const ProcessSet& processes);
  std::vector<ObjectId> TakeLost(size_t& most, const std::function<bool(const ObjectId&)>& may_be_sealed);
  bool HasMore() const { return !sealed_.empty() || !of_ended_.empty(); }  // for TakeReady or TakeLost

  bool Waits(const TaskId& task) const { return missing_.contains(task); }
  size_t tasks() const { return missing_.size(); }
  size_t objects() const { return waiting_.size(); }

 private:
  struct Missing {
    uint64_t sequence = 0;
    std::unordered_set<ObjectId> objects;
  };
  Waiting Forget(const ObjectId& object);

  SpreadMap<TaskId, Missing> missing_;
  SpreadMap<ObjectId, Waiting> waiting_;
  std::unordered_map<ProcessId, std::set<ObjectId>> by_owner_;  // objects in waiting_, but for those in of_ended_
  struct SealedObject {
    ObjectId object;
    Waiting tasks;  // never empty
  };
  std::deque<SealedObject> sealed_;          // at whose tasks TakeReady has still to look
  std::deque<std::set<ObjectId>> of_ended_;  // at which TakeLost has still to look; some may not be in here any more
};

}  // namespace raylet
