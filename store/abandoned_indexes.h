// Abandoned indexes: files in /dev/shm that nobody can look at or replace any more. Their daemon
// was killed, and the folder of its socket is gone too. A store calls this once, at its start.
// Always holds: an index stays while its daemon lives, or while its folder exists for objstat or
// the next daemon.
#pragma once

#include <cstddef>

namespace raylet::store {

// Returns how many it removed.
size_t RemoveAbandonedIndexes();

}  // namespace raylet::store
