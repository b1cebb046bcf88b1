// CallbackThread: runs callbacks one after the other, on a thread that starts with the first. Owned by the runtime of
// local_mode; any thread.
// Always holds: each callback runs once, at the latest in Stop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>

#include "base/mutex.h"

namespace raylet::client {

class CallbackThread {
 public:
  using Callback = std::shared_ptr<std::function<void()>>;

  // The callback waits here until Run names it. After Stop, Run runs it on the calling thread.
  Callback Add(std::function<void()> callback) RAYLET_EXCLUDES(mutex_);
  void Run(const Callback& callback) RAYLET_EXCLUDES(mutex_);
  // Joins the thread, and runs what is left.
  void Stop() RAYLET_EXCLUDES(mutex_);

 private:
  void Loop() RAYLET_EXCLUDES(mutex_);

  Mutex mutex_;
  ConditionVariable changed_;
  std::thread thread_ RAYLET_GUARDED_BY(mutex_);
  std::set<Callback> waiting_ RAYLET_GUARDED_BY(mutex_);
  std::deque<Callback> next_ RAYLET_GUARDED_BY(mutex_);
  bool stopped_ RAYLET_GUARDED_BY(mutex_) = false;
};

}  // namespace raylet::client
