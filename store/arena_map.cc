#include "store/arena_map.h"

#include <algorithm>

#include "base/check.h"

namespace raylet::store {

void ArenaMap::Took(uint64_t offset, uint64_t bytes) {
  extents_[offset / kPageBytes] = {.pages = static_cast<uint32_t>(bytes / kPageBytes)};
}

void ArenaMap::Gave(uint64_t offset, uint64_t bytes) {
  const auto first = extents_.begin() + static_cast<std::ptrdiff_t>(offset / kPageBytes);
  RAYLET_CHECK(first->objects == 0, "an extent with objects is freed");
  // A slab may come back together with its neighbour; the pages of an object never do.
  const uint64_t pages = std::min(bytes, kSlabBytesMax) / kPageBytes;
  std::fill(first, first + static_cast<std::ptrdiff_t>(std::max<uint64_t>(pages, 1)), Extent{});
}

uint64_t ArenaMap::ExtentOf(uint64_t offset) const {
  uint64_t page = offset / kPageBytes;
  for (uint64_t back = 0; extents_[page].pages == 0; --page, ++back)
    RAYLET_CHECK(page > 0 && back < kSlabBytesMax / kPageBytes, "no extent of the arena holds offset ", offset);
  return page;
}

void ArenaMap::Add(EntryTable& notes, uint32_t entry, uint64_t offset) {
  Extent& extent = extents_[ExtentOf(offset)];
  notes[entry].by_extent = {.before = kNoEntry, .after = extent.first == 0 ? kNoEntry : extent.first - 1};
  if (extent.first != 0) notes[extent.first - 1].by_extent.before = entry;
  extent.first = entry + 1;
  ++extent.objects;
}

void ArenaMap::Remove(EntryTable& notes, uint32_t entry, uint64_t offset) {
  Extent& extent = extents_[ExtentOf(offset)];
  RAYLET_CHECK(extent.objects > extent.evictable, "entry ", entry, " leaves the arena while it is evictable");
  const EntryLinks links = notes[entry].by_extent;
  if (links.before == kNoEntry)
    extent.first = links.after == kNoEntry ? 0 : links.after + 1;
  else
    notes[links.before].by_extent.after = links.after;
  if (links.after != kNoEntry) notes[links.after].by_extent.before = links.before;
  --extent.objects;
}

void ArenaMap::SetEvictable(uint64_t offset, bool evictable) {
  Extent& extent = extents_[ExtentOf(offset)];
  extent.evictable = static_cast<uint16_t>(evictable ? extent.evictable + 1 : extent.evictable - 1);
  RAYLET_CHECK(extent.evictable <= extent.objects, "more objects are evictable than lie there");
}

}  // namespace raylet::store
