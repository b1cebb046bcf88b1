#include "store/index_memory.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace raylet::store {
namespace {

constexpr Duration kRetryPause = std::chrono::seconds(1);
constexpr uint64_t kStepBytes = kIndexStep * kMemoryPerEntry;
static_assert(kStepBytes % kPageBytes == 0);

bool Reserve(int fd, const SegmentRange& range) {
  int done = -1;
  do {
    done = ::fallocate(fd, 0, static_cast<off_t>(range.offset), static_cast<off_t>(range.bytes));
  } while (done < 0 && errno == EINTR);
  return done == 0;
}

}  // namespace

IndexMemory::IndexMemory(Arena& arena, IndexHeader& header, IndexFile file)
    : arena_(arena),
      header_(header),
      entries_max_(header.entries_max),
      fd_(file.fd),
      entries_(header.entries_with_memory.load(std::memory_order_relaxed)) {
  if (entries_ != 0) return;  // what another daemon had
  entries_ = file.fd < 0 ? header.entries_max : file.entries;
  header.entries_at_start.store(entries_, std::memory_order_relaxed);
  header.entries_with_memory.store(entries_, std::memory_order_relaxed);
}

bool IndexMemory::Grow(TimePoint now) {
  if (entries_ + kIndexStep > entries_max_ || now < try_again_) return false;
  header_.has_lent.store(1, std::memory_order_release);  // before the arena gives up the first page
  const auto lent = arena_.Lend(kStepBytes);
  if (lent.empty()) return false;
  for (const SegmentRange& range : IndexStepRanges(entries_max_, entries_, kIndexStep)) {
    if (Reserve(fd_, range)) continue;
    // What was reserved of this step stays for the next try.
    RAYLET_LOG(kWarning, "the index cannot grow beyond ", entries_,
               " objects, so the oldest objects make room; is /dev/shm full? ", std::strerror(errno));
    try_again_ = now + kRetryPause;
    arena_.TakeBack(lent);
    return false;
  }
  entries_ += kIndexStep;
  header_.entries_with_memory.store(entries_, std::memory_order_release);
  return true;
}

}  // namespace raylet::store
