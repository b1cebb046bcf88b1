// CurrentCalls: the calls that this process's actor runs, and which of them their callers have cancelled. Owned by
// ClusterParts; any thread. A cancel may come before its call has begun.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <vector>

#include "base/mutex.h"
#include "fbs/ids.h"

namespace raylet::client {

class CurrentCalls {
 public:
  // A cancel whose call has ended already is dropped after so many others.
  static constexpr size_t kEarlyMax = 1024;

  // Around the user's method, on the thread that runs it.
  class Call {
   public:
    Call(CurrentCalls& calls, const ObjectId& result);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    bool IsCancelled() const { return cancelled_.load(std::memory_order_relaxed); }

   private:
    friend class CurrentCalls;
    CurrentCalls& calls_;
    const ObjectId result_;
    std::atomic<bool> cancelled_{false};  // stored under the lock of calls_; a flag alone
  };

  void Cancel(const ObjectId& result) RAYLET_EXCLUDES(mutex_);
  // The call of this thread.
  static bool IsCancelledHere();

 private:
  Mutex mutex_;
  std::vector<Call*> running_ RAYLET_GUARDED_BY(mutex_);
  std::deque<ObjectId> early_ RAYLET_GUARDED_BY(mutex_);  // cancelled, and not begun
};

}  // namespace raylet::client
