// StoreResult: seals the result of a call. Another worker may have sealed a result of the same call, or have begun one,
// before it died. The new result replaces that one. The worker loop's thread.
#pragma once

#include "base/result.h"
#include "client/ray/cluster/store_access.h"

namespace raylet::client {

// Nobody reads a result before the end of its call is reported, so the old one may be deleted. Where
// its writer has not gone yet, this waits. A reader sees one of the two values, never a mixture.
Result<void> StoreResult(StoreAccess& store, const ObjectId& id, const ValueBytes& value, std::string_view metadata,
                         uint32_t owner_client);

}  // namespace raylet::client
