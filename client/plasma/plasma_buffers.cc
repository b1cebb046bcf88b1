#include "client/plasma/plasma_buffers.h"

#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/id.h"

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
  explicit CreatedBuffer(const client::ObjectWriter& writer)
      : MutableBuffer(reinterpret_cast<uint8_t*>(writer.data().data()), static_cast<int64_t>(writer.data().size())),
        memory_(writer.memory()) {}

 private:
  const std::shared_ptr<const void> memory_;
};

class TextBuffer final : public Buffer {
 public:
  explicit TextBuffer(std::string text) : Buffer(std::string_view()), text_(std::move(text)) {
    data_ = reinterpret_cast<const uint8_t*>(text_.data());
    size_ = static_cast<int64_t>(text_.size());
  }

 private:
  const std::string text_;
};

}  // namespace

Buffer::Buffer(std::shared_ptr<Buffer> parent, int64_t offset, int64_t size)
    : data_(parent->data() + offset), size_(size), parent_(std::move(parent)) {
  RAYLET_CHECK(offset >= 0 && size >= 0 && offset <= parent_->size() && size <= parent_->size() - offset, "a slice of ",
               size, " bytes from ", offset, " of a buffer of ", parent_->size());
}
Buffer::~Buffer() = default;

std::shared_ptr<Buffer> Buffer::FromString(std::string text) { return std::make_shared<TextBuffer>(std::move(text)); }

bool Buffer::Equals(const Buffer& other) const { return size_ == other.size_ && Equals(other, size_); }

bool Buffer::Equals(const Buffer& other, int64_t first_bytes) const {
  if (first_bytes > size_ || first_bytes > other.size_) return false;
  return first_bytes <= 0 || data_ == other.data_ ||
         std::memcmp(data_, other.data_, static_cast<size_t>(first_bytes)) == 0;
}

std::string Buffer::ToHexString() const {
  std::string text = raylet::ToHex(data_, static_cast<size_t>(size_));
  for (char& digit : text)
    if (digit >= 'a') digit = static_cast<char>(digit - 'a' + 'A');
  return text;
}

MutableBuffer::MutableBuffer(std::shared_ptr<Buffer> parent, int64_t offset, int64_t size)
    : Buffer(std::move(parent), offset, size) {
  is_mutable_ = parent_->is_mutable();
}
MutableBuffer::~MutableBuffer() = default;

std::shared_ptr<Buffer> BufferOf(const client::ObjectWriter& writer) { return std::make_shared<CreatedBuffer>(writer); }

ObjectBuffer ReleasingBuffers(client::PinnedObject view) {
  const auto data = view.data(), metadata = view.metadata();
  return Make(std::move(view), data, metadata);
}

ObjectBuffer PlainBuffers(const client::PinnedObject& view) {
  return Make(view.memory(), view.data(), view.metadata());
}

}  // namespace plasma
