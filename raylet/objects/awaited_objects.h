// AwaitedObjects: which processes wait in ray::Wait for which objects, and hear when those are sealed here. A core.
// Owned by the ObjectDesk; loop thread only.
#pragma once

#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

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
  std::vector<ObjectId> ProcessGone(ProcessId process);   // returns the objects that no process waits for any more
  size_t objects() const { return by_object_.size(); }
  size_t processes() const { return by_process_.size(); }

 private:
  std::unordered_map<ObjectId, std::unordered_set<ProcessId>> by_object_;
  std::unordered_map<ProcessId, std::unordered_set<ObjectId>> by_process_;
};

}  // namespace raylet
