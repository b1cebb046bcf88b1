#include "store/spill_file.h"

#include <xxhash.h>

#include <cstddef>
#include <cstring>
#include <new>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest instructions of this machine: eight times as fast as those of every machine
#endif

#include "base/strings.h"

namespace raylet::store {
namespace {

constexpr uint64_t kFileBytesMax = uint64_t{1} << 62;  // so that no sum of places in it overflows

uint64_t ChecksumOf(const SpillHead& head) { return XXH3_64bits(&head, offsetof(SpillHead, checksum)); }
uint64_t ChecksumOf(const SpillRow& row, uint64_t file) {
  return XXH3_64bits_withSeed(&row, offsetof(SpillRow, row_checksum), file);
}

}  // namespace

uint64_t SpillChecksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

RunningSpillChecksum::RunningSpillChecksum() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(state_);
}
RunningSpillChecksum::~RunningSpillChecksum() { XXH3_freeState(state_); }
void RunningSpillChecksum::Add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_, bytes.data(), bytes.size());
}
uint64_t RunningSpillChecksum::Take() {
  const uint64_t checksum = XXH3_64bits_digest(state_);
  XXH3_64bits_reset(state_);
  return checksum;
}

void Finish(SpillHead& head) { head.checksum = ChecksumOf(head); }
void Finish(SpillRow& row, uint64_t file) { row.row_checksum = ChecksumOf(row, file); }

Result<SpillHead> ParseSpillHead(std::span<const std::byte> bytes, uint64_t file, uint64_t file_bytes) {
  SpillHead head;
  if (bytes.size() != sizeof head)
    return Fail(ErrorCode::kProtocolError, StrCat("spill file ", file, " has ", bytes.size(), " bytes of head"));
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.magic != kSpillMagic || head.version != kSpillVersion || head.checksum != ChecksumOf(head))
    return Fail(ErrorCode::kProtocolError, StrCat("spill file ", file, " has a head that is not ours, or is rotten"));
  if (head.file != file || head.file_bytes != file_bytes || file_bytes > kFileBytesMax || head.rows > kSpillRowsMax ||
      SpillBodyOffset(head.rows) > file_bytes)
    return Fail(ErrorCode::kProtocolError,
                StrCat("spill file ", file, " has ", file_bytes, " bytes, and its head says ", head.file_bytes,
                       " of file ", head.file));
  return head;
}

Result<SpillRow> ParseSpillRow(std::span<const std::byte> bytes, const SpillHead& head) {
  SpillRow row;
  if (bytes.size() != sizeof row)
    return Fail(ErrorCode::kProtocolError, StrCat("spill file ", head.file, " ends within a row"));
  std::memcpy(&row, bytes.data(), sizeof row);
  if (row.row_checksum != ChecksumOf(row, head.file))
    return Fail(ErrorCode::kProtocolError, StrCat("spill file ", head.file, " has a rotten row"));
  // Each bound by itself, so that no sum overflows.
  if (row.data_bytes > head.file_bytes || row.metadata_bytes > head.file_bytes || row.offset > head.file_bytes ||
      SpilledBytes(row.data_bytes, row.metadata_bytes) > head.file_bytes - row.offset)
    return Fail(ErrorCode::kProtocolError, StrCat("spill file ", head.file, " has a row that leads out of the file"));
  return row;
}

}  // namespace raylet::store
