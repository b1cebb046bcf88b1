// WaitSet: the objects of one ray::Wait, and which of them are ready. Owned by that call, on its thread. It looks at a
// borrowed object when there is news of it, so that a wait for many of them looks at each a few times only.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <ray/internal/runtime.h>

#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/store_access.h"
#include "client/ray/cluster/wanted_objects.h"
#include "fbs/ids.h"

namespace raylet::client {

class WaitSet {
 public:
  // All outlive it. Throws where an object is of an earlier session.
  WaitSet(const ObjectParts& parts, WantedObjects& wanted, std::span<const ray::internal::ObjectHandle> objects);

  // Looks for ready objects, and returns how many it has found so far. A waiting thread calls it often.
  size_t Look();
  const std::vector<bool>& ready() const { return ready_; }

 private:
  void LookAtBorrowed();
  void LookAt(const ObjectId& id);
  bool Found(size_t object);  // looks at this one
  bool IsReady(const ClusterObject& object) const;

  const ObjectParts& parts_;
  WantedObjects& wanted_;
  std::vector<const ClusterObject*> objects_;
  std::vector<bool> ready_;
  size_t found_ = 0;
  std::vector<size_t> own_;                            // not found yet
  std::vector<std::pair<ObjectId, size_t>> borrowed_;  // in order; those not found at the last look at all
  std::optional<WantedObjects::Scope> wants_;          // while objects are awaited from others
};

}  // namespace raylet::client
