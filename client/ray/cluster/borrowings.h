// Borrowings: the lends of other processes to this one: for each that has not gone back, its lender and the objects
// that it covers here. When a lender ends, this process claims the objects that it still refers to, at the machine of
// each object's owner. It releases those claims when the lend would have gone back. Owned by ClusterParts; any thread.
// Always holds: once LendersEnded has returned, everything that their lends cover here is claimed.
#pragma once

#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"
#include "fbs/ids.h"

namespace raylet::client {

class Borrowings {
 public:
  Borrowings(RayletLink& link, Ownership& ownership) : link_(link), ownership_(ownership) {}

  // `lend` names the borrowing from now on, and until Remove.
  void Add(const void* lend, ProcessId lender, std::vector<ObjectId> covered) RAYLET_EXCLUDES(mutex_);
  // Something that was unpacked under `lend` refers to this object. Nothing where that is no lend of
  // another process.
  void Cover(const void* lend, const ObjectId& object) RAYLET_EXCLUDES(mutex_);
  // True where the lender still has to hear of it: it lives, as far as we know.
  bool Remove(const void* lend) RAYLET_EXCLUDES(mutex_);
  // After Ownership::MarkEnded of the same. One may stand for all processes of its machine.
  void LendersEnded(std::span<const ProcessId> processes) RAYLET_EXCLUDES(mutex_);

 private:
  struct Borrowing {
    ProcessId lender = 0;
    std::unordered_set<ObjectId> covered;  // a value may refer to very many
    bool claimed = false;
    Holds own;  // of the covered objects, those that are this process's own
  };
  // Adds the objects of other owners to `of_others`. The caller claims them once the lock is released.
  void ClaimAll(Borrowing& borrowing, std::vector<ObjectId>& of_others) RAYLET_REQUIRES(mutex_);
  void Claim(Borrowing& borrowing, const ObjectId& object, std::vector<ObjectId>& of_others) RAYLET_REQUIRES(mutex_);
  void Tell(wire::RayletMessage type, std::span<const ObjectId> objects);

  RayletLink& link_;
  Ownership& ownership_;
  Mutex mutex_;  // no hold is dropped under it
  std::unordered_map<const void*, Borrowing> all_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
