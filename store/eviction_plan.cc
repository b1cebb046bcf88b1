#include "store/eviction_plan.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "store/arena_window.h"
#include "store/eviction_policy.h"

namespace raylet::store {

EvictionPlan::EvictionPlan(const ArenaMap& map, const PageRuns& runs, const EntryTable& notes, PlaceOf place_of,
                           std::span<const uint32_t> pinned)
    : map_(map), runs_(runs), notes_(notes), place_of_(std::move(place_of)) {
  for (const uint32_t entry : pinned) {
    if (!EvictionPolicy::Has(notes_[entry])) continue;
    const Place place = place_of_(entry);
    pinned_.insert(entry);
    pinned_pages_.insert(map_.ExtentOf(place.offset));
    pinned_bytes_ += place.bytes;
  }
}

bool EvictionPlan::OldestLeaveRun(uint32_t oldest, const EvictionGoal& goal, uint64_t run_bytes) const {
  if (runs_.largest_bytes() >= run_bytes) return true;
  std::unordered_map<uint64_t, uint32_t> evicted_of;  // by first page of an extent
  std::vector<uint64_t> cleared;
  uint64_t bytes = 0, objects = 0;
  for (uint32_t entry = oldest; entry != kNoEntry && !goal.Reached(bytes, objects);
       entry = StateList::After(notes_, entry)) {
    if (pinned_.contains(entry)) continue;
    const Place place = place_of_(entry);
    bytes += std::max<uint64_t>(place.bytes, 1);
    ++objects;
    const uint64_t page = map_.ExtentOf(place.offset);
    if (++evicted_of[page] == map_.At(page).objects) cleared.push_back(page);
  }
  std::sort(cleared.begin(), cleared.end());
  const auto& free = runs_.runs();
  uint64_t start = 0, end = 0;
  for (const uint64_t page : cleared) {
    const uint64_t offset = page * kPageBytes;
    const auto next = free.lower_bound(offset);
    if (offset != end) {
      start = offset;
      if (next != free.begin() && std::prev(next)->first + std::prev(next)->second == offset)
        start = std::prev(next)->first;
    }
    end = offset + map_.At(page).pages * kPageBytes;
    if (next != free.end() && next->first == end) end += next->second;
    if (end - start >= run_bytes) return true;
  }
  return false;
}

std::optional<std::vector<uint32_t>> EvictionPlan::CheapestWindow(uint64_t run_bytes) const {
  const auto window =
      store::CheapestWindow(map_, runs_, run_bytes, [this](uint64_t page, const ArenaMap::Extent& extent) {
        return extent.objects == 0 || extent.evictable < extent.objects || pinned_pages_.contains(page);
      });
  if (!window) return std::nullopt;
  std::vector<uint32_t> victims;
  for (uint64_t page = window->page; page < window->end; ++page) {
    const ArenaMap::Extent& extent = map_.At(page);
    for (uint32_t entry = extent.first - 1; entry != kNoEntry; entry = notes_[entry].by_extent.after)
      victims.push_back(entry);
  }
  return victims;
}

}  // namespace raylet::store
