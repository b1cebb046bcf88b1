// PageToucher: a thread of low priority that has the kernel clear the arena's pages before somebody needs them: those
// are reserved from the start, and the kernel clears each at its first use, one fault at a time, which would cost a
// large put or pull more than its bytes do. Owned by the Arena, whose loop thread calls it.
// Always holds: no page's bytes change; what is touched is at most kTouchAheadBytes beyond what has been used so far;
// no memory is taken, since all is reserved; when there is nothing to touch, the thread sleeps.
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
  // `fd` is a memfd of `bytes`, and outlives this. Begins at once.
  PageToucher(int fd, uint64_t bytes, uint64_t ahead_bytes = kTouchAheadBytes);
  ~PageToucher();  // ends what is under way: milliseconds
  PageToucher(const PageToucher&) = delete;
  PageToucher& operator=(const PageToucher&) = delete;

  void UsedUntil(uint64_t offset);  // the highest page so far; cheap
  uint64_t touched_bytes() const { return touched_bytes_.load(std::memory_order_relaxed); }

 private:
  void Run();
  bool Touch(uint64_t offset, uint64_t bytes);

  const int fd_;
  const uint64_t bytes_, ahead_bytes_;
  uint64_t told_ = 0;  // loop thread: what the thread has been told
  std::atomic<uint64_t> touched_bytes_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t target_ = 0;  // under mutex_
  std::thread thread_;   // last: it uses all of the above
};

}  // namespace raylet::store
