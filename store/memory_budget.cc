#include "store/memory_budget.h"

#include <algorithm>

#include "base/strings.h"
#include "fbs/segment_layout.h"
#include "store/arena.h"
#include "store/index_memory.h"

namespace raylet::store {

namespace {

constexpr uint64_t kEntriesMin = 32768;
constexpr uint64_t kEntriesAtStartMax = uint64_t{1} << 22;
constexpr uint64_t kHeapBytes = uint64_t{4} << 20;  // an idle daemon has 2 MiB of its own
constexpr uint64_t kPageTableBytesPerPage = 8;      // of the daemon's mapping of the arena

constexpr uint64_t StepUp(uint64_t entries) { return (entries + kIndexStep - 1) / kIndexStep * kIndexStep; }

}  // namespace

MemoryBudget MemoryBudget::For(uint64_t capacity_bytes) {
  MemoryBudget budget;
  budget.index_entries = StepUp(std::clamp(capacity_bytes / 4096, kEntriesMin, kEntriesAtStartMax));
  const uint64_t growth = Arena::RoundingBytesFor(capacity_bytes) / kMemoryPerEntry / kIndexStep * kIndexStep;
  budget.index_entries_max = std::min(budget.index_entries + growth, kEntriesMost);
  budget.index_bytes = IndexFixedBytes() + budget.index_entries * kMemoryPerEntry;
  budget.arena_bytes = Arena::BytesFor(capacity_bytes);
  budget.daemon_bytes = kHeapBytes + budget.arena_bytes / kPageBytes * (kMapBytesPerPage + kPageTableBytesPerPage);
  return budget;
}

Result<void> MemoryBudget::Check(const std::string& flag, uint64_t available_bytes) const {
  if (total_bytes() <= available_bytes) return {};
  return Fail(ErrorCode::kFull, StrCat("-m ", flag, " needs ", FormatBytes(total_bytes()),
                                       " (rounding, index, the daemon and its clients included) and the machine or its "
                                       "cgroup has ",
                                       FormatBytes(available_bytes), " left; say a smaller -m, or free some memory"));
}

Result<void> MemoryGuard::RoomFor(uint64_t bytes, std::string_view what) const {
  if (!available_) return {};
  const uint64_t left = available_();
  if (left >= bytes + kTrafficBytes) return {};
  return Fail(ErrorCode::kLimit,
              StrCat("plasma_store has no memory for ", what, ": it needs ", FormatBytes(bytes + kTrafficBytes),
                     " and the machine or its cgroup has ", FormatBytes(left),
                     " left; disconnect some clients, free some memory, or start ", "plasma_store with a smaller -m"));
}

}  // namespace raylet::store
