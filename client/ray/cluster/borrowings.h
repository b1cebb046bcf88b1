// Borrowings: the lends of other processes to this one: for each that has not gone back, its lender and the objects
// that it covers here. When a lender ends, this process claims the objects that it still refers to, at the machine of
// each object's owner. It releases those claims when the lend would have gone back. An object that was found by its id
// alone has no lender, and is claimed at once. When a call ends, it says which of the arguments are still held here.
// Owned by ClusterParts; any thread.
// Always holds: once LendersEnded has returned, everything that their lends cover here is claimed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "base/mutex.h"
#include "client/ray/cluster/covered_objects.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"
#include "fbs/ids.h"

namespace raylet::client {

class Borrowings {
 public:
  Borrowings(RayletLink& link, Ownership& ownership) : link_(link), ownership_(ownership) {}

  static constexpr ProcessId kNoLender = 0;
  // `lend` names the borrowing from now on, and until Remove. It covers these until Retain. kNoLender: nobody keeps
  // them for this process, which claims them now.
  void Add(const void* lend, ProcessId lender, std::span<const ObjectId> covered) RAYLET_EXCLUDES(mutex_);
  // Something that was unpacked under `lend` refers to this object, and keeps what this returns. So does an argument
  // that is unpacked. Returns `lend` itself where that is no lend of another process.
  ray::internal::Hold Cover(const ray::internal::Hold& lend, const ObjectId& object) RAYLET_EXCLUDES(mutex_);
  // The process that lent this; 0 where no other process did. `directly`: the lent object is the one that is unpacked.
  // Otherwise that one was found in the lent object.
  struct Origin {
    ProcessId lender = 0;
    bool directly = false;
  };
  Origin OriginOf(const ray::internal::Hold& lend) RAYLET_EXCLUDES(mutex_);
  // The call has ended whose arguments `lend` covers: it covers only what is held from now on. Returns the ids of the
  // message that the process still holds, and of the message's objects in which it found others that it holds.
  std::vector<ObjectId> Retain(const void* lend) RAYLET_EXCLUDES(mutex_);
  // True where the lender still has to hear of it: it lives, as far as we know.
  bool Remove(const void* lend) RAYLET_EXCLUDES(mutex_);
  // After Ownership::MarkEnded of the same. One may stand for all processes of its machine.
  void LendersEnded(std::span<const ProcessId> processes) RAYLET_EXCLUDES(mutex_);

  size_t size() const RAYLET_EXCLUDES(mutex_);  // the lends that have not gone back; for tests

 private:
  struct Borrowing {
    ProcessId lender = 0;
    CoveredObjects covered;
    bool claimed = false;  // all that are covered, and nothing leaves them any more
    Holds own;             // of the covered objects, those that are this process's own
  };
  // The hold that Cover returns: it holds the lend, and counts itself.
  struct Holder {
    Borrowings* borrowings;
    ray::internal::Hold lend;
    ObjectId object;
    ObjectId root;  // what the message itself named, and in which the object was found
    void operator()(const void*);
  };
  void Uncover(const Holder& holder) RAYLET_EXCLUDES(mutex_);
  // Adds the objects of other owners to `of_others`. The caller claims them once the lock is released.
  void ClaimAll(Borrowing& borrowing, std::vector<ObjectId>& of_others) RAYLET_REQUIRES(mutex_);
  void Claim(Borrowing& borrowing, const ObjectId& object, std::vector<ObjectId>& of_others) RAYLET_REQUIRES(mutex_);
  void Tell(wire::RayletMessage type, std::span<const ObjectId> objects, bool unlent);

  RayletLink& link_;
  Ownership& ownership_;
  mutable Mutex mutex_;  // no hold is dropped under it
  absl::flat_hash_map<const void*, Borrowing> all_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
