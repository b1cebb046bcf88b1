// Arena: the memory of all objects: one memfd, reserved up front, that clients map. jemalloc manages it through extent
// hooks, in the daemon alone: no allocator header ever lies in the memfd. The ObjectStore owns it; loop thread only.
// Always holds: runs handed out never overlap, are 64-byte aligned and lie inside arena_bytes(); when all are freed,
// the largest run is the whole arena again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"

namespace raylet::store {

class Arena {
 public:
  // What is reserved for `capacity_bytes` of objects: sizes are rounded up to jemalloc's classes, which lie at most a
  // quarter apart; the sum is rounded up to such a class, so that jemalloc can take it in one piece.
  static uint64_t BytesFor(uint64_t capacity_bytes);

  // Takes all its memory now: kFull, with the numbers, when the machine has not that much.
  static Result<std::unique_ptr<Arena>> Create(uint64_t capacity_bytes);
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
  // The longest request that would be granted now. Reads jemalloc's statistics: for messages, not for every request.
  uint64_t LargestRun() const;

 private:
  struct Hooks;

  Arena() = default;
  Result<void> CreateJemallocArena();
  Result<void> TakeReservation();

  UniqueFd fd_;
  Mapping mapping_;
  std::byte* base_ = nullptr;  // of mapping_
  uint64_t arena_bytes_ = 0;
  uint64_t physical_bytes_ = 0;
  std::unique_ptr<Hooks> hooks_;  // jemalloc holds its address
  unsigned jemalloc_arena_ = 0;
  bool has_jemalloc_arena_ = false;
};

}  // namespace raylet::store
