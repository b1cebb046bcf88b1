// MemoryBudget: the memory that a store of a given capacity takes at start, and whether the machine
// has it. Pure.
// Always holds: the store never takes more, however many objects there are. Beyond the first, their
// entries' memory comes out of the arena (store/index_memory.h).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace raylet::store {

struct MemoryBudget {
  uint64_t index_entries = 0;      // that have memory from the start
  uint64_t index_entries_max = 0;  // the others take their memory from what the arena has for rounding
  uint64_t index_bytes = 0;        // at the start, with the daemon's own notes
  uint64_t arena_bytes = 0;
  uint64_t total_bytes() const { return index_bytes + arena_bytes; }

  static MemoryBudget For(uint64_t capacity_bytes);
  // kFull with the numbers unless `available_bytes` (base/available_memory.h) is enough. `flag` is
  // the user's own text.
  Result<void> Check(const std::string& flag, uint64_t available_bytes) const;
};

}  // namespace raylet::store
