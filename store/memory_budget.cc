#include "store/memory_budget.h"

#include <algorithm>
#include <bit>

#include "base/strings.h"
#include "fbs/segment_layout.h"
#include "store/arena.h"

namespace raylet::store {

MemoryBudget MemoryBudget::For(uint64_t capacity_bytes) {
  MemoryBudget budget;
  budget.index_entries =
      std::bit_ceil(std::clamp<uint64_t>(capacity_bytes / 4096, uint64_t{1} << 16, uint64_t{1} << 22));
  budget.index_bytes = IndexSegmentBytes(budget.index_entries);
  budget.arena_bytes = Arena::BytesFor(capacity_bytes);
  return budget;
}

Result<void> MemoryBudget::Check(const std::string& flag, uint64_t available_bytes) const {
  if (total_bytes() <= available_bytes) return {};
  return Fail(ErrorCode::kFull, StrCat("-m ", flag, " needs ", FormatBytes(total_bytes()),
                                       " (rounding and index included) and the machine or its cgroup has ",
                                       FormatBytes(available_bytes), " left; say a smaller -m, or free some memory"));
}

}  // namespace raylet::store
