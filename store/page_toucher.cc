#include "store/page_toucher.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/log.h"
#include "base/process_start.h"
#include "base/strings.h"
#include "store/page_runs.h"

namespace raylet::store {
namespace {

constexpr uint64_t kTouchBytes = uint64_t{1} << 20;         // touched at a time: the store's end does not wait long
constexpr uint64_t kTouchMappedBytes = uint64_t{64} << 20;  // mapped at a time: page tables stay short
constexpr uint64_t kTellEveryBytes = uint64_t{16} << 20;
constexpr int kLowestPriority = 19;

}  // namespace

PageToucher::PageToucher(int fd, uint64_t bytes, uint64_t ahead_bytes)
    : fd_(fd), bytes_(bytes), ahead_bytes_(ahead_bytes), limit_(bytes), target_(std::min(bytes, ahead_bytes)) {
  const SignalsBlocked blocked;  // signals belong to the loop's thread
  thread_ = std::thread([this] { Run(); });
}

PageToucher::~PageToucher() {
  {
    const std::lock_guard lock(mutex_);
    stop_.store(true, std::memory_order_relaxed);
  }
  changed_.notify_one();
  thread_.join();
}

void PageToucher::UsedUntil(uint64_t offset) {
  if (offset < told_ + kTellEveryBytes && offset < bytes_) return;
  told_ = offset;
  {
    const std::lock_guard lock(mutex_);
    target_ = std::max(target_, std::min(bytes_, PageUp(offset) + ahead_bytes_));
  }
  changed_.notify_one();
}

void PageToucher::StayBelow(uint64_t offset) {
  if (offset < limit_.load(std::memory_order_relaxed)) limit_.store(offset, std::memory_order_relaxed);
}

void PageToucher::Run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kLowestPriority);  // this thread alone
  for (uint64_t done = 0;;) {
    uint64_t target = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_.load(std::memory_order_relaxed) || target_ > done; });
      target = target_;
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    const uint64_t bytes = std::min(target - done, kTouchMappedBytes);
    if (!Touch(done, bytes)) return;
    done += bytes;
  }
}

bool PageToucher::Touch(uint64_t offset, uint64_t bytes) {
  void* const window = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, static_cast<off_t>(offset));
  bool good = window != MAP_FAILED;
  for (uint64_t at = 0; good && at < bytes && !stop_.load(std::memory_order_relaxed); at += kTouchBytes) {
    const uint64_t limit = limit_.load(std::memory_order_relaxed);
    if (offset + at >= limit) break;
    const uint64_t piece = std::min({kTouchBytes, bytes - at, limit - offset - at});
    good = ::madvise(static_cast<std::byte*>(window) + at, piece, MADV_POPULATE_WRITE) == 0 || errno == EINTR;
    if (good) touched_bytes_.store(offset + at + piece, std::memory_order_relaxed);
  }
  // An old kernel, or no address space. The store works without touching, only slower.
  if (!good) RAYLET_LOG(kInfo, "pages are not touched ahead of their use: ", std::strerror(errno));
  if (window != MAP_FAILED) ::munmap(window, bytes);
  return good;
}

}  // namespace raylet::store
