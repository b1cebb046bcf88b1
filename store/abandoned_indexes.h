// Indexes in /dev/shm that nobody can ever look at or replace: their daemon was killed, and the folder of its socket is
// gone, too. Called once by a store that starts.
// Always holds: an index whose daemon lives, or whose folder is still there for objstat or a next daemon, stays.
#pragma once

#include <cstddef>

namespace raylet::store {

// How many were removed.
size_t RemoveAbandonedIndexes();

}  // namespace raylet::store
