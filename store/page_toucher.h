// PageToucher: a low-priority thread that has the kernel clear the arena's pages before they are
// used. The pages are reserved, but the kernel clears each at its first use, one fault at a time.
// That can cost a large put or pull more than copying its bytes. Owned by the Arena; called on its
// loop thread.
// Always holds: no page's bytes change. At most kTouchAheadBytes beyond the highest page used so
// far are touched. No memory is taken, since all is reserved. With nothing to touch, the thread
// sleeps.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/result.h"

namespace raylet::store {

constexpr uint64_t kTouchAheadBytes = uint64_t{1} << 30;

class PageToucher {
 public:
  // `fd` is a memfd of `bytes` that outlives this. The thread starts at once.
  PageToucher(int fd, uint64_t bytes, uint64_t ahead_bytes = kTouchAheadBytes);
  ~PageToucher();  // waits for the piece under way: milliseconds
  PageToucher(const PageToucher&) = delete;
  PageToucher& operator=(const PageToucher&) = delete;

  void UsedUntil(uint64_t offset);  // the highest page so far; cheap
  // Touches nothing from this page on, but for the piece under way: at most 1 MiB.
  void StayBelow(uint64_t offset);
  uint64_t touched_bytes() const { return touched_bytes_.load(std::memory_order_relaxed); }

 private:
  void Run();
  bool Touch(uint64_t offset, uint64_t bytes);

  const int fd_;
  const uint64_t bytes_, ahead_bytes_;
  uint64_t told_ = 0;  // loop thread only: the last value given to the thread
  std::atomic<uint64_t> touched_bytes_{0};
  std::atomic<uint64_t> limit_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t target_ = 0;  // under mutex_
  std::thread thread_;   // last: it uses all of the above
};

}  // namespace raylet::store
