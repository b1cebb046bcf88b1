// SpillFile: the form of a file of spilled objects: a head, a row for each object, and then the objects' bytes as they
// lay in the arena. Head and rows carry checksums of their own, and each row that of its object. Pure.
// Always holds: nothing is believed of a file whose checksums do not fit. A parsed row lies within its file.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"

struct XXH3_state_s;

namespace raylet::store {

constexpr uint64_t kSpillMagic = 0x314c50534c594152ULL;  // "RAYLSPL1"
constexpr uint32_t kSpillVersion = 1;

struct SpillHead {
  uint64_t magic = kSpillMagic;
  uint32_t version = kSpillVersion;
  uint32_t rows = 0;
  uint64_t file = 0;        // its number
  uint64_t file_bytes = 0;  // the whole file
  uint64_t checksum = 0;    // of the above
};
static_assert(sizeof(SpillHead) == 40);

struct SpillRow {
  uint8_t id[ObjectId::kSize] = {};
  uint32_t metadata_bytes = 0;
  uint64_t data_bytes = 0;
  uint64_t offset = 0;        // of its bytes in the file: data, a gap up to a multiple of 64, metadata
  uint64_t checksum = 0;      // of those bytes
  uint64_t row_checksum = 0;  // of the above
};
static_assert(sizeof(SpillRow) == 56);

// What an object takes in a file, and in the arena.
constexpr uint64_t SpilledBytes(uint64_t data_bytes, uint64_t metadata_bytes) {
  return AlignUp(data_bytes) + metadata_bytes;
}
// Where the bytes of the first object begin.
constexpr uint64_t SpillBodyOffset(uint64_t rows) {
  constexpr uint64_t kBlock = 4096;
  return (sizeof(SpillHead) + rows * sizeof(SpillRow) + kBlock - 1) / kBlock * kBlock;
}
constexpr uint64_t SpillRowOffset(uint32_t row) { return sizeof(SpillHead) + uint64_t{row} * sizeof(SpillRow); }

uint64_t SpillChecksum(std::span<const std::byte> bytes);
// The same of bytes that come piece by piece.
class RunningSpillChecksum {
 public:
  RunningSpillChecksum();
  ~RunningSpillChecksum();
  RunningSpillChecksum(const RunningSpillChecksum&) = delete;
  RunningSpillChecksum& operator=(const RunningSpillChecksum&) = delete;
  void Add(std::span<const std::byte> bytes);
  uint64_t Take();  // of all so far; it begins anew

 private:
  XXH3_state_s* const state_;
};
// Fill in the checksums.
void Finish(SpillHead& head);
void Finish(SpillRow& row, uint64_t file);

// kProtocolError unless these bytes are the head of this file, which has `file_bytes` bytes.
Result<SpillHead> ParseSpillHead(std::span<const std::byte> bytes, uint64_t file, uint64_t file_bytes);
// kProtocolError unless these bytes are a row of the head's file.
Result<SpillRow> ParseSpillRow(std::span<const std::byte> bytes, const SpillHead& head);

}  // namespace raylet::store
