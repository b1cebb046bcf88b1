#include "store/page_runs.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace raylet::store {
namespace {

constexpr uint64_t kPages = 64;

TEST(PageRuns, TheLowestRunThatIsLongEnoughIsTaken) {
  PageRuns runs(kPages * kPageBytes);
  for (uint64_t page = 0; page < kPages; ++page) ASSERT_EQ(runs.Take(kPageBytes), page * kPageBytes);
  EXPECT_FALSE(runs.Take(kPageBytes));
  EXPECT_EQ(runs.largest_bytes(), 0u);
  runs.Give(10 * kPageBytes, 5 * kPageBytes);
  runs.Give(30 * kPageBytes, 2 * kPageBytes);
  runs.Give(20 * kPageBytes, 2 * kPageBytes);
  EXPECT_EQ(runs.largest_bytes(), 5 * kPageBytes);
  EXPECT_EQ(runs.Take(2 * kPageBytes), 10 * kPageBytes) << "the lowest, though others fit exactly";
  EXPECT_EQ(runs.Take(3 * kPageBytes), 12 * kPageBytes);
  EXPECT_FALSE(runs.Take(3 * kPageBytes));
  EXPECT_EQ(runs.Take(kPageBytes), 20 * kPageBytes);
  EXPECT_EQ(runs.Take(2 * kPageBytes), 30 * kPageBytes);
  EXPECT_EQ(runs.largest_bytes(), kPageBytes);
}

TEST(PageRuns, ARunOfTheRequestsOwnClassIsFoundBehindManyThatAreTooShort) {
  constexpr uint64_t kGap = 12, kRuns = 40, kShort = 8, kLong = 9;  // pages; 8 and 9 are one class
  PageRuns runs(kGap * kRuns * kPageBytes);
  ASSERT_TRUE(runs.Take(kGap * kRuns * kPageBytes));
  for (uint64_t i = 0; i < kRuns; ++i) runs.Give(i * kGap * kPageBytes, (i + 1 == kRuns ? kLong : kShort) * kPageBytes);
  EXPECT_EQ(runs.largest_bytes(), kLong * kPageBytes);
  EXPECT_EQ(runs.Take(kLong * kPageBytes), (kRuns - 1) * kGap * kPageBytes);
  EXPECT_FALSE(runs.Take(kLong * kPageBytes));
}

TEST(PageRuns, TheLastPagesAreTakenFromTheEndOfTheLastRun) {
  PageRuns runs(kPages * kPageBytes);
  EXPECT_EQ(runs.free_bytes(), kPages * kPageBytes);
  const auto last = runs.TakeLast(3 * kPageBytes);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->offset, (kPages - 3) * kPageBytes);
  EXPECT_EQ(last->bytes, 3 * kPageBytes);
  EXPECT_EQ(runs.free_bytes(), (kPages - 3) * kPageBytes);
  ASSERT_TRUE(runs.Take((kPages - 3) * kPageBytes));
  EXPECT_FALSE(runs.TakeLast(kPageBytes));
  runs.Give(5 * kPageBytes, 2 * kPageBytes);
  runs.Give(20 * kPageBytes, kPageBytes);
  const auto short_run = runs.TakeLast(2 * kPageBytes);
  ASSERT_TRUE(short_run);
  EXPECT_EQ(short_run->offset, 20 * kPageBytes);
  EXPECT_EQ(short_run->bytes, kPageBytes) << "no more than the last run has";
  EXPECT_EQ(runs.free_bytes(), 2 * kPageBytes);
}

TEST(PageRuns, AgreesWithABitmapAndGrowsTogetherAgain) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    PageRuns runs(kPages * kPageBytes);
    std::vector<bool> taken(kPages, false);
    std::map<uint64_t, uint64_t> held;  // page -> pages
    std::mt19937_64 random(seed);
    for (int step = 0; step < 5000; ++step) {
      if (random() % 2 == 0) {
        const uint64_t pages = 1 + random() % 9;
        uint64_t largest = 0, here = 0;
        for (uint64_t page = 0; page < kPages; ++page) {
          here = taken[page] ? 0 : here + 1;
          largest = std::max(largest, here);
        }
        ASSERT_EQ(runs.largest_bytes(), largest * kPageBytes);
        const auto offset = runs.Take(pages * kPageBytes);
        ASSERT_EQ(offset.has_value(), pages <= largest) << "seed " << seed;
        if (!offset) continue;
        for (uint64_t i = 0; i < pages; ++i) {
          ASSERT_FALSE(taken[*offset / kPageBytes + i]);
          taken[*offset / kPageBytes + i] = true;
        }
        held[*offset / kPageBytes] = pages;
      } else if (!held.empty()) {
        const auto it = std::next(held.begin(), static_cast<std::ptrdiff_t>(random() % held.size()));
        runs.Give(it->first * kPageBytes, it->second * kPageBytes);
        for (uint64_t i = 0; i < it->second; ++i) taken[it->first + i] = false;
        held.erase(it);
      }
    }
    for (const auto& [page, pages] : held) runs.Give(page * kPageBytes, pages * kPageBytes);
    EXPECT_EQ(runs.largest_bytes(), kPages * kPageBytes);
  }
}

TEST(PageRunsDeathTest, PagesThatAreFreeAlreadyAreABug) {
  PageRuns runs(kPages * kPageBytes);
  ASSERT_TRUE(runs.Take(4 * kPageBytes));
  runs.Give(0, kPageBytes);
  EXPECT_DEATH(runs.Give(0, kPageBytes), "free already");
  EXPECT_DEATH(runs.Give(3 * kPageBytes, 2 * kPageBytes), "free already");
  EXPECT_DEATH(runs.Give(kPages * kPageBytes, kPageBytes), "given back");
}

}  // namespace
}  // namespace raylet::store
