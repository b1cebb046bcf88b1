#include "raylet/objects/chunk.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest instructions of this machine: eight times as fast as those of every machine
#endif

namespace raylet {

uint64_t ChunkBytesAt(const ObjectSizes& sizes, uint64_t offset) {
  const uint64_t end = offset < sizes.data_bytes ? sizes.data_bytes : sizes.total();
  return std::min<uint64_t>(end - std::min(offset, end), kChunkBytes);
}

uint64_t ChunkChecksum(const ObjectId& object, const ObjectSizes& sizes, uint64_t offset,
                       std::span<const std::byte> bytes) {
  struct {
    uint64_t numbers[3];
    uint8_t object[ObjectId::kSize];
    uint8_t zero[4];
  } where{{sizes.data_bytes, sizes.metadata_bytes, offset}, {}, {}};
  static_assert(sizeof where == 48);
  std::memcpy(where.object, object.data(), ObjectId::kSize);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), XXH3_64bits(&where, sizeof where));
}

}  // namespace raylet
