// CountUses: how many clients use each object, by entry of the index. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fbs/messages.h"
#include "store/object_store.h"

namespace raylet::store {

constexpr size_t kUsesPerReplyMax = 65536;  // 512 KiB

// From `first_entry` on, as many as one reply holds.
wire::ListUsesReplyT CountUses(const ObjectStore& store, uint32_t first_entry);

}  // namespace raylet::store
