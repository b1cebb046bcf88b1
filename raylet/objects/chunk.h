// How the bytes of an object travel on a bulk connection: one run of bytes, data then metadata, in
// chunks. No chunk holds both data and metadata; each has a checksum. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fbs/ids.h"
#include "fbs/peer_object_generated.h"

namespace raylet {

// Small enough to stay in the core's cache between the checksum and the copy through the socket.
constexpr size_t kChunkBytes = size_t{256} << 10;
constexpr size_t kChunkBytesMax = size_t{1} << 20;        // a receiver takes
constexpr size_t kBulkMessageBytesMax = size_t{8} << 10;  // of any message but a chunk there
constexpr size_t kPullsPerConnectionMax = 1024;

struct ObjectSizes {
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  uint64_t total() const { return data_bytes + metadata_bytes; }
  friend bool operator==(const ObjectSizes&, const ObjectSizes&) = default;
};

// The bytes of the chunk that begins at `offset`; 0 at the object's end, and for the one chunk of
// an empty object.
uint64_t ChunkBytesAt(const ObjectSizes& sizes, uint64_t offset);

// XXH3-64 of a chunk, seeded by its object, that object's sizes and the chunk's offset. So a chunk
// in the wrong place, or of another object, fails as a bent byte does.
uint64_t ChunkChecksum(const ObjectId& object, const ObjectSizes& sizes, uint64_t offset,
                       std::span<const std::byte> bytes);

}  // namespace raylet
