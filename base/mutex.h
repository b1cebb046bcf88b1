// Mutex, MutexLock, ConditionVariable: those of the standard library, with annotations that clang
// checks. A field names its mutex by RAYLET_GUARDED_BY. A function whose caller must hold a mutex
// names it by RAYLET_REQUIRES. Any thread.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "base/thread_annotations.h"

namespace raylet {

class RAYLET_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() RAYLET_ACQUIRE() { mutex_.lock(); }
  bool TryLock() RAYLET_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  void Unlock() RAYLET_RELEASE() { mutex_.unlock(); }

 private:
  friend class ConditionVariable;
  std::mutex mutex_;
};

// Holds the mutex for a scope. The scope may release it and take it again.
class RAYLET_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) RAYLET_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() RAYLET_RELEASE() {
    if (held_) mutex_.Unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() RAYLET_RELEASE() {
    held_ = false;
    mutex_.Unlock();
  }
  void Lock() RAYLET_ACQUIRE() {
    mutex_.Lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// Wait returns on any notification, at the deadline, and for no reason. The caller checks its
// condition again, in a loop. There is no wait with a predicate, because clang does not know that a
// lambda runs under its caller's lock.
class ConditionVariable {
 public:
  void Wait(Mutex& mutex, Deadline deadline = Deadline::Never()) RAYLET_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    if (deadline.IsNever())
      changed_.wait(lock);
    else
      changed_.wait_until(lock, deadline.at());
    lock.release();  // the caller keeps holding it
  }
  void NotifyOne() { changed_.notify_one(); }
  void NotifyAll() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace raylet
