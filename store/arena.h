// Arena: the memory of all objects: one memfd, reserved up front, that clients map. The ObjectStore
// owns it; loop thread only.
// Large objects take whole pages. jemalloc packs small ones into slabs, through extent hooks, in
// the daemon alone. No allocator header ever lies in the memfd.
// Always holds: runs handed out never overlap, are 64-byte aligned and lie inside arena_bytes().
// When all runs are freed, the largest run is the whole arena again, but for what was lent or given back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "store/arena_map.h"
#include "store/idle_pages.h"
#include "store/page_runs.h"
#include "store/page_toucher.h"
#include "store/recovered_pages.h"

namespace raylet::store {

class Arena {
 public:
  // The bytes to reserve. Objects of any one size, with metadata or without, then fill
  // `capacity_bytes` to the last object that fits, as long as the index does not grow. It does not for
  // one object for each 4 KiB of capacity, or 32768 in a small store (MemoryBudget).
  static uint64_t BytesFor(uint64_t capacity_bytes);
  // How much of that is beyond the capacity. Without it, an object as large as the capacity still fits.
  static uint64_t RoundingBytesFor(uint64_t capacity_bytes) {
    return BytesFor(capacity_bytes) - PageUp(capacity_bytes);
  }

  // Takes all its memory now. kFull, with the numbers, when the machine has too little.
  static Result<UniqueFd> CreateMemory(uint64_t capacity_bytes);
  // Of memory from CreateMemory for the same capacity.
  static Result<std::unique_ptr<Arena>> Open(UniqueFd memory, uint64_t capacity_bytes);
  static Result<std::unique_ptr<Arena>> Create(uint64_t capacity_bytes);

  // Objects that an earlier daemon has left in this memory are in use, and all other memory is free. The last
  // `lent_bytes` of it are lent; where `has_lent`, all others are reserved anew. Once, before anything is allocated.
  // kProtocolError where objects overlap or lie outside.
  struct Place {
    uint64_t offset = 0, bytes = 0;
  };
  Result<void> Adopt(std::vector<Place> places, uint64_t lent_bytes, bool has_lent);
  // From now on free pages go back to the machine once nobody has used them between two calls of GiveBackIdle. An
  // object takes them again where the machine still has the memory. Before Adopt, which gives all free pages back.
  void Decay() { idle_.emplace(arena_bytes_); }
  void GiveBackIdle();
  // Starts a thread that touches unused pages in the background, before an object uses them.
  void TouchAhead();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // The offset of at least `bytes` bytes, or nothing when no run is long enough.
  std::optional<uint64_t> Allocate(uint64_t bytes);
  void Free(uint64_t offset);
  // The bytes that Allocate took for the run at `offset`, rounding included.
  uint64_t AllocatedBytes(uint64_t offset) const;
  // The object at `offset` has whole pages, and shares them with no other.
  bool HasOwnPages(uint64_t offset) const { return paged_.contains(offset); }
  // Maps these pages ahead, which costs less than a fault for each.
  void Populate(uint64_t offset, uint64_t bytes, bool for_writing) const;
  // Keeps the free runs from `begin` to `end` from Allocate, until Show. None of them goes beyond.
  std::vector<PageRuns::Run> Hide(uint64_t begin, uint64_t end);
  void Show(const std::vector<PageRuns::Run>& hidden);

  // Gives free pages, `bytes` in all, back to the machine: their memory may be used elsewhere. Nothing
  // when too few are free. They are the last ones. Those that are not at the end change places with
  // later ones once a run is missing, so that they part no long run for ever.
  std::vector<PageRuns::Run> Lend(uint64_t bytes);
  // Reserves the pages of the last Lend again. Those that the machine refuses stay lent.
  void TakeBack(const std::vector<PageRuns::Run>& lent);
  uint64_t lent_bytes() const { return lent_bytes_; }

  std::byte* data() const { return base_; }
  int fd() const { return fd_.get(); }
  uint64_t arena_bytes() const { return arena_bytes_; }
  bool HasPagesOfItsOwn(uint64_t bytes) const { return bytes > slab_object_bytes_max_; }
  uint64_t physical_bytes() const { return physical_bytes_; }  // handed out, rounding included
  // The longest request that would be granted now. Small ones may be granted beyond it, in slabs
  // that have room.
  uint64_t LargestRun() const { return runs_->largest_bytes(); }
  ArenaMap& map() { return *map_; }
  const PageRuns& runs() const { return *runs_; }

 private:
  struct Hooks;

  Arena() = default;
  Result<void> CreateJemallocArena();
  std::optional<uint64_t> TakePages(uint64_t bytes);
  void GivePages(uint64_t offset, uint64_t bytes);
  void Release(const PageRuns::Run& run);
  bool Reserve(const PageRuns::Run& run);
  bool MoveLentToEnd();
  bool ReserveIdle(uint64_t bytes);
  void PunchOut(const PageRuns::Run& run);
  Result<void> AdoptSlabs(const std::vector<Place>& places);
  bool ReserveFreePages();
  void GiveIfEmpty(uint64_t first_page);  // of an extent of recovered pages

  UniqueFd fd_;
  Mapping mapping_;
  std::byte* base_ = nullptr;  // of mapping_
  uint64_t arena_bytes_ = 0;
  uint64_t physical_bytes_ = 0;
  std::map<uint64_t, uint64_t> lent_;  // offset -> bytes
  uint64_t lent_bytes_ = 0;
  std::optional<PageRuns> runs_;
  std::optional<IdlePages> idle_;
  std::optional<ArenaMap> map_;
  std::unordered_map<uint64_t, uint64_t> paged_;  // offset -> bytes of the objects that have pages of their own
  RecoveredPages recovered_;
  std::unique_ptr<Hooks> hooks_;  // jemalloc holds its address
  unsigned jemalloc_arena_ = 0;
  bool has_jemalloc_arena_ = false;
  uint64_t slab_object_bytes_max_ = 0;  // larger objects have pages of their own
  std::unique_ptr<PageToucher> toucher_;
};

}  // namespace raylet::store
