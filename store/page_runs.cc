#include "store/page_runs.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace raylet::store {

PageRuns::PageRuns(uint64_t bytes) : bytes_(bytes) {
  RAYLET_CHECK(bytes > 0 && bytes % kPageBytes == 0, bytes, " bytes are no whole pages");
  Add(0, bytes);
}

void PageRuns::Add(uint64_t offset, uint64_t bytes) {
  free_bytes_ += bytes;
  by_offset_[offset] = bytes;
  by_bytes_.emplace(bytes, offset);
}

void PageRuns::Remove(std::map<uint64_t, uint64_t>::iterator run) {
  free_bytes_ -= run->second;
  by_bytes_.erase({run->second, run->first});
  by_offset_.erase(run);
}

std::optional<uint64_t> PageRuns::Take(uint64_t bytes) {
  RAYLET_CHECK(bytes > 0 && bytes % kPageBytes == 0, bytes, " bytes are no whole pages");
  const auto fit = by_bytes_.lower_bound({bytes, 0});
  if (fit == by_bytes_.end()) return std::nullopt;
  const auto [run_bytes, offset] = *fit;
  Remove(by_offset_.find(offset));
  if (run_bytes > bytes) Add(offset + bytes, run_bytes - bytes);
  return offset;
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
