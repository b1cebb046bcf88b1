// ClaimBook: the objects of this machine's processes that others claim. A process claims an object when its lender has
// ended and it still refers to the object. A living owner holds its object for as long as a process claims it. Once the
// owner has ended, this machine keeps the claimed object in its place: it *adopts* the object. A core: each event
// leaves its orders for TakeOrders. Owned by the ClaimDesk; loop thread only.
//
// The states of an owner: it *lives*; it has *ended*, and claims still arrive; its end is *settled*. Once it is settled
// all that heard of the end have claimed, and the unclaimed objects are freed.
// Always holds: an object is adopted iff its owner has ended and a process claims it.
#pragma once

#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class ClaimBook {
 public:
  struct Orders {
    std::map<ProcessId, std::vector<ObjectId>> hold, let_go;  // by living owner
    std::vector<ObjectId> adopted;
    std::vector<ObjectId> freed;  // of owners that have ended; nobody claims them any more
    bool empty() const { return hold.empty() && let_go.empty() && adopted.empty() && freed.empty(); }
  };

  // `by` claims the object once more; it releases each claim once. `owner_lives`: the owner has not ended. Returns
  // false where the object is lost: its owner is settled, and nobody claimed the object in time; or its living owner
  // had freed it.
  bool Claim(ProcessId by, const ObjectId& object, bool owner_lives);
  void Release(ProcessId by, const ObjectId& object);
  void Freed(const ObjectId& object);  // the living owner does not hold it, since it had freed it

  void OwnerEnded(ProcessId owner);
  // `known`: its objects, as far as this machine knows them. The objects for which `exists` is false will never be
  // made, even if a process claims them.
  void OwnerSettled(ProcessId owner, std::span<const ObjectId> known);
  // The claimer's end is settled: its claims go, since others have claimed what they had through it.
  void ClaimerSettled(ProcessId claimer);
  void MachineSettled(MachineNumber machine);  // all claimers there

  // The owner has ended, and the object may not be freed (yet).
  bool IsKept(const ObjectId& object) const;
  std::vector<ObjectId> AdoptedOf(ProcessId owner) const;
  bool IsFreed(const ObjectId& object) const;  // claimed, though its owner had freed it
  std::vector<ProcessId> ClaimersOf(const ObjectId& object) const;
  std::vector<ObjectId> Some(size_t most) const;  // of the claimed objects
  Orders TakeOrders() { return std::exchange(orders_, {}); }

  size_t claimed() const { return claims_.size(); }
  size_t ended() const { return ended_.size(); }
  size_t claimers() const { return by_claimer_.size(); }

 private:
  struct ClaimsOfObject {
    std::map<ProcessId, uint32_t> by;  // and how often
    bool freed = false;
  };
  using Claims = std::unordered_map<ObjectId, ClaimsOfObject>;
  void Unclaimed(const ObjectId& object);

  Claims claims_;
  std::unordered_map<ProcessId, std::unordered_set<ObjectId>> by_owner_;    // of claims_
  std::unordered_map<ProcessId, std::unordered_set<ObjectId>> by_claimer_;  // of claims_
  // The ended owners, and whether each is settled. Erased once it is settled and none of its objects is claimed.
  std::unordered_map<ProcessId, bool> ended_;
  Orders orders_;
};

}  // namespace raylet
