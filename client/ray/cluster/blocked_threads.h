// BlockedThreads: how many threads of this worker wait. While any of them waits, the worker's CPU goes to others,
// because the main thread may be joining the waiting one. A driver holds no CPU, so its threads are not reported. Owned
// by ClusterParts; any thread.
#pragma once

#include <functional>

#include "base/mutex.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class BlockedThreads {
 public:
  explicit BlockedThreads(RayletLink& link) : link_(link) {}

  // Called before the raylet hears that a thread waits, and that none waited before. On that thread.
  void SetWhenBlocked(std::function<void()> when_blocked) RAYLET_EXCLUDES(mutex_);
  bool Any() RAYLET_EXCLUDES(mutex_);
  // Reports again at the start of a task, since the raylet assumes that no thread of a new task waits.
  void Repeat() RAYLET_EXCLUDES(mutex_);

  // The calling thread counts as waiting while this lives.
  class Scope {
   public:
    explicit Scope(BlockedThreads& threads) : threads_(threads) { threads_.Add(1); }
    ~Scope() { threads_.Add(-1); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    BlockedThreads& threads_;
  };

 private:
  void Add(int change) RAYLET_EXCLUDES(mutex_);
  void Tell() RAYLET_REQUIRES(mutex_);

  RayletLink& link_;
  Mutex mutex_;  // held while the raylet is told, so that it hears of changes in their order
  int64_t count_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::function<void()> when_blocked_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
