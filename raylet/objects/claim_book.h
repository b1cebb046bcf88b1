// ClaimBook: the objects of this machine's processes that others claim. A process claims an object
// when its lender has ended and it still refers to the object. While the owner lives, it holds the
// object for as long as somebody claims it. Once the owner has ended, the machine keeps what is
// claimed in its place: it *adopts* the object. A core: each event leaves its orders for TakeOrders.
// Owned by the ClaimDesk; loop thread only.
//
// The life of an owner: it lives; it has *ended*, and others still come with their claims; it is
// *settled*: all that heard of its end have claimed, and what nobody claims is freed.
// Always holds: an object is adopted iff its owner has ended and somebody claims it.
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

  // `by` claims the object once more; it releases each claim once. `owner_lives`: it has not ended.
  // False where the object is lost: its owner is settled, and nobody claimed it in time.
  bool Claim(ProcessId by, const ObjectId& object, bool owner_lives);
  void Release(ProcessId by, const ObjectId& object);

  void OwnerEnded(ProcessId owner);
  // `known`: its objects, as far as this machine knows them. Those that `exists` denies will never
  // be made, whoever claims them.
  void OwnerSettled(ProcessId owner, std::span<const ObjectId> known);
  // What a claimer held is somebody else's claim by now, or nobody's.
  void ClaimerSettled(ProcessId claimer);
  void MachineSettled(MachineNumber machine);  // all claimers there

  // Its owner has ended, and it may not be freed (yet).
  bool IsKept(const ObjectId& object) const;
  std::vector<ObjectId> AdoptedOf(ProcessId owner) const;
  Orders TakeOrders() { return std::exchange(orders_, {}); }

  size_t claimed() const { return claims_.size(); }
  size_t ended() const { return ended_.size(); }
  size_t claimers() const { return by_claimer_.size(); }

 private:
  using Claims = std::unordered_map<ObjectId, std::map<ProcessId, uint32_t>>;
  void Unclaimed(const ObjectId& object);

  Claims claims_;
  std::unordered_map<ProcessId, std::unordered_set<ObjectId>> by_owner_;    // of claims_
  std::unordered_map<ProcessId, std::unordered_set<ObjectId>> by_claimer_;  // of claims_
  std::unordered_map<ProcessId, bool> ended_;  // whether settled; gone once it is settled and nothing is claimed
  Orders orders_;
};

}  // namespace raylet
