#include "store/batch_create.h"

#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/strings.h"

namespace raylet::store {

Result<void> CreateAndSealBatch(ObjectStore& store, uint32_t client, const wire::CreateAndSealBatchRequestT& request,
                                FullNumbers& full) {
  const size_t count = request.ids.size();
  if (count > kBatchObjectsMax)
    return Fail(ErrorCode::kInvalid,
                StrCat("a batch of ", count, " objects; the limit is ", kBatchObjectsMax, ": say smaller ones"));
  uint64_t bytes = 0;
  for (const uint32_t each : request.data_bytes) bytes += each;
  for (const uint32_t each : request.metadata_bytes) bytes += each;
  if (request.data_bytes.size() != count || request.metadata_bytes.size() != count || bytes != request.bytes.size())
    return Fail(ErrorCode::kInvalid, StrCat("a batch of ", count, " ids came with ", request.data_bytes.size(), " and ",
                                            request.metadata_bytes.size(), " sizes of ", bytes, " bytes in all, and ",
                                            request.bytes.size(), " bytes"));
  std::vector<ObjectId> created;
  created.reserve(count);
  const auto undo = [&](Error why) {
    // They exist and are unsealed, so none of these fails.
    for (const ObjectId& id : created) static_cast<void>(store.Abort(client, id));
    return Fail(std::move(why));
  };
  std::span<const uint8_t> left(request.bytes);
  const auto take = [&](std::byte* to, size_t size) {
    if (size != 0) std::memcpy(to, left.data(), size);
    left = left.subspan(size);
  };
  for (size_t i = 0; i < count; ++i) {
    const auto id = FromWire<ObjectId>(request.ids[i]);
    const uint64_t data_bytes = request.data_bytes[i], metadata_bytes = request.metadata_bytes[i];
    auto offset = store.Create(
        client, id,
        {.data_bytes = data_bytes, .metadata_bytes = metadata_bytes, .evict_if_full = request.evict_if_full}, full);
    if (!offset) return undo(std::move(offset).error());
    created.push_back(id);
    take(store.arena_data() + *offset, data_bytes);
    take(store.arena_data() + MetadataOffset(*offset, data_bytes), metadata_bytes);
  }
  for (const ObjectId& id : created) {
    const auto sealed = store.Seal(client, id);  // the client writes it, and nobody owns it
    RAYLET_CHECK(sealed, "object ", id.hex(), " of a batch cannot be sealed");
  }
  return {};
}

}  // namespace raylet::store
