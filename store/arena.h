// Arena: the memory of all objects: one memfd, reserved up front, that clients map. The ObjectStore
// owns it; loop thread only.
// Large objects take whole pages. jemalloc packs small ones into slabs, through extent hooks, in
// the daemon alone. No allocator header ever lies in the memfd.
// Always holds: runs handed out never overlap, are 64-byte aligned and lie inside arena_bytes().
// When all runs are freed, the largest run is the whole arena again, but for what was lent.
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
#include "store/page_runs.h"
#include "store/page_toucher.h"

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
  static Result<std::unique_ptr<Arena>> Create(uint64_t capacity_bytes);
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
  uint64_t physical_bytes() const { return physical_bytes_; }  // handed out, rounding included
  // The longest request that would be granted now. Small ones may be granted beyond it, in slabs
  // that have room.
  uint64_t LargestRun() const { return runs_->largest_bytes(); }

 private:
  struct Hooks;

  Arena() = default;
  Result<void> CreateJemallocArena();
  std::optional<uint64_t> TakePages(uint64_t bytes);
  void Release(const PageRuns::Run& run);
  bool Reserve(const PageRuns::Run& run);
  bool MoveLentToEnd();

  UniqueFd fd_;
  Mapping mapping_;
  std::byte* base_ = nullptr;  // of mapping_
  uint64_t arena_bytes_ = 0;
  uint64_t physical_bytes_ = 0;
  std::map<uint64_t, uint64_t> lent_;  // offset -> bytes
  uint64_t lent_bytes_ = 0;
  std::optional<PageRuns> runs_;
  std::unordered_map<uint64_t, uint64_t> paged_;  // offset -> bytes of the objects that have pages of their own
  std::unique_ptr<Hooks> hooks_;                  // jemalloc holds its address
  unsigned jemalloc_arena_ = 0;
  bool has_jemalloc_arena_ = false;
  uint64_t slab_object_bytes_max_ = 0;  // larger objects have pages of their own
  std::unique_ptr<PageToucher> toucher_;
};

}  // namespace raylet::store
