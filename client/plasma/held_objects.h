// HeldObjects: the holds of one connection of a PlasmaClient, by id: one from each Create and each Get of the manual
// form, until as many Releases. An id that was deleted and created anew is another object with holds of its own. Any
// thread; ids are spread over several locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "client/plasma/pinned_object.h"
#include "fbs/ids.h"

namespace raylet::client {

class HeldObjects {
 public:
  // By a Get. The object stays pinned until as many Releases.
  void Add(const ObjectId& id, PinnedObject view);
  // By a Create. Keeps `creation` until its Release.
  void AddCreation(const ObjectId& id, std::shared_ptr<void> creation);

  // Drops one hold, of the object that was held first. False where there is none.
  bool Release(const ObjectId& id);
  // Drops the hold of this creation, if it is still there.
  void ReleaseCreation(const ObjectId& id, const void* creation);
  bool HoldsCreation(const ObjectId& id, const void* creation) const;
  size_t size() const;  // ids

 private:
  // One object: a creation, or a view with a count.
  struct Hold {
    std::shared_ptr<void> creation;
    PinnedObject view;
    uint64_t count = 1;
  };
  // Of one id, the oldest first. More than one is rare.
  struct Holds {
    Hold first;
    std::vector<Hold> later;
  };
  using HoldsById = std::unordered_map<ObjectId, Holds>;
  struct alignas(64) Part {
    mutable Mutex mutex;
    HoldsById holds RAYLET_GUARDED_BY(mutex);
  };
  static constexpr size_t kParts = 16;

  Part& PartOf(const ObjectId& id) { return parts_[id.Hash() >> 32 & (kParts - 1)]; }
  const Part& PartOf(const ObjectId& id) const { return parts_[id.Hash() >> 32 & (kParts - 1)]; }
  // Removes one of the holds at `it`. The caller lets the result go without the lock.
  static Hold Remove(Part& part, HoldsById::iterator it, Hold& hold) RAYLET_REQUIRES(part.mutex);

  std::array<Part, kParts> parts_;
};

}  // namespace raylet::client
