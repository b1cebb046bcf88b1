// BulkReader: parses the bytes of a bulk connection, so that chunks go from the socket straight to their place. Pure:
// it says where the next bytes go, and hears how many came. Owned by one connection of an ObjectReceiver.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/frame.h"
#include "base/result.h"
#include "raylet/objects/chunk.h"

namespace raylet {

class BulkReader {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // The place for this chunk, `bytes` long and valid until OnChunk or Forget. Null: nobody wants the chunk.
    virtual Result<std::span<std::byte>> PlaceFor(uint64_t pull, uint64_t offset, uint64_t bytes) = 0;
    // A wanted chunk is in its place; the checksum is the sender's.
    virtual Result<void> OnChunk(uint64_t pull, uint64_t offset, std::span<const std::byte> bytes,
                                 uint64_t checksum) = 0;
    virtual Result<void> OnMessage(const FrameHeader& header, std::span<const std::byte> body) = 0;
  };

  explicit BulkReader(Sink& sink);  // `sink` outlives the reader

  // Read into these, in order. They stay valid until Took.
  std::span<const iovec> Room();
  // `bytes` bytes were read. After an error, the sink's or kProtocolError, the connection is unusable.
  Result<void> Took(size_t bytes);
  // Writes no more to the place of the chunk under way.
  void Forget(uint64_t pull);

 private:
  enum class State { kMessage, kChunk };
  Result<void> TakeStaged();
  Result<bool> TakeMessage();
  Result<void> BeginChunk(const FrameHeader& header, std::span<const std::byte> chunk_header);
  Result<void> EndChunk();

  static constexpr size_t kStagingBytes = size_t{64} << 10;

  Sink& sink_;
  State state_ = State::kMessage;
  const std::unique_ptr<std::byte[]> staging_;  // [start_, end_) is not taken yet; empty while a chunk is under way
  size_t start_ = 0, end_ = 0;
  std::array<iovec, 2> room_{};

  // kChunk
  uint64_t pull_ = 0;
  uint64_t offset_ = 0;
  uint64_t checksum_ = 0;
  bool wanted_ = false;
  std::span<std::byte> place_;  // empty for a chunk that nobody wants: its bytes are read and dropped
  uint64_t chunk_bytes_ = 0;
  uint64_t chunk_taken_ = 0;
  const std::unique_ptr<std::byte[]> dropped_;
  bool small_chunks_ = true;  // the last chunk was small, so many are read at once
};

}  // namespace raylet
