#include "store/create_requests.h"

#include <memory>
#include <utility>

#include "fbs/messages.h"

namespace raylet::store {
namespace {

BlockedCreate CreateOf(const Frame& frame, uint32_t client) {
  BlockedCreate create;
  create.client = client;
  create.request_id = frame.header.request_id;
  return create;
}

}  // namespace

TimePoint DeadlineOf(TimePoint now, int64_t timeout_ms) {
  if (timeout_ms < 0) return TimePoint::max();
  constexpr int64_t kMaxMs = 100LL * 365 * 24 * 3600 * 1000;
  return timeout_ms > kMaxMs ? TimePoint::max() : now + std::chrono::milliseconds(timeout_ms);
}

Result<BlockedCreate> ParseCreate(const Frame& frame, uint32_t client, TimePoint now) {
  const auto request = Parse<wire::CreateRequestT>(frame.body);
  if (!request) return Fail(request.error());
  BlockedCreate create = CreateOf(frame, client);
  create.id = FromWire<ObjectId>(*request->id);
  create.options = {request->data_bytes, request->metadata_bytes, request->evict_if_full, request->owned,
                    request->owner};
  create.deadline = DeadlineOf(now, request->timeout_ms);
  return create;
}

Result<BlockedCreate> ParseCreateAndSeal(const Frame& frame, uint32_t client, TimePoint now) {
  auto request = Parse<wire::CreateAndSealRequestT>(frame.body);
  if (!request) return Fail(request.error());
  BlockedCreate create = CreateOf(frame, client);
  create.id = FromWire<ObjectId>(*request->id);
  create.options = {request->data.size(), request->metadata.size(), request->evict_if_full, request->owned,
                    request->owner};
  create.seal = true;
  create.data = std::move(request->data);
  create.metadata = std::move(request->metadata);
  create.deadline = DeadlineOf(now, request->timeout_ms);
  return create;
}

Result<BlockedCreate> ParseCreateAndSealBatch(const Frame& frame, uint32_t client, TimePoint now) {
  auto request = Parse<wire::CreateAndSealBatchRequestT>(frame.body);
  if (!request) return Fail(request.error());
  BlockedCreate create = CreateOf(frame, client);
  if (!request->ids.empty()) create.id = FromWire<ObjectId>(request->ids.front());
  create.options = {.data_bytes = request->bytes.size(), .evict_if_full = request->evict_if_full};
  create.seal = true;
  create.batch = std::make_shared<wire::CreateAndSealBatchRequestT>(*std::move(request));
  create.deadline = now;
  return create;
}

}  // namespace raylet::store
