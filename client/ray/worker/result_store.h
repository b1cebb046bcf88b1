// StoreResult: the sealed result of a call, in place of what another worker made of the same call and told nobody of
// before it died. The worker loop's thread.
#pragma once

#include "base/result.h"
#include "client/ray/cluster/store_access.h"

namespace raylet::client {

// Nobody reads the result before its call's end is told, so what lies in its place is deleted, or waited for where its
// writer has not gone yet. A reader sees this value or the other one, never some of both.
Result<void> StoreResult(StoreAccess& store, const ObjectId& id, std::string_view bytes, uint32_t owner_client);

}  // namespace raylet::client
