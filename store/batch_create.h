// CreateAndSealBatch: several small objects in one step: all of them, or none. Loop thread only.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "fbs/messages.h"
#include "store/object_store.h"

namespace raylet::store {

constexpr size_t kBatchObjectsMax = 4096;  // some milliseconds of the loop

// As Create and Seal of each. kInvalid where the parts of the request do not fit together. After kFull, `full` has the
// numbers.
Result<void> CreateAndSealBatch(ObjectStore& store, uint32_t client, const wire::CreateAndSealBatchRequestT& request,
                                FullNumbers& full);

}  // namespace raylet::store
