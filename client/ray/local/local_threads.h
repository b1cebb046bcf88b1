// LocalThreads: runs the tasks of local_mode in their order, on as many threads as there are cores. A task that waits
// for another one gives its place away, so that nested tasks never run dry. Any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace raylet::client {

class LocalThreads {
 public:
  explicit LocalThreads(size_t threads_max);
  ~LocalThreads();  // Stop()
  LocalThreads(const LocalThreads&) = delete;
  LocalThreads& operator=(const LocalThreads&) = delete;

  void Run(std::function<void()> job);
  void Stop();  // jobs that did not begin never do; waits for those that did

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
  void StartIfNeeded();  // mutex_ held
  void Loop();

  const size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  size_t blocked_ = 0;
  bool stopping_ = false;
};

}  // namespace raylet::client
