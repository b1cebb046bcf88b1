// Awaited: an answer for which one thread waits, and which another one sets, perhaps after the wait has ended. Shared
// by both; any thread. A stall of this process does not use up the patience: the answer may lie in the socket.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/awake_clock.h"
#include "base/mutex.h"

namespace raylet::client {

template <class T>
class Awaited {
 public:
  // False: too late.
  bool Set(T answer) RAYLET_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (given_up_) return false;
    answer_ = std::move(answer);
    set_.NotifyAll();
    return true;
  }
  // Nothing once the patience has run out: the caller has given up. Call it once.
  std::optional<T> Await(Duration patience, const Clock& clock = SteadyClock()) RAYLET_EXCLUDES(mutex_) {
    const AwakeClock awake(clock, std::chrono::seconds(1));
    const TimePoint end = awake.Now() + patience;
    const MutexLock lock(mutex_);
    while (!answer_) {
      const Duration left = end - awake.Now();
      if (left <= Duration::zero()) break;
      set_.Wait(mutex_, Deadline::After(std::min(left, awake.step())));
    }
    given_up_ = !answer_;
    return std::move(answer_);
  }

 private:
  Mutex mutex_;
  ConditionVariable set_;
  std::optional<T> answer_ RAYLET_GUARDED_BY(mutex_);
  bool given_up_ RAYLET_GUARDED_BY(mutex_) = false;
};

}  // namespace raylet::client
