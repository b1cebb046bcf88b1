// Plans of eviction, compared with a search of the whole arena page by page.
#include "store/eviction_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace raylet::store {
namespace {

constexpr uint64_t kPages = 96;

// An arena whose objects have whole pages, and a few slabs of two small objects each.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), runs_(kPages * kPageBytes), map_(kPages * kPageBytes) {
    notes_.GrowTo(1);
    while (Fill()) {}
    // Some go, so that there are free runs.
    for (size_t i = 0; i < places_.size(); ++i)
      if (random_() % 4 == 0) Remove(static_cast<uint32_t>(i));
    for (uint32_t entry = 0; entry < places_.size(); ++entry) {
      if (!Lives(entry) || random_() % 8 == 0) continue;  // owned, say
      notes_[entry].evictable = true;
      order_.Append(notes_, entry);
      map_.SetEvictable(places_[entry].offset, true);
      if (random_() % 16 == 0) pinned_.push_back(entry);
    }
  }

  EvictionPlan Plan() const {
    return {map_, runs_, notes_, [this](uint32_t entry) { return places_[entry]; }, pinned_};
  }
  bool Lives(uint32_t entry) const { return places_[entry].bytes > 0; }
  bool MayGo(uint32_t entry) const {
    return notes_[entry].evictable && std::find(pinned_.begin(), pinned_.end(), entry) == pinned_.end();
  }
  void Evict(uint32_t entry) {
    ASSERT_TRUE(Lives(entry) && MayGo(entry)) << "entry " << entry;
    notes_[entry].evictable = false;
    order_.Remove(notes_, entry);
    map_.SetEvictable(places_[entry].offset, false);
    Remove(entry);
  }
  // The pages that the cheapest window of `pages` would free; ~0 when there is none.
  uint64_t CheapestBySearch(uint64_t pages) const {
    uint64_t best = ~uint64_t{0};
    for (uint64_t start = 0; start + pages <= kPages; ++start) {
      std::vector<uint64_t> extents;
      bool fixed = false;
      for (uint64_t page = start; page < start + pages && !fixed; ++page) {
        const auto extent = ExtentAt(page);
        if (!extent) continue;
        fixed = std::any_of(places_.begin(), places_.end(), [&](const EvictionPlan::Place& place) {
          return place.bytes > 0 && map_.ExtentOf(place.offset) == *extent &&
                 !MayGo(static_cast<uint32_t>(&place - places_.data()));
        });
        if (extents.empty() || extents.back() != *extent) extents.push_back(*extent);
      }
      uint64_t cost = 0;
      for (const uint64_t extent : extents) cost += map_.At(extent).pages;
      if (!fixed) best = std::min(best, cost);
    }
    return best;
  }

  uint64_t largest() const { return runs_.largest_bytes(); }
  const PageRuns& runs() const { return runs_; }
  const StateList& order() const { return order_; }
  const EntryTable& notes() const { return notes_; }
  const std::vector<EvictionPlan::Place>& places() const { return places_; }

 private:
  bool Fill() {
    const uint64_t pages = 1 + random_() % 7;
    const auto offset = runs_.Take(pages * kPageBytes);
    if (!offset) return false;
    map_.Took(*offset, pages * kPageBytes);
    const bool slab = pages == 2;
    for (uint64_t i = 0; i < (slab ? 2 : 1); ++i) {
      const auto entry = static_cast<uint32_t>(places_.size());
      places_.push_back({*offset + i * 5000 / 64 * 64, slab ? 3000 : pages * kPageBytes});
      notes_[entry] = {};
      map_.Add(notes_, entry, places_.back().offset);
    }
    return true;
  }
  void Remove(uint32_t entry) {
    const uint64_t page = map_.ExtentOf(places_[entry].offset);
    map_.Remove(notes_, entry, places_[entry].offset);
    places_[entry].bytes = 0;
    if (map_.At(page).objects > 0) return;
    const uint64_t bytes = map_.At(page).pages * kPageBytes;
    map_.Gave(page * kPageBytes, bytes);
    runs_.Give(page * kPageBytes, bytes);
  }
  std::optional<uint64_t> ExtentAt(uint64_t page) const {
    for (uint64_t back = 0; back <= page && back < 8; ++back) {
      const uint64_t pages = map_.At(page - back).pages;
      if (pages > 0) return pages > back ? std::optional(page - back) : std::nullopt;
    }
    return std::nullopt;
  }

  std::mt19937_64 random_;
  PageRuns runs_;
  ArenaMap map_;
  EntryTable notes_;
  StateList order_;                          // of eviction
  std::vector<EvictionPlan::Place> places_;  // by entry; 0 bytes: it has gone
  std::vector<uint32_t> pinned_;
};

TEST(EvictionPlan, TheWindowIsTheCheapestThatASearchFinds) {
  int reachable = 0, unreachable = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Model model(seed);
    const uint64_t wanted = model.largest() / kPageBytes + 1 + seed % 30;
    const uint64_t cheapest = model.CheapestBySearch(wanted);
    const auto window = model.Plan().CheapestWindow(wanted * kPageBytes);
    ASSERT_EQ(window.has_value(), cheapest != ~uint64_t{0}) << "seed " << seed;
    (window ? reachable : unreachable) += 1;
    if (!window) continue;
    const uint64_t free_before = model.runs().free_bytes();
    for (const uint32_t entry : *window) ASSERT_NO_FATAL_FAILURE(model.Evict(entry)) << "seed " << seed;
    EXPECT_GE(model.largest(), wanted * kPageBytes) << "seed " << seed;
    EXPECT_EQ(model.runs().free_bytes() - free_before, cheapest * kPageBytes) << "seed " << seed;
  }
  EXPECT_GT(reachable, 50);
  EXPECT_GT(unreachable, 20);
}

TEST(EvictionPlan, TheOldestLeaveARunIffTheirEvictionDoes) {
  int yes = 0, no = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Model model(seed);
    const EvictionGoal goal{.bytes_min = seed % 9 * kPageBytes, .bytes = seed % 50 * kPageBytes, .objects = seed % 12};
    const uint64_t wanted = model.largest() + (1 + seed % 6) * kPageBytes;
    const bool planned = model.Plan().OldestLeaveRun(model.order().first(), goal, wanted);
    uint64_t bytes = 0, objects = 0;
    for (uint32_t entry = model.order().first(); entry != kNoEntry && !goal.Reached(bytes, objects);) {
      const uint32_t next = StateList::After(model.notes(), entry);
      if (model.MayGo(entry)) {
        bytes += model.places()[entry].bytes;
        ++objects;
        ASSERT_NO_FATAL_FAILURE(model.Evict(entry));
      }
      entry = next;
    }
    ASSERT_EQ(planned, model.largest() >= wanted) << "seed " << seed;
    (planned ? yes : no) += 1;
  }
  EXPECT_GT(yes, 20);
  EXPECT_GT(no, 20);
}

}  // namespace
}  // namespace raylet::store
