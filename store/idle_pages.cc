#include "store/idle_pages.h"

#include <algorithm>

namespace raylet::store {
namespace {

constexpr uint64_t kBlockBytes = uint64_t{1} << 20;
constexpr uint64_t kReservedAtOnce = 4 * kBlockBytes;  // so that not every small object makes a system call

}  // namespace

IdlePages::IdlePages(uint64_t arena_bytes) : used_((arena_bytes + kBlockBytes - 1) / kBlockBytes) {}

void IdlePages::Used(uint64_t offset, uint64_t bytes) {
  for (uint64_t block = offset / kBlockBytes; block * kBlockBytes < offset + bytes; ++block) used_[block] = true;
}

std::vector<PageRuns::Run> IdlePages::GiveBack(const std::map<uint64_t, uint64_t>& free_runs) {
  std::vector<PageRuns::Run> idle;
  for (const auto& [offset, bytes] : free_runs) {
    const uint64_t end = (offset + bytes) / kBlockBytes;
    for (uint64_t block = (offset + kBlockBytes - 1) / kBlockBytes; block < end; ++block) {
      if (used_[block]) continue;
      const uint64_t at = block * kBlockBytes;
      if (!idle.empty() && idle.back().offset + idle.back().bytes == at)
        idle.back().bytes += kBlockBytes;
      else
        idle.push_back({at, kBlockBytes});
    }
  }
  used_.assign(used_.size(), false);
  for (const PageRuns::Run& run : idle) returned_[run.offset] = run.bytes;
  return idle;
}

std::optional<PageRuns::Run> IdlePages::TakeFor(uint64_t bytes) {
  if (returned_.empty()) return std::nullopt;
  const auto long_enough = std::ranges::find_if(returned_, [bytes](const auto& run) { return run.second >= bytes; });
  const auto from = long_enough == returned_.end() ? returned_.begin() : long_enough;
  const PageRuns::Run run{from->first, from->second};
  returned_.erase(from);
  // Whole where it is too short by itself: it may join its neighbours.
  const uint64_t wanted = (std::max(bytes, kReservedAtOnce) + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  const uint64_t piece = std::min(run.bytes, wanted);
  if (piece < run.bytes) returned_[run.offset + piece] = run.bytes - piece;
  return PageRuns::Run{run.offset, piece};
}

uint64_t IdlePages::returned_bytes() const {
  uint64_t sum = 0;
  for (const auto& [offset, bytes] : returned_) sum += bytes;
  return sum;
}

}  // namespace raylet::store
