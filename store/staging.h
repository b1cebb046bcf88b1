// Staging: with --isolation=strict, the memory in which one client writes its objects. It lies behind the client's pin
// page, in the same memfd. It is as large as the arena and mostly a hole, and an object lies at the same offset in
// both. So no client can write the arena, and what it writes is an object's only once the daemon has copied it. Loop
// thread only. Always holds: nothing that a client does with the memfd raises a signal here, since its size is sealed
// and the daemon reads it by system calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace raylet::store {

// Where the arena's bytes begin in the memfd.
uint64_t StagingOffset();

class Staging {
 public:
  // The client wrote objects that an earlier server has lost. It writes them again from this memory.
  void HasLostObjects() { has_lost_objects_ = true; }
  // Copies bytes of an object of the memfd `fd` to the same offset of the arena.
  static Result<void> Copy(int fd, uint64_t offset, uint64_t bytes, std::byte* arena);
  // After all of an object was copied: gives its memory back to the machine. `alone`: the client writes no other
  // object.
  void Copied(int fd, uint64_t offset, uint64_t bytes, uint64_t arena_bytes, bool alone);

 private:
  void GiveBack(int fd, uint64_t begin, uint64_t end) const;

  bool has_lost_objects_ = false;
  uint64_t kept_bytes_ = 0;  // of objects whose pages may be there still
};

}  // namespace raylet::store
