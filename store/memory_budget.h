// MemoryBudget: the memory that a store of a given capacity can come to hold, and whether the machine
// has it. Pure.
// Always holds: the arena and the index never take more than is counted here, however many objects
// there are. Beyond the first, their entries' memory comes out of the arena (store/index_memory.h).
// MemoryGuard: asks again before the daemon takes what grows with its clients. So a machine or cgroup
// without memory is an answer, at start or to the client that comes too much, and never a SIGKILL.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace raylet::store {

constexpr uint64_t kIdleClientBytes = uint64_t{32} << 10;  // its pin page, socket and session
constexpr uint64_t kClientsAtStart = 8;                    // have room from the start
// Left free beside all that is counted: frames that are being read or sent.
constexpr uint64_t kTrafficBytes = uint64_t{8} << 20;

struct MemoryBudget {
  uint64_t index_entries = 0;      // that have memory from the start
  uint64_t index_entries_max = 0;  // the others take their memory from what the arena has for rounding
  uint64_t index_bytes = 0;        // at the start, with the daemon's own notes
  uint64_t arena_bytes = 0;
  uint64_t daemon_bytes = 0;  // its heap, its map of the arena, its page tables
  uint64_t traffic_bytes = kClientsAtStart * kIdleClientBytes + kTrafficBytes;
  uint64_t total_bytes() const { return index_bytes + arena_bytes + daemon_bytes + traffic_bytes; }

  static MemoryBudget For(uint64_t capacity_bytes);
  // kFull with the numbers unless `available_bytes` (base/available_memory.h) is enough. `flag` is
  // the user's own text.
  Result<void> Check(const std::string& flag, uint64_t available_bytes) const;
};

class MemoryGuard {
 public:
  // Says how many bytes the kernel can still give. None: everything fits.
  explicit MemoryGuard(std::function<uint64_t()> available = {}) : available_(std::move(available)) {}
  // kLimit, with the numbers, unless `bytes` more leave kTrafficBytes free. `what` takes them.
  Result<void> RoomFor(uint64_t bytes, std::string_view what) const;

 private:
  std::function<uint64_t()> available_;
};

}  // namespace raylet::store
