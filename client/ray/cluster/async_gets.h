// AsyncGets: callbacks that wait for objects, without a thread for each. One thread runs them, one after the other, so
// that a callback may unpack the value and call into the runtime. Owned by ClusterParts; any thread. The first Add
// starts the thread, which sleeps while nothing waits. Always holds: each callback runs once, at the latest in Stop.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <ray/internal/runtime.h>

#include "base/mutex.h"
#include "client/ray/cluster/cluster_object.h"
#include "client/ray/cluster/reply_pump.h"
#include "client/ray/cluster/wanted_objects.h"

namespace raylet::client {

class AsyncGets {
 public:
  AsyncGets(const ObjectParts& parts, ReplyPump& pump, WantedObjects& wanted)
      : parts_(parts), pump_(pump), wanted_(wanted) {}

  // Runs the callback once the object is ready. Throws where the object is of an earlier session.
  void Add(ray::internal::ObjectHandle object, std::function<void()> callback) RAYLET_EXCLUDES(mutex_);
  // Joins the thread, and runs the callbacks that are left. After RayletLink::Stop, when all calls have failed.
  void Stop() RAYLET_EXCLUDES(mutex_);

 private:
  struct Waiting {
    ray::internal::ObjectHandle object;
    std::function<void()> callback;
  };
  using WaitingPtr = std::shared_ptr<Waiting>;

  void Ready(WaitingPtr waiting) RAYLET_EXCLUDES(mutex_);
  void WakeThread() RAYLET_REQUIRES(mutex_);
  void Run() RAYLET_EXCLUDES(mutex_);
  void WaitForBorrowed(std::vector<WaitingPtr>& borrowed) RAYLET_EXCLUDES(mutex_);
  static void RunAll(const std::deque<WaitingPtr>& ready);

  const ObjectParts& parts_;
  ReplyPump& pump_;
  WantedObjects& wanted_;

  Mutex mutex_;
  ConditionVariable changed_;
  std::thread thread_ RAYLET_GUARDED_BY(mutex_);
  std::deque<WaitingPtr> ready_ RAYLET_GUARDED_BY(mutex_);          // their callbacks run next
  std::vector<WaitingPtr> new_borrowed_ RAYLET_GUARDED_BY(mutex_);  // objects of others, which may be ready already
  bool stopped_ RAYLET_GUARDED_BY(mutex_) = false;
  // Whether there is news in the two lists: stored under mutex_ (release), read by the thread while it waits (acquire).
  std::atomic<bool> news_{false};
};

}  // namespace raylet::client
