#include "store/staging.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "fbs/segment_layout.h"
#include "store/page_runs.h"

namespace raylet::store {
namespace {

// Small objects share pages, and a call for each would cost more than its copy.
constexpr uint64_t kGivenBackAtOnce = uint64_t{1} << 20;

}  // namespace

uint64_t StagingOffset() { return PageUp(PinPageBytes()); }

Result<void> Staging::Copy(int fd, uint64_t offset, uint64_t bytes, std::byte* arena) {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got =
        ::pread(fd, arena + offset + done, bytes - done, static_cast<off_t>(StagingOffset() + offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FailErrno("cannot read what a client has written", got < 0 ? errno : EIO);
    done += static_cast<uint64_t>(got);
  }
  return {};
}

void Staging::Copied(int fd, uint64_t offset, uint64_t bytes, uint64_t arena_bytes, bool alone) {
  kept_bytes_ += bytes;
  if (alone && !has_lost_objects_ && kept_bytes_ >= kGivenBackAtOnce) {
    GiveBack(fd, 0, arena_bytes);
    kept_bytes_ = 0;
  } else if (bytes >= kGivenBackAtOnce) {
    GiveBack(fd, PageUp(offset), (offset + bytes) & ~(kPageBytes - 1));
  }
}

void Staging::GiveBack(int fd, uint64_t begin, uint64_t end) const {
  const int done = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               static_cast<off_t>(StagingOffset() + begin), static_cast<off_t>(end - begin));
  if (done != 0) RAYLET_LOG(kWarning, "the kernel does not take back the memory of an object that was copied: ", errno);
}

}  // namespace raylet::store
