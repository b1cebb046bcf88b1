// RoomMaker: finds memory, an entry and a place in a quota for an object that is to come: free ones, then by moving
// objects, then by eviction. On the ObjectTable; the ObjectStore owns it; loop thread only.
// Always holds: nothing is evicted that does not help. A call that fails has evicted nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "store/eviction_plan.h"
#include "store/full_numbers.h"
#include "store/object_table.h"

namespace raylet::store {

// A create evicts no more objects than these at a time, unless it needs their bytes.
constexpr uint64_t kEvictedAtOnce = 1024;
constexpr uint64_t kEvictedForEntries = 64;

class RoomMaker {
 public:
  explicit RoomMaker(ObjectTable& table) : table_(table) {}  // outlives this

  // A run of the arena for these bytes. Nothing where there is none, or where the capacity has no room for them and for
  // `reserve`.
  std::optional<uint64_t> FindRun(uint64_t data_bytes, uint64_t metadata_bytes, bool evict, uint64_t reserve);
  // Whether the index has a free entry.
  bool FindEntry(bool evict);
  // The client's oldest objects go. Those that are held, and then those that it writes, become everybody's. Where
  // nothing is evicted, all of them do.
  void MakeRoomInQuota(uint32_t client, uint64_t bytes);
  struct Evicted {
    uint64_t bytes = 0, objects = 0;
  };
  Evicted EvictOldest(const EvictionGoal& goal);  // least recently released first
  // Says of a failed attempt what there is, and who pins how much.
  void FillFull(uint64_t need, FullNumbers& full);

 private:
  std::optional<uint64_t> Allocate(uint64_t in_arena);
  std::optional<uint64_t> EvictForRun(uint64_t need, uint64_t in_arena);
  Evicted SweepVictims(uint64_t objects);

  ObjectTable& table_;
};

}  // namespace raylet::store
