// CheapestWindow: the stretch of the arena that costs least to clear for a run. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "store/arena_map.h"
#include "store/page_runs.h"

namespace raylet::store {

struct ArenaWindow {
  uint64_t page = 0, end = 0;  // from this page to the one before `end`
  uint64_t cost_pages = 0;     // of its extents
};

// Whole extents and free runs, at least `run_bytes` together. `fixed` says which extents cannot be
// cleared; no window has one. Costs O(pages of the arena).
std::optional<ArenaWindow> CheapestWindow(const ArenaMap& map, const PageRuns& runs, uint64_t run_bytes,
                                          const std::function<bool(uint64_t page, const ArenaMap::Extent&)>& fixed);

}  // namespace raylet::store
