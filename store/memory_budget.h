// MemoryBudget: the memory that a store of a given capacity takes at start, and whether the machine
// has it. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace raylet::store {

struct MemoryBudget {
  uint64_t index_entries = 0;  // a power of two; at most half of them hold objects
  uint64_t index_bytes = 0;
  uint64_t arena_bytes = 0;
  uint64_t total_bytes() const { return index_bytes + arena_bytes; }

  static MemoryBudget For(uint64_t capacity_bytes);
  // kFull with the numbers unless `available_bytes` (base/available_memory.h) is enough. `flag` is
  // the user's own text.
  Result<void> Check(const std::string& flag, uint64_t available_bytes) const;
};

}  // namespace raylet::store
