#include "store/page_runs.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <iterator>

#include "base/check.h"

namespace raylet::store {
namespace {

constexpr int kTriesInClass = 16;  // runs of the request's own class may be too short

// Every number of pages up to 7 is a class, and beyond it every quarter of a doubling.
constexpr size_t ClassOf(uint64_t bytes) {
  const uint64_t pages = bytes / kPageBytes;
  const auto log = static_cast<size_t>(std::bit_width(pages)) - 1;
  return log < 2 ? pages - 1 : 3 + (log - 2) * 4 + (pages >> (log - 2) & 3);
}
static_assert(ClassOf(kPageBytes) == 0 && ClassOf(3 * kPageBytes) == 2 && ClassOf(4 * kPageBytes) == 3);
static_assert(ClassOf(7 * kPageBytes) == 6 && ClassOf(8 * kPageBytes) == 7 && ClassOf(9 * kPageBytes) == 7);
static_assert(ClassOf(uint64_t{1} << 50) < 160);

}  // namespace

PageRuns::PageRuns(uint64_t bytes) : bytes_(bytes) {
  RAYLET_CHECK(bytes > 0 && bytes % kPageBytes == 0, bytes, " bytes are no whole pages");
  Add(0, bytes);
}

void PageRuns::Add(uint64_t offset, uint64_t bytes) {
  free_bytes_ += bytes;
  by_offset_[offset] = bytes;
  by_class_[ClassOf(bytes)][offset] = bytes;
}

void PageRuns::Remove(Runs::iterator run) {
  free_bytes_ -= run->second;
  by_class_[ClassOf(run->second)].erase(run->first);
  by_offset_.erase(run);
}

std::optional<uint64_t> PageRuns::Take(uint64_t bytes) {
  RAYLET_CHECK(bytes > 0 && bytes % kPageBytes == 0, bytes, " bytes are no whole pages");
  const size_t own = ClassOf(bytes);
  std::optional<uint64_t> lowest;
  const auto look_in_own = [&](int tries) {
    for (auto run = by_class_[own].begin(); run != by_class_[own].end() && tries > 0 && !lowest; ++run, --tries)
      if (run->second >= bytes) lowest = run->first;
  };
  look_in_own(kTriesInClass);
  for (size_t larger = own + 1; larger < kClasses; ++larger) {
    if (by_class_[larger].empty()) continue;
    const uint64_t offset = by_class_[larger].begin()->first;
    if (!lowest || offset < *lowest) lowest = offset;
  }
  if (!lowest) look_in_own(INT_MAX);
  if (!lowest) return std::nullopt;
  const uint64_t offset = *lowest;
  const auto run = by_offset_.find(offset);
  const uint64_t run_bytes = run->second;
  Remove(run);
  if (run_bytes > bytes) Add(offset + bytes, run_bytes - bytes);
  return offset;
}

uint64_t PageRuns::largest_bytes() const {
  for (auto runs = by_class_.rbegin(); runs != by_class_.rend(); ++runs) {
    const auto shorter = [](const auto& a, const auto& b) { return a.second < b.second; };
    if (!runs->empty()) return std::max_element(runs->begin(), runs->end(), shorter)->second;
  }
  return 0;
}

std::optional<PageRuns::Run> PageRuns::TakeLast(uint64_t bytes) {
  RAYLET_CHECK(bytes > 0 && bytes % kPageBytes == 0, bytes, " bytes are no whole pages");
  if (by_offset_.empty()) return std::nullopt;
  const auto last = std::prev(by_offset_.end());
  const auto [offset, run_bytes] = *last;
  Remove(last);
  const uint64_t taken = std::min(bytes, run_bytes);
  if (run_bytes > taken) Add(offset, run_bytes - taken);
  return Run{offset + run_bytes - taken, taken};
}

void PageRuns::TakeRun(uint64_t offset) {
  const auto run = by_offset_.find(offset);
  RAYLET_CHECK(run != by_offset_.end(), "no free run begins at ", offset);
  Remove(run);
}

bool PageRuns::TakeAt(uint64_t offset, uint64_t bytes) {
  auto run = by_offset_.upper_bound(offset);
  if (run == by_offset_.begin()) return false;
  --run;
  const auto [free, free_bytes] = *run;
  if (offset - free > free_bytes || bytes > free_bytes - (offset - free)) return false;
  Remove(run);
  if (offset > free) Add(free, offset - free);
  if (free + free_bytes > offset + bytes) Add(offset + bytes, free + free_bytes - offset - bytes);
  return true;
}

void PageRuns::Give(uint64_t offset, uint64_t bytes) {
  RAYLET_CHECK(bytes > 0 && (offset | bytes) % kPageBytes == 0 && offset <= bytes_ && bytes <= bytes_ - offset,
               "given back: ", bytes, " bytes at ", offset, " of ", bytes_);
  const auto next = by_offset_.lower_bound(offset);
  if (next != by_offset_.begin()) {
    const auto before = std::prev(next);
    RAYLET_CHECK(before->first + before->second <= offset, "pages at ", offset, " are free already");
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      Remove(before);
    }
  }
  if (next != by_offset_.end()) {
    RAYLET_CHECK(offset + bytes <= next->first, "pages at ", next->first, " are free already");
    if (offset + bytes == next->first) {
      bytes += next->second;
      Remove(next);
    }
  }
  Add(offset, bytes);
}

}  // namespace raylet::store
