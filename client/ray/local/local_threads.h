// LocalThreads: runs the tasks of local_mode in their order, on `threads_max` threads. A task that waits
// for another one gives its place away, so that nested tasks always find a thread. Any thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace raylet::client {

class LocalThreads {
 public:
  explicit LocalThreads(size_t threads_max);
  ~LocalThreads();  // Stop()
  LocalThreads(const LocalThreads&) = delete;
  LocalThreads& operator=(const LocalThreads&) = delete;

  // Whether the calling thread runs a job of any LocalThreads.
  static bool OnOne();
  void Run(std::function<void()> job);
  void Stop();  // drops jobs that have not begun; waits for the others

  // While it lives, the calling thread counts as waiting, if it is one of ours.
  class Blocked {
   public:
    explicit Blocked(LocalThreads& threads);
    ~Blocked();
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;

   private:
    LocalThreads* threads_;  // null: not one of ours
  };

 private:
  void StartIfNeeded() RAYLET_REQUIRES(mutex_);
  void Loop() RAYLET_EXCLUDES(mutex_);

  const size_t threads_max_;
  Mutex mutex_;
  ConditionVariable work_;
  std::deque<std::function<void()>> jobs_ RAYLET_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ RAYLET_GUARDED_BY(mutex_);
  size_t idle_ RAYLET_GUARDED_BY(mutex_) = 0;
  size_t blocked_ RAYLET_GUARDED_BY(mutex_) = 0;
  bool stopping_ RAYLET_GUARDED_BY(mutex_) = false;
};

}  // namespace raylet::client
