// ArenaMap: which objects lie where in the arena, by page. An extent is what is freed as a whole: the
// pages of one large object, or a slab of small ones. Pure. The Arena owns it and says which extents
// there are, the ObjectStore says which objects; loop thread only.
// Always holds: extents never overlap, and an object lies in one of them. An extent can be cleared
// by eviction iff all of its objects are evictable and nobody pins them.
#pragma once

#include <cstdint>
#include <vector>

#include "store/entry_table.h"
#include "store/page_runs.h"

namespace raylet::store {

constexpr uint64_t kSlabBytesMax = uint64_t{32} << 10;  // jemalloc's slabs have at most 28 KiB

class ArenaMap {
 public:
  struct Extent {
    uint32_t pages = 0;  // 0: no extent begins at this page
    uint32_t first = 0;  // of its objects, as entry + 1; 0: none
    uint16_t objects = 0, evictable = 0;
  };

  explicit ArenaMap(uint64_t arena_bytes) : extents_(arena_bytes / kPageBytes) {}

  void Took(uint64_t offset, uint64_t bytes);
  void Gave(uint64_t offset, uint64_t bytes);

  void Add(EntryTable& notes, uint32_t entry, uint64_t offset);
  void Remove(EntryTable& notes, uint32_t entry, uint64_t offset);
  void SetEvictable(uint64_t offset, bool evictable);

  uint64_t pages() const { return extents_.size(); }
  const Extent& At(uint64_t page) const { return extents_[page]; }
  // The first page of the extent around `offset`, where an object lies.
  uint64_t ExtentOf(uint64_t offset) const;

 private:
  std::vector<Extent> extents_;  // by first page
};
constexpr uint64_t kMapBytesPerPage = sizeof(ArenaMap::Extent);
static_assert(kMapBytesPerPage == 12);

}  // namespace raylet::store
