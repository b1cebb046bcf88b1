// CreateRequests: the requests that create objects, as the queue of creates has them. Pure.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/frame.h"
#include "base/result.h"
#include "store/create_queue.h"

namespace raylet::store {

TimePoint DeadlineOf(TimePoint now, int64_t timeout_ms);  // below 0: none

// kProtocolError: the frame is no such request.
Result<BlockedCreate> ParseCreate(const Frame& frame, uint32_t client, TimePoint now);
Result<BlockedCreate> ParseCreateAndSeal(const Frame& frame, uint32_t client, TimePoint now);
Result<BlockedCreate> ParseCreateAndSealBatch(const Frame& frame, uint32_t client, TimePoint now);

}  // namespace raylet::store
