// The counters of the index that tell how many objects are in each state, and how many bytes they have. Loop thread
// only.
#pragma once

#include <cstdint>

#include "fbs/segment_layout.h"

namespace raylet::store {

// One object more in this state, or one less.
void Count(IndexCounters& counters, EntryState state, uint64_t bytes, bool add);

}  // namespace raylet::store
