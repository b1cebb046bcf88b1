// Arena: the memory of all objects: one memfd, reserved up front, that clients map. Large objects take whole pages;
// jemalloc packs small ones into slabs, through extent hooks, in the daemon alone: no allocator header ever lies in the
// memfd. The ObjectStore owns it; loop thread only.
// Always holds: runs handed out never overlap, are 64-byte aligned and lie inside arena_bytes(); when all are freed,
// the largest run is the whole arena again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/result.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "store/page_runs.h"
#include "store/page_toucher.h"

namespace raylet::store {

class Arena {
 public:
  // What is reserved, so that objects of any one size, with metadata or without, fill `capacity_bytes` to the last that
  // fits. MemoryBudget's count of objects is part of it: there are never more than one for each 4 KiB of capacity, or
  // 32768 in a small store.
  static uint64_t BytesFor(uint64_t capacity_bytes);

  // Takes all its memory now: kFull, with the numbers, when the machine has not that much.
  static Result<std::unique_ptr<Arena>> Create(uint64_t capacity_bytes);
  // From now on pages that have never been used are touched in the background, before they are.
  void TouchAhead();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // The offset of at least `bytes` bytes, or nothing when no run is long enough.
  std::optional<uint64_t> Allocate(uint64_t bytes);
  void Free(uint64_t offset);
  // What Allocate took for the run at `offset`, rounding included.
  uint64_t AllocatedBytes(uint64_t offset) const;

  std::byte* data() const { return base_; }
  int fd() const { return fd_.get(); }
  uint64_t arena_bytes() const { return arena_bytes_; }
  uint64_t physical_bytes() const { return physical_bytes_; }  // handed out, rounding included
  // The longest request that would be granted now; small ones may be granted beyond it, in slabs that have room.
  uint64_t LargestRun() const { return runs_->largest_bytes(); }

 private:
  struct Hooks;

  Arena() = default;
  Result<void> CreateJemallocArena();
  std::optional<uint64_t> TakePages(uint64_t bytes);

  UniqueFd fd_;
  Mapping mapping_;
  std::byte* base_ = nullptr;  // of mapping_
  uint64_t arena_bytes_ = 0;
  uint64_t physical_bytes_ = 0;
  std::optional<PageRuns> runs_;
  std::unordered_map<uint64_t, uint64_t> paged_;  // offset -> bytes of the objects that have pages of their own
  std::unique_ptr<Hooks> hooks_;                  // jemalloc holds its address
  unsigned jemalloc_arena_ = 0;
  bool has_jemalloc_arena_ = false;
  uint64_t slab_object_bytes_max_ = 0;  // larger objects have pages of their own
  std::unique_ptr<PageToucher> toucher_;
};

}  // namespace raylet::store
