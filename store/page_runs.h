// PageRuns: the free runs of pages of a range. Pure. The Arena owns it; loop thread only.
// Always holds: no two free runs touch, because they are merged. When all pages are given back
// there is one run.
// Take is first fit by address: the lowest run that is long enough. It keeps large runs free better
// than best fit does, which leaves slivers everywhere. Classes of sizes, four to each doubling, make
// it a look at the lowest run of each class.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

namespace raylet::store {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t PageUp(uint64_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); }

class PageRuns {
 public:
  // One free run of `bytes`, whole pages, from offset 0.
  explicit PageRuns(uint64_t bytes);

  // The offset of `bytes`, which are whole pages and not zero. Takes the lowest run that is long
  // enough; of runs of its own class it looks at a few. Nothing when no run is long enough.
  std::optional<uint64_t> Take(uint64_t bytes);
  struct Run {
    uint64_t offset = 0, bytes = 0;
  };
  // At most `bytes`, whole pages, from the end of the last run. Nothing when no page is free.
  std::optional<Run> TakeLast(uint64_t bytes);
  void TakeRun(uint64_t offset);  // the whole free run there
  // These pages; false where one of them is not free.
  bool TakeAt(uint64_t offset, uint64_t bytes);
  // Gives back any part of the pages taken, in whole pages.
  void Give(uint64_t offset, uint64_t bytes);
  uint64_t free_bytes() const { return free_bytes_; }
  uint64_t largest_bytes() const;
  const std::map<uint64_t, uint64_t>& runs() const { return by_offset_; }  // offset -> bytes

 private:
  using Runs = std::map<uint64_t, uint64_t>;  // offset -> bytes
  static constexpr size_t kClasses = 160;

  void Add(uint64_t offset, uint64_t bytes);
  void Remove(Runs::iterator run);

  const uint64_t bytes_;
  uint64_t free_bytes_ = 0;
  Runs by_offset_;
  std::array<Runs, kClasses> by_class_;  // the same runs
};

}  // namespace raylet::store
