#include "client/plasma/plasma_buffers.h"

#include <cstddef>
#include <span>
#include <utility>

namespace plasma {

namespace client = raylet::client;

namespace {

const uint8_t* Bytes(std::span<const std::byte> bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
int64_t SizeOf(std::span<const std::byte> bytes) { return static_cast<int64_t>(bytes.size()); }

// Both buffers of an object and what keeps their bytes, in one allocation.
template <class Keeper>
struct Buffers {
  Buffers(Keeper keep, std::span<const std::byte> data_bytes, std::span<const std::byte> metadata_bytes)
      : keeper(std::move(keep)),
        data(Bytes(data_bytes), SizeOf(data_bytes)),
        metadata(Bytes(metadata_bytes), SizeOf(metadata_bytes)) {}
  const Keeper keeper;
  Buffer data, metadata;
};

template <class Keeper>
ObjectBuffer Make(Keeper keep, std::span<const std::byte> data, std::span<const std::byte> metadata) {
  auto buffers = std::make_shared<Buffers<Keeper>>(std::move(keep), data, metadata);
  ObjectBuffer out;
  out.data = std::shared_ptr<Buffer>(buffers, &buffers->data);
  Buffer* const last = &buffers->metadata;
  out.metadata = std::shared_ptr<Buffer>(std::move(buffers), last);
  return out;
}

class CreatedBuffer final : public MutableBuffer {
 public:
  explicit CreatedBuffer(std::shared_ptr<Creation> creation)
      : MutableBuffer(reinterpret_cast<uint8_t*>(creation->writer.data().data()),
                      static_cast<int64_t>(creation->writer.data().size())),
        creation_(std::move(creation)) {}

 private:
  const std::shared_ptr<Creation> creation_;
};

}  // namespace

std::shared_ptr<Buffer> BufferOf(std::shared_ptr<Creation> creation) {
  return std::make_shared<CreatedBuffer>(std::move(creation));
}

ObjectBuffer ReleasingBuffers(client::PinnedObject view) {
  const auto data = view.data(), metadata = view.metadata();
  return Make(std::move(view), data, metadata);
}

ObjectBuffer PlainBuffers(const client::PinnedObject& view) {
  return Make(view.memory(), view.data(), view.metadata());
}

}  // namespace plasma
