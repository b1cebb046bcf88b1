// ClientQuotas: the clients with a quota, whose objects have an order of eviction of their own, and everybody's order
// beside them. That is the order of spilling where nothing is evicted. Owned by the ObjectTable; loop thread only.
// Pure. Always holds: an entry whose note says so is under the quota of its creator. It counts there from its create to
// its end, or until it becomes everybody's. All quotas together have at most 70 % of the store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/entry_table.h"
#include "store/eviction_policy.h"
#include "store/object_index.h"
#include "store/spill_order.h"

namespace raylet::store {

constexpr uint64_t kQuotasPercentMax = 70;

class ClientQuotas {
 public:
  // All of them outlive this. `policy` is everybody's order.
  ClientQuotas(uint64_t capacity_bytes, EntryTable& notes, const ObjectIndex& index, EvictionPolicy& policy,
               SpillOrder& spill_order)
      : capacity_bytes_(capacity_bytes), notes_(notes), index_(index), policy_(policy), spill_order_(spill_order) {}
  // Before any object: nothing is evicted from now on. What would be is spilled.
  void SpillAll() { spills_all_ = true; }
  bool spills_all() const { return spills_all_; }

  // kFull where the client has a quota already, or where all quotas would have more than 70 %.
  Result<void> Set(uint32_t client, const std::string& name, uint64_t bytes);
  // The objects under its quota become everybody's.
  void RemoveClient(uint32_t client);

  // kTooLarge for more bytes than the whole quota.
  Result<void> CheckFits(uint32_t client, uint64_t bytes) const;
  // The bytes by which the client's objects would exceed its quota with `bytes` more.
  uint64_t Missing(uint32_t client, uint64_t bytes) const;
  uint32_t Oldest(uint32_t client) const;  // its sealed objects; kNoEntry when there is none
  void GiveToAll(uint32_t entry);          // out of the quota

  // An unsealed entry of the client's.
  void Created(uint32_t client, uint32_t entry);
  void Aborted(uint32_t entry);
  // As of EvictionPolicy, in the client's order or in everybody's.
  void Add(uint32_t entry);
  void Released(uint32_t entry);
  void Remove(uint32_t entry);

  // Orders and quotas, in the words of Plasma's DebugString. `pinned` calls its argument with each pinned entry.
  std::string Text(const std::function<void(const std::function<void(uint32_t entry)>&)>& pinned) const;

 private:
  struct Quota {
    std::string name;
    uint64_t bytes = 0, used_bytes = 0;
    uint64_t objects = 0;  // unsealed ones too
    StateList order;       // sealed ones
  };
  Quota& QuotaOf(uint32_t entry) { return quotas_.at(index_.FieldsOf(entry).creator); }
  void Leave(uint32_t entry);

  const uint64_t capacity_bytes_;
  EntryTable& notes_;
  const ObjectIndex& index_;
  EvictionPolicy& policy_;
  SpillOrder& spill_order_;
  bool spills_all_ = false;
  std::map<uint32_t, Quota> quotas_;  // by client
  uint64_t quota_bytes_ = 0;          // of all
};

}  // namespace raylet::store
