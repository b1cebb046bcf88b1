// AwaitedObjects: which processes wait in ray::Wait for which objects, and hear when those are sealed here. A core.
// Owned by the ObjectDesk; loop thread only.
#pragma once

#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/spread_map.h"
#include "fbs/ids.h"

namespace raylet {

class AwaitedObjects {
 public:
  void Add(ProcessId process, const ObjectId& object) {
    by_object_[object].insert(process);
    by_process_[process].insert(object);
  }
  // True where no process waits for the object any more.
  bool Remove(ProcessId process, const ObjectId& object);
  std::vector<ProcessId> Sealed(const ObjectId& object);  // returns the waiting processes, which wait no longer
  // Forgets up to `most` objects of a process that has gone: removes those that no process waits for any more, and adds
  // them to `unwanted`. False: there are more.
  bool ProcessGone(ProcessId process, size_t most, std::vector<ObjectId>& unwanted);
  size_t objects() const { return by_object_.size(); }
  size_t processes() const { return by_process_.size(); }

 private:
  SpreadMap<ObjectId, std::unordered_set<ProcessId>> by_object_;
  std::unordered_map<ProcessId, std::set<ObjectId>> by_process_;
};

}  // namespace raylet
