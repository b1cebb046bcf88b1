// What two raylets agree on about the bytes of an object on a bulk connection: one run of bytes, data then metadata, in
// chunks that do not reach from the one into the other, each with a checksum. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fbs/ids.h"
#include "fbs/peer_object_generated.h"

namespace raylet {

// Small enough that a chunk that was just checksummed, or just copied out of the socket, is still in the core's cache.
constexpr size_t kChunkBytes = size_t{256} << 10;
constexpr size_t kChunkBytesMax = size_t{1} << 20;        // of a sender that thinks otherwise
constexpr size_t kBulkMessageBytesMax = size_t{8} << 10;  // of every other message there
constexpr size_t kPullsPerConnectionMax = 1024;

struct ObjectSizes {
  uint64_t data_bytes = 0;
  uint64_t metadata_bytes = 0;
  uint64_t total() const { return data_bytes + metadata_bytes; }
  friend bool operator==(const ObjectSizes&, const ObjectSizes&) = default;
};

// The bytes of the chunk that begins at `offset`; 0 at the object's end, and for the one chunk of an empty object.
uint64_t ChunkBytesAt(const ObjectSizes& sizes, uint64_t offset);

// XXH3-64 of a chunk, seeded by which object it is of, how large that is and where the chunk lies: a chunk in the wrong
// place, or of another object, fails as a bent byte does.
uint64_t ChunkChecksum(const ObjectId& object, const ObjectSizes& sizes, uint64_t offset,
                       std::span<const std::byte> bytes);

}  // namespace raylet
