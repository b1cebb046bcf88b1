// PageRuns: the free runs of pages of a range. Pure. The Arena owns it; loop thread only.
// Always holds: no two free runs touch, because they are merged. When all pages are given back
// there is one run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace raylet::store {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t PageUp(uint64_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); }

class PageRuns {
 public:
  // One free run of `bytes`, whole pages, from offset 0.
  explicit PageRuns(uint64_t bytes);

  // The offset of `bytes`, which are whole pages and not zero. Takes the smallest run that is long
  // enough, and the lowest of several. Nothing when there is none.
  std::optional<uint64_t> Take(uint64_t bytes);
  struct Run {
    uint64_t offset = 0, bytes = 0;
  };
  // At most `bytes`, whole pages, from the end of the last run. Nothing when no page is free.
  std::optional<Run> TakeLast(uint64_t bytes);
  // Gives back any part of the pages taken, in whole pages.
  void Give(uint64_t offset, uint64_t bytes);
  uint64_t free_bytes() const { return free_bytes_; }
  uint64_t largest_bytes() const { return by_bytes_.empty() ? 0 : by_bytes_.rbegin()->first; }

 private:
  void Add(uint64_t offset, uint64_t bytes);
  void Remove(std::map<uint64_t, uint64_t>::iterator run);

  const uint64_t bytes_;
  uint64_t free_bytes_ = 0;
  std::map<uint64_t, uint64_t> by_offset_;            // offset -> bytes
  std::set<std::pair<uint64_t, uint64_t>> by_bytes_;  // the same runs: (bytes, offset)
};

}  // namespace raylet::store
