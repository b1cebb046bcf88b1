// ClaimBook: the objects of this machine's processes that others claim. A process claims an object when its lender has
// ended and it still refers to the object. A living owner holds its object for as long as a process claims it. Once the
// owner has ended, this machine keeps the claimed object in its place: it *adopts* the object. A core: each event
// leaves its orders for TakeOrders. Owned by the ClaimDesk; loop thread only.
//
// The states of an owner: it *lives*; it has *ended*, and claims still arrive; its end is *settled*. Once it is settled
// all that heard of the end have claimed, and the unclaimed objects are freed.
// Always holds: an object is adopted iff its owner has ended and a process claims it. The orders to adopt those that
// were claimed before the end come by WorkOff, some at a time, and so does what a settled claimer leaves.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/spread_map.h"
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

  void OwnerEnded(ProcessId owner);  // its claimed objects are adopted
  // `known`: its objects, as far as this machine knows them. The objects for which `exists` is false will never be
  // made, even if a process claims them.
  void OwnerSettled(ProcessId owner, std::span<const ObjectId> known);
  // The claimer's end is settled: its claims go, since others have claimed what they had through it.
  void ClaimerSettled(ProcessId claimer);
  void MachineSettled(MachineNumber machine);  // all claimers there
  // Gives the orders to adopt up to `most` objects, and takes away up to `most` claims of settled claimers. Call it
  // while `works`.
  void WorkOff(size_t most);
  bool works() const { return adopts() || !leaving_.empty(); }
  bool adopts() const { return !to_adopt_.empty(); }  // objects of ended owners still lack their orders

  // The owner has ended, and the object may not be freed (yet).
  bool IsKept(const ObjectId& object) const;
  // Up to `most` of the owner's claimed objects, in order, from the first one after `after` on.
  std::vector<ObjectId> ClaimedOf(ProcessId owner, const ObjectId& after, size_t most) const;
  bool IsFreed(const ObjectId& object) const;  // claimed, though its owner had freed it
  std::vector<ProcessId> ClaimersOf(const ObjectId& object) const;
  std::vector<ObjectId> Some(size_t most) const;  // of the claimed objects
  Orders TakeOrders() { return std::exchange(orders_, {}); }

  size_t claimed() const { return claims_.size(); }
  size_t ended() const { return ended_.size(); }
  size_t claimers() const { return by_claimer_.size() + leaving_.size(); }

 private:
  struct ClaimsOfObject {
    std::map<ProcessId, uint32_t> by;  // and how often
    bool freed = false;
  };
  using Claims = SpreadMap<ObjectId, ClaimsOfObject>;
  using Index = std::unordered_map<ProcessId, std::set<ObjectId>>;  // of claims_; no set is empty
  static bool Erase(Index& index, ProcessId process, const ObjectId& object);
  void Unclaimed(const ObjectId& object);
  void TakeAway(ProcessId claimer, const ObjectId& object);

  Claims claims_;
  Index by_owner_;
  Index by_claimer_;
  Index leaving_;  // claims of settled claimers that are still to be taken away
  struct ToAdopt {
    ProcessId owner = 0;
    ObjectId after;  // those up to this one have their orders
  };
  std::deque<ToAdopt> to_adopt_;
  // The ended owners, and whether each is settled. Erased once it is settled and none of its objects is claimed.
  std::unordered_map<ProcessId, bool> ended_;
  Orders orders_;
};

}  // namespace raylet
