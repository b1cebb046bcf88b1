// PageRuns: which runs of pages of a range are free. Pure. The Arena owns it; loop thread only.
// Always holds: no two free runs touch (they have grown together), so that when all is given back there is one.
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

  // The offset of `bytes`, whole pages and not zero: from the smallest run that is long enough, and of several the one
  // that lies lowest. Nothing when there is none.
  std::optional<uint64_t> Take(uint64_t bytes);
  // Any part of what was taken, whole pages.
  void Give(uint64_t offset, uint64_t bytes);
  uint64_t largest_bytes() const { return by_bytes_.empty() ? 0 : by_bytes_.rbegin()->first; }

 private:
  void Add(uint64_t offset, uint64_t bytes);
  void Remove(std::map<uint64_t, uint64_t>::iterator run);

  const uint64_t bytes_;
  std::map<uint64_t, uint64_t> by_offset_;            // offset -> bytes
  std::set<std::pair<uint64_t, uint64_t>> by_bytes_;  // the same runs: (bytes, offset)
};

}  // namespace raylet::store
