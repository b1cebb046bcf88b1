#include "raylet/objects/bulk_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr size_t kSmallChunkBytes = size_t{32} << 10;
// After a large chunk little is read ahead, because bytes of the next chunk in the buffer need one more copy.
constexpr size_t kReadAheadBytes = 512;
constexpr size_t kDroppedBytes = size_t{64} << 10;

}  // namespace

BulkReader::BulkReader(Sink& sink)
    : sink_(sink),
      staging_(std::make_unique_for_overwrite<std::byte[]>(kStagingBytes)),
      dropped_(std::make_unique_for_overwrite<std::byte[]>(kDroppedBytes)) {
  static_assert(sizeof(FrameHeader) + kBulkMessageBytesMax <= kStagingBytes);
}

std::span<const iovec> BulkReader::Room() {
  if (state_ == State::kMessage) {
    if (start_ > 0) {  // the rest is a message that is not whole yet
      std::memmove(staging_.get(), staging_.get() + start_, end_ - start_);
      end_ -= start_;
      start_ = 0;
    }
    room_[0] = {staging_.get() + end_, kStagingBytes - end_};
    return {room_.data(), 1};
  }
  const uint64_t left = chunk_bytes_ - chunk_taken_;
  if (place_.empty()) {
    room_[0] = {dropped_.get(), static_cast<size_t>(std::min<uint64_t>(left, kDroppedBytes))};
    if (left > kDroppedBytes) return {room_.data(), 1};
  } else {
    room_[0] = {place_.data() + chunk_taken_, static_cast<size_t>(left)};
  }
  room_[1] = {staging_.get(), small_chunks_ ? kStagingBytes : kReadAheadBytes};
  return room_;
}

Result<void> BulkReader::Took(size_t bytes) {
  if (state_ == State::kChunk) {
    RAYLET_CHECK(start_ == end_, "bytes wait although a chunk is under way");
    start_ = end_ = 0;
    const auto of_chunk = static_cast<size_t>(std::min<uint64_t>(bytes, chunk_bytes_ - chunk_taken_));
    chunk_taken_ += of_chunk;
    end_ = bytes - of_chunk;
    if (chunk_taken_ < chunk_bytes_) return {};
    RAYLET_RETURN_IF_ERROR(EndChunk());
  } else {
    end_ += bytes;
  }
  return TakeStaged();
}

Result<void> BulkReader::TakeStaged() {
  for (;;) {
    if (state_ == State::kChunk) {
      const auto bytes = static_cast<size_t>(std::min<uint64_t>(end_ - start_, chunk_bytes_ - chunk_taken_));
      if (!place_.empty() && bytes > 0) std::memcpy(place_.data() + chunk_taken_, staging_.get() + start_, bytes);
      start_ += bytes;
      chunk_taken_ += bytes;
      if (chunk_taken_ < chunk_bytes_) return {};
      RAYLET_RETURN_IF_ERROR(EndChunk());
    }
    const auto took = TakeMessage();
    if (!took) return Fail(took.error());
    if (!*took) return {};
  }
}

// A whole message, or the beginning of a chunk; false when more has to come first.
Result<bool> BulkReader::TakeMessage() {
  if (end_ - start_ < sizeof(FrameHeader)) return false;
  const std::byte* const at = staging_.get() + start_;
  FrameHeader header;
  std::memcpy(&header, at, sizeof header);
  const bool chunk = header.type == static_cast<uint16_t>(wire::BulkMessage::PullChunk);
  const size_t bytes_max = chunk ? sizeof(wire::ChunkHeader) + kChunkBytesMax : kBulkMessageBytesMax;
  if (header.body_bytes > bytes_max || (chunk && header.body_bytes < sizeof(wire::ChunkHeader)))
    return Fail(ErrorCode::kProtocolError, StrCat("a message of type ", header.type, " with ", header.body_bytes,
                                                  " bytes on a bulk connection; ", bytes_max, " is the limit"));
  const size_t staged_bytes = sizeof header + (chunk ? sizeof(wire::ChunkHeader) : header.body_bytes);
  if (end_ - start_ < staged_bytes) return false;
  start_ += staged_bytes;
  const std::span<const std::byte> body(at + sizeof header, staged_bytes - sizeof header);
  if (chunk)
    RAYLET_RETURN_IF_ERROR(BeginChunk(header, body));
  else
    RAYLET_RETURN_IF_ERROR(sink_.OnMessage(header, body));
  return true;
}

Result<void> BulkReader::BeginChunk(const FrameHeader& header, std::span<const std::byte> chunk_header) {
  wire::ChunkHeader chunk;
  std::memcpy(&chunk, chunk_header.data(), sizeof chunk);
  pull_ = header.request_id;
  offset_ = chunk.offset();
  checksum_ = chunk.checksum();
  chunk_bytes_ = header.body_bytes - sizeof chunk;
  chunk_taken_ = 0;
  small_chunks_ = chunk_bytes_ <= kSmallChunkBytes;
  const auto place = sink_.PlaceFor(pull_, offset_, chunk_bytes_);
  if (!place) return Fail(place.error());
  RAYLET_CHECK(place->empty() || place->size() == chunk_bytes_, "a place of ", place->size(), " bytes for a chunk of ",
               chunk_bytes_);
  place_ = *place;
  wanted_ = place->data() != nullptr;
  state_ = State::kChunk;
  return {};
}

Result<void> BulkReader::EndChunk() {
  state_ = State::kMessage;
  if (!wanted_) return {};
  return sink_.OnChunk(pull_, offset_, std::exchange(place_, {}), checksum_);
}

void BulkReader::Forget(uint64_t pull) {
  if (state_ != State::kChunk || pull_ != pull) return;
  place_ = {};
  wanted_ = false;
}

}  // namespace raylet
