// ArenaPages: maps pages of the arena before bytes are received into them. A page fault at the first write to each page
// would cost more than the copy. Owned by the ObjectReceiver, on its thread.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace raylet {

class ArenaPages {
 public:
  // `bytes` at `begin` come next. Maps them, and more of the object, which ends at `object_end`.
  void MapAhead(const std::byte* begin, uint64_t bytes, const std::byte* object_end);

 private:
  bool IsMapped(uintptr_t block) const;

  // Blocks of 256 KiB of the arena, by address, whose pages stay in this process's page table.
  static constexpr size_t kBlocksPerRegion = 4096;
  std::unordered_map<uintptr_t, std::bitset<kBlocksPerRegion>> mapped_blocks_;
};

}  // namespace raylet
