#include "raylet/objects/arena_pages.h"

#include <sys/mman.h>

#include <algorithm>

namespace raylet {
namespace {

constexpr uint64_t kMapAheadBytes = uint64_t{4} << 20;
constexpr uint64_t kBlockBytes = uint64_t{256} << 10;
constexpr uint64_t kPageBytes = 4096;

}  // namespace

// Populating for reading maps sixteen pages at a time. They are writable too, as the kernel does not track which pages
// of a memfd are dirty. Measured: it takes a third of the time of populating for writing.
void ArenaPages::MapAhead(const std::byte* first, uint64_t bytes, const std::byte* object_end) {
  const auto begin = reinterpret_cast<uintptr_t>(first);
  uintptr_t end = begin + bytes;
  bool mapped = true;
  for (uintptr_t block = begin / kBlockBytes; block * kBlockBytes < end; ++block) mapped = mapped && IsMapped(block);
  if (mapped) return;
  const uintptr_t ahead = std::min(reinterpret_cast<uintptr_t>(object_end), begin + kMapAheadBytes);
  while (end < ahead && !IsMapped(end / kBlockBytes)) end = std::min(ahead, (end / kBlockBytes + 1) * kBlockBytes);
  const uintptr_t first_page = begin & ~(kPageBytes - 1);
  // If the call fails, the pages come one by one.
  (void)::madvise(reinterpret_cast<void*>(first_page), end - first_page, MADV_POPULATE_READ);
  for (uintptr_t block = (begin + kBlockBytes - 1) / kBlockBytes; (block + 1) * kBlockBytes <= end; ++block)
    mapped_blocks_[block / kBlocksPerRegion].set(block % kBlocksPerRegion);
}

bool ArenaPages::IsMapped(uintptr_t block) const {
  const auto region = mapped_blocks_.find(block / kBlocksPerRegion);
  return region != mapped_blocks_.end() && region->second.test(block % kBlocksPerRegion);
}

}  // namespace raylet
