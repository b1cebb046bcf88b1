#include "store/arena_window.h"

#include <deque>

namespace raylet::store {

std::optional<ArenaWindow> CheapestWindow(const ArenaMap& map, const PageRuns& runs, uint64_t run_bytes,
                                          const std::function<bool(uint64_t page, const ArenaMap::Extent&)>& fixed) {
  struct Unit {  // a free run or an extent
    uint64_t page = 0, pages = 0, cost = 0;
  };
  const uint64_t wanted = run_bytes / kPageBytes;
  std::deque<Unit> window;
  uint64_t pages = 0, cost = 0;
  std::optional<ArenaWindow> best;
  auto free = runs.runs().begin();
  for (uint64_t page = 0; page < map.pages();) {
    Unit unit{.page = page};
    const ArenaMap::Extent& extent = map.At(page);
    bool clears = true;
    if (free != runs.runs().end() && free->first == page * kPageBytes) {
      unit.pages = free->second / kPageBytes;
      ++free;
    } else if (extent.pages != 0) {
      unit.pages = unit.cost = extent.pages;
      clears = !fixed(page, extent);
    } else {
      unit.pages = 1;  // lent to the index
      clears = false;
    }
    page += unit.pages;
    if (!clears) {
      window.clear();
      pages = cost = 0;
      continue;
    }
    window.push_back(unit);
    pages += unit.pages;
    cost += unit.cost;
    while (pages - window.front().pages >= wanted) {
      pages -= window.front().pages;
      cost -= window.front().cost;
      window.pop_front();
    }
    if (pages >= wanted && (!best || cost < best->cost_pages)) best = {window.front().page, page, cost};
  }
  return best;
}

}  // namespace raylet::store
