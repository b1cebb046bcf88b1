// WaitSet: the objects of one ray::Wait, and which of them are ready. Owned by that call, on its thread. It looks at a
// borrowed object when there is news of it, so that a wait for many of them looks at each a few times only.
#pragma once

#include <cstddef>
#include <limits>
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
  // It finds `count` of the objects at most, and looks at none once it has found so many. Parts, wanted and objects
  // outlive it. Throws where an object that it looks at is of an earlier session.
  WaitSet(const ObjectParts& parts, WantedObjects& wanted, std::span<const ray::internal::ObjectHandle> objects,
          size_t count);

  // Looks for ready objects, and returns how many it has found so far.
  size_t Look() { return Look(std::numeric_limits<size_t>::max()); }
  bool Enough() const { return found_ == count_; }
  // Looks whether there are enough by now. A waiting thread calls it often. It stops at the object that shows that
  // there are not, so there may be ready ones behind it.
  bool LookForEnough();
  const std::vector<bool>& ready() const { return ready_; }

 private:
  struct Own {
    const ClusterObject* object;
    size_t at;
  };

  size_t Look(size_t pending_max);
  // Stops once it has seen more pending ones than pending_max.
  void LookAtOwn(size_t pending_max);
  void LookAtBorrowed();
  void LookAt(const ObjectId& id);
  bool FoundBorrowed(size_t at);  // looks at this one
  void Found(size_t at);

  const ObjectParts& parts_;
  WantedObjects& wanted_;
  const std::span<const ray::internal::ObjectHandle> objects_;
  const size_t count_;
  std::vector<bool> ready_;  // found_ of them
  size_t found_ = 0;
  std::vector<Own> own_;  // in order; from own_begin_ on those that it has not found
  size_t own_begin_ = 0;
  std::vector<std::pair<ObjectId, size_t>> borrowed_;  // in order; those not found at the last look at all
  std::optional<WantedObjects::Scope> wants_;          // while objects are awaited from others
};

}  // namespace raylet::client
