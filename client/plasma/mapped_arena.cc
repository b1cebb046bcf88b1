#include "client/plasma/mapped_arena.h"

#include <sys/mman.h>

#include <utility>

#include "base/strings.h"
#include "fbs/segment_layout.h"

namespace raylet::client {

Result<std::shared_ptr<MappedArena>> MappedArena::Open(UniqueFd read_only, UniqueFd writing, uint64_t writing_offset,
                                                       uint64_t bytes) {
  // Past the end of the memfd a read would be a SIGBUS.
  const std::pair<int, uint64_t> files[] = {{read_only.get(), 0}, {writing.get(), writing_offset}};
  for (const auto& [fd, offset] : files) {
    const auto size = FileSize(fd);
    if (!size) return Fail(size.error());
    if (bytes == 0 || *size < offset || *size - offset < bytes)
      return Fail(ErrorCode::kProtocolError, StrCat("the store announces an arena of ", bytes, " bytes from ", offset,
                                                    " on and sends ", *size, " bytes"));
  }
  return std::shared_ptr<MappedArena>(new MappedArena(std::move(read_only), std::move(writing), writing_offset, bytes));
}

Result<const std::byte*> MappedArena::MapForReading() {
  const MutexLock lock(mutex_);
  if (!reading_) {
    auto mapping = Mapping::Map(read_only_.get(), bytes_, Mapping::Access::kReadOnly);
    if (!mapping) return Fail(std::move(mapping).error());
    reading_ = *std::move(mapping);
    reading_base_.store(reading_.data(), std::memory_order_release);  // with the acquire in ForReading
  }
  return reading_.data();
}

Result<std::byte*> MappedArena::ForWriting() {
  const MutexLock lock(mutex_);
  if (!writing_) {
    auto mapping = Mapping::Map(writing_fd_.get(), bytes_, Mapping::Access::kReadWrite, writing_offset_);
    if (!mapping) return Fail(std::move(mapping).error());
    writing_ = *std::move(mapping);
  }
  return writing_.data();
}

void MappedArena::EndWriting() {
  const MutexLock lock(mutex_);
  if (!writing_) return;
  // In place and at once: another thread may be writing. A kernel without room for the private mapping leaves the
  // shared one as it is.
  void* const in_place = ::mmap(writing_.data(), writing_.size(), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, read_only_.get(), 0);
  if (in_place != MAP_FAILED) ::madvise(in_place, writing_.size(), MADV_DONTFORK);  // as Mapping does
}

bool MappedArena::Holds(uint64_t offset, uint64_t data_bytes, uint64_t metadata_bytes) const {
  if (offset % kAlignment != 0 || offset > bytes_ || data_bytes > bytes_ - offset) return false;
  const uint64_t metadata = MetadataOffset(offset, data_bytes);
  return metadata_bytes == 0 || (metadata <= bytes_ && metadata_bytes <= bytes_ - metadata);
}

}  // namespace raylet::client
