#include "store/compactor.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "store/arena_window.h"
#include "store/eviction_policy.h"

namespace raylet::store {
namespace {

constexpr int kWindowTries = 4;

}  // namespace

Compactor::Compactor(Arena& arena, ObjectIndex& index, PinLedger& pins, EntryTable& notes)
    : arena_(arena), index_(index), pins_(pins), notes_(notes) {
  for (uint32_t row = kOldPlacesMax; row > 0; --row) free_rows_.push_back(row - 1);
}

void Compactor::Adopt() {
  free_rows_.clear();
  for (uint32_t i = kOldPlacesMax; i > 0; --i) {
    OldPlace& row = RowOf(i - 1);
    const uint32_t link = row.link.load(), entry = link - 1;
    const uint64_t offset = row.offset.load();
    // A move that did not come to the new place has changed nothing.
    const bool moved = link != kNoLink && entry < index_.bound() && index_.StateOf(entry) != EntryState::kEmpty &&
                       index_.FieldsOf(entry).offset != offset;
    if (moved) {
      old_places_.push_back({entry, offset, i - 1});
    } else {
      row.link.store(kNoLink);
      free_rows_.push_back(i - 1);
    }
  }
}

bool Compactor::Movable(uint64_t page, const ArenaMap::Extent& extent) const {
  if (extent.objects != 1 || !arena_.HasOwnPages(page * kPageBytes)) return false;
  const uint64_t bytes = extent.pages * kPageBytes;
  const uint32_t entry = extent.first - 1;
  return bytes <= kMovedBytesAtOnce && !pins_.Pinned(entry) && index_.StateOf(entry) == EntryState::kSealed;
}

bool Compactor::MakeRun(uint64_t run_bytes) {
  if (run_bytes > arena_.runs().free_bytes()) return false;
  pins_.Scan();
  std::unordered_set<uint64_t> stuck;  // extents that no other place takes
  uint64_t moved = 0;
  for (int tries = 0; tries < kWindowTries; ++tries) {
    const uint64_t largest = arena_.LargestRun();
    const auto window =
        CheapestWindow(arena_.map(), arena_.runs(), run_bytes, [&](uint64_t page, const ArenaMap::Extent& extent) {
          return extent.pages * kPageBytes > largest || stuck.contains(page) || !Movable(page, extent);
        });
    if (!window) return false;
    // So that nothing moves within the window.
    const auto hidden = arena_.Hide(window->page * kPageBytes, window->end * kPageBytes);
    bool over = false, blocked = false;
    for (uint64_t page = window->page; page < window->end && !over && !blocked; ++page) {
      const ArenaMap::Extent extent = arena_.map().At(page);
      const uint64_t bytes = extent.pages * kPageBytes;
      over = moved + bytes > kMovedBytesAtOnce;
      if (bytes == 0 || over) continue;
      blocked = !Move(extent.first - 1);
      if (blocked)
        stuck.insert(page);
      else
        moved += bytes;
    }
    pins_.Scan();
    Sweep();
    arena_.Show(hidden);
    if (arena_.LargestRun() >= run_bytes) return true;
    if (over) return false;
  }
  return false;
}

bool Compactor::Move(uint32_t entry) {
  if (free_rows_.empty()) return false;
  const ObjectIndex::Fields object = index_.FieldsOf(entry);
  const uint64_t bytes = AlignUp(object.data_bytes) + object.metadata_bytes;
  const auto offset = arena_.Allocate(bytes);
  if (!offset) return false;
  arena_.Populate(object.offset, bytes, /*for_writing=*/false);
  arena_.Populate(*offset, bytes, /*for_writing=*/true);
  std::memcpy(arena_.data() + *offset, arena_.data() + object.offset, bytes);
  ArenaMap& map = arena_.map();
  const bool evictable = EvictionPolicy::Has(notes_[entry]);
  if (evictable) map.SetEvictable(object.offset, false);
  map.Remove(notes_, entry, object.offset);
  map.Add(notes_, entry, *offset);
  if (evictable) map.SetEvictable(*offset, true);
  const uint32_t row = free_rows_.back();
  free_rows_.pop_back();
  RowOf(row).offset.store(object.offset, std::memory_order_relaxed);
  RowOf(row).link.store(entry + 1, std::memory_order_release);  // before the index says another place
  index_.Move(entry, *offset);
  old_places_.push_back({entry, object.offset, row});
  moved_bytes_ += bytes;
  return true;
}

template <class Matches>
bool Compactor::FreeOldPlaces(const Matches& matches) {
  return std::erase_if(old_places_, [&](const Place& place) {
           if (!matches(place.entry)) return false;
           RowOf(place.row).link.store(kNoLink, std::memory_order_release);
           free_rows_.push_back(place.row);
           arena_.Free(place.offset);
           return true;
         }) > 0;
}

bool Compactor::Sweep() {
  return FreeOldPlaces([this](uint32_t entry) { return !pins_.Pinned(entry); });
}

void Compactor::Forget(uint32_t gone) {
  if (old_places_.empty()) return;
  FreeOldPlaces([gone](uint32_t entry) { return entry == gone; });
}

}  // namespace raylet::store
