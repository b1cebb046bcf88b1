// IndexMemory: the pages behind the index. Some are there from the start. The others come from the
// arena's free pages, a step at a time, so that the store as a whole never takes more than at its
// start. The ObjectStore owns it; loop thread only.
// Always holds: a page of the index is reserved before anybody reads or writes it, and stays. So a
// full machine or /dev/shm is an answer here, and no signal anywhere.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "fbs/segment_layout.h"
#include "store/arena.h"
#include "store/entry_table.h"

namespace raylet::store {

// One object costs this beside its data: in the index, and in the daemon's own memory.
constexpr uint64_t kMemoryPerEntry = kSharedBytesPerEntry + kNoteBytesPerEntry;
static_assert(kMemoryPerEntry <= 128);

// The index's file, and how many entries and heads its pages hold from the start. Without a
// descriptor all pages are there (tests).
struct IndexFile {
  int fd = -1;
  uint64_t entries = 0;
};

class IndexMemory {
 public:
  // Both outlive this.
  IndexMemory(Arena& arena, IndexHeader& header, IndexFile file);

  uint64_t entries() const { return entries_; }  // that have memory
  // Reserves pages for kIndexStep entries more. False at the segment's end, while the arena has too
  // few free pages, or for a second after /dev/shm had none.
  bool Grow(TimePoint now);
  // What the arena has given up for them.
  uint64_t lent_bytes() const {
    return (entries_ - header_.entries_at_start.load(std::memory_order_relaxed)) * kMemoryPerEntry;
  }

 private:
  Arena& arena_;
  IndexHeader& header_;
  const uint64_t entries_max_;
  const int fd_;
  uint64_t entries_;
  TimePoint try_again_{};
};

}  // namespace raylet::store
