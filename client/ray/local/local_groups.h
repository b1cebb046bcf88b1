// LocalGroups: the placement groups of local_mode. One process has no machines to choose from and reserves nothing. So
// a group is created at once, and tasks and actors in it run as others do. Owned by the runtime; any thread.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include <ray/api/placement_group.h>

#include "base/mutex.h"

namespace raylet::client {

class LocalGroups {
 public:
  // As in ray::internal::Runtime.
  std::string Create(const ray::PlacementGroupCreationOptions& options) RAYLET_EXCLUDES(mutex_);
  void Remove(const std::string& id) RAYLET_EXCLUDES(mutex_);
  bool Await(const std::string& id) const RAYLET_EXCLUDES(mutex_);
  std::vector<ray::PlacementGroup> Find(const std::string& id, const std::string& name) const RAYLET_EXCLUDES(mutex_);
  // Throws RayException where the group was removed, or where there never was one.
  void CheckUsable(const std::string& id) const RAYLET_EXCLUDES(mutex_);

 private:
  static constexpr size_t kRemovedKeptMax = 1000;

  mutable Mutex mutex_;
  std::map<std::string, ray::PlacementGroup> groups_ RAYLET_GUARDED_BY(mutex_);  // by id, the removed ones too
  std::deque<std::string> removed_ RAYLET_GUARDED_BY(mutex_);                    // oldest first
};

}  // namespace raylet::client
