// EvictionPlan: whether eviction can make room for a create, and by which objects. A create needs
// bytes, and one run that is long enough. Objects that are pinned, owned, unsealed or dying stay
// where they are, so they bound the longest run that eviction can reach. Pure: a look at the store
// at one moment. The RoomMaker makes one when a create finds no room.
// Always holds: nothing is planned that does not give the run. The plan costs O(pages of the arena)
// at most.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "store/arena_map.h"
#include "store/entry_table.h"
#include "store/page_runs.h"

namespace raylet::store {

// Eviction ends at `bytes`, and already at `objects` once `bytes_min` are reached.
struct EvictionGoal {
  uint64_t bytes_min = 0, bytes = ~uint64_t{0}, objects = ~uint64_t{0};
  bool Reached(uint64_t evicted_bytes, uint64_t evicted_objects) const {
    return evicted_bytes >= bytes || (evicted_objects >= objects && evicted_bytes >= bytes_min);
  }
};

class EvictionPlan {
 public:
  struct Place {
    uint64_t offset = 0, bytes = 0;
  };
  using PlaceOf = std::function<Place(uint32_t entry)>;

  // All of these outlive the plan. `pinned` names the entries that somebody pins now.
  EvictionPlan(const ArenaMap& map, const PageRuns& runs, const EntryTable& notes, PlaceOf place_of,
               std::span<const uint32_t> pinned);

  // True when the evictable objects from `oldest` on, until `goal` is reached, leave a run of
  // `run_bytes`.
  bool OldestLeaveRun(uint32_t oldest, const EvictionGoal& goal, uint64_t run_bytes) const;
  // The objects of the window of `run_bytes` whose extents take the least memory. Nothing when no
  // window can be cleared.
  std::optional<std::vector<uint32_t>> CheapestWindow(uint64_t run_bytes) const;
  // Of evictable objects.
  uint64_t pinned_bytes() const { return pinned_bytes_; }

 private:
  const ArenaMap& map_;
  const PageRuns& runs_;
  const EntryTable& notes_;
  const PlaceOf place_of_;
  std::unordered_set<uint32_t> pinned_;        // evictable entries
  std::unordered_set<uint64_t> pinned_pages_;  // the first pages of their extents
  uint64_t pinned_bytes_ = 0;
};

}  // namespace raylet::store
