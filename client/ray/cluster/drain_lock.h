// DrainLock: held by the one thread that takes replies off this process's channels. A thread that finds it held need
// not wait: the holder takes the replies for all. At Release it sees that another thread came by. Owned by ReplyPump;
// any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/thread_annotations.h"
#include "base/waiter.h"

namespace raylet::client {

class RAYLET_CAPABILITY("drain lock") DrainLock {
 public:
  bool TryAcquire() RAYLET_TRY_ACQUIRE(true) {
    if (!held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_seq_cst)) return Taken();
    // Set before the second look. So either that look finds the lock free, or the holder's Release finds missed_ set.
    missed_.store(true, std::memory_order_seq_cst);
    return !held_.exchange(true, std::memory_order_seq_cst) && Taken();
  }

  // Waits for the lock, parked on `bell`. Not from the thread that holds it.
  void Acquire(Doorbell& bell) RAYLET_ACQUIRE() RAYLET_NO_THREAD_SAFETY_ANALYSIS {  // within the lambda
    wanted_.fetch_add(1, std::memory_order_seq_cst);
    SpinPark park;
    park.WaitUntil(bell, Deadline::Never(), [this] { return TryAcquire(); }, {});
    wanted_.fetch_sub(1, std::memory_order_seq_cst);
  }

  // Rings the bell if another thread came by: it may have parked in the belief that the holder looks again.
  void Release(Doorbell& bell) RAYLET_RELEASE() {
    held_.store(false, std::memory_order_seq_cst);
    const bool missed = missed_.load(std::memory_order_seq_cst);
    if (missed) missed_.store(false, std::memory_order_relaxed);
    if (missed || wanted_.load(std::memory_order_seq_cst) > 0) Ring(bell);
  }

 private:
  // The new holder serves every thread that came by until now.
  bool Taken() {
    missed_.store(false, std::memory_order_seq_cst);
    return true;
  }

  std::atomic<bool> held_{false};
  std::atomic<bool> missed_{false};  // TryAcquire failed since the lock was taken
  std::atomic<uint32_t> wanted_{0};  // threads in Acquire, which need the lock itself
};

}  // namespace raylet::client
