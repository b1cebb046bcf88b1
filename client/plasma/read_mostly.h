// ReadMostly: a shared object that many threads use and few replace. Any thread. Each thread reads a copy of the
// pointer of its own share of the threads, so that readers seldom meet at one lock or one cache line.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "base/mutex.h"

namespace raylet::client {

template <class T>
class ReadMostly {
 public:
  std::shared_ptr<T> Get() const {
    const Share& share = ShareOfThisThread();
    const MutexLock lock(share.mutex);
    return share.object;
  }
  // Calls use(T*), with nullptr where there is no object. Replacing the object waits meanwhile, so `use` must be short.
  template <class Use>
  auto With(const Use& use) const {
    const Share& share = ShareOfThisThread();
    const MutexLock lock(share.mutex);
    return use(share.object.get());
  }
  // False, and nothing is changed, where there is an object already.
  bool Set(const std::shared_ptr<T>& object) {
    const MutexLock alone(changes_);
    if (Get() != nullptr) return false;
    for (Share& share : shares_) {
      const MutexLock lock(share.mutex);
      share.object = object;
    }
    return true;
  }
  std::shared_ptr<T> Take() {
    std::shared_ptr<T> taken;  // the last reference may go here, without a lock
    const MutexLock alone(changes_);
    for (Share& share : shares_) {
      const MutexLock lock(share.mutex);
      taken = std::exchange(share.object, nullptr);
    }
    return taken;
  }

 private:
  static constexpr size_t kShares = 16;
  struct alignas(64) Share {
    mutable Mutex mutex;
    std::shared_ptr<T> object RAYLET_GUARDED_BY(mutex);
  };
  const Share& ShareOfThisThread() const {
    static std::atomic<size_t> threads{0};
    static thread_local const size_t number = threads.fetch_add(1, std::memory_order_relaxed);
    return shares_[number % kShares];
  }

  Mutex changes_;  // one change at a time
  std::array<Share, kShares> shares_;
};

}  // namespace raylet::client
