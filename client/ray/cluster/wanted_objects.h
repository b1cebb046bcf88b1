// WantedObjects: the objects that threads of this process want on this machine, and those that the raylet reported
// lost. Only a cluster brings objects. With or without one, the raylet tells a ray::Wait which objects are here, and
// tells every waiting thread when the owner of its object has ended. Owned by ClusterParts; any thread. The raylet
// brings an object as long as a thread here wants it, and forgets the wish once the object is sealed. A copy may be
// evicted before its waiter has seen it, so a waiting thread asks again from time to time.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/raylet_link.h"
#include "fbs/process_ranges.h"

namespace raylet::client {

class WantedObjects {
 public:
  explicit WantedObjects(RayletLink& link) : link_(link) {}

  // `in_wait`: for a ray::Wait, which only needs to hear that the objects are here.
  void Want(std::span<const ObjectId> ids, bool in_wait) RAYLET_EXCLUDES(tell_mutex_, mutex_);
  // Once for each Want, with the same `in_wait`.
  void WantNoLonger(std::span<const ObjectId> ids, bool in_wait) RAYLET_EXCLUDES(tell_mutex_, mutex_);
  FailurePtr WhyLost(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);  // null: it may still come
  void MarkLost(const ObjectId& id, FailurePtr why) RAYLET_EXCLUDES(mutex_);

  // Counts events that may make a wanted object ready or lost. A waiting thread looks again when the count changes.
  void MarkNews() { news_.fetch_add(1, std::memory_order_release); }
  uint64_t news() const { return news_.load(std::memory_order_acquire); }

  // Wants the objects while it lives.
  class Scope {
   public:
    Scope(WantedObjects& wanted, std::vector<ObjectId> ids, bool in_wait);
    ~Scope() { wanted_.WantNoLonger(ids_, in_wait_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    // A waiting thread calls it often. Tells the raylet again, at growing intervals, about the objects that are still
    // `missing`.
    void AskAgain(const std::function<bool(const ObjectId&)>& missing);

   private:
    const LinkUse use_;
    WantedObjects& wanted_;
    const std::vector<ObjectId> ids_;
    const bool in_wait_;
    Duration pause_;
    TimePoint again_at_;
  };

 private:
  bool IsTold(bool in_wait) const { return link_.clustered() || in_wait; }
  void Tell(std::span<const ObjectId> ids, bool in_wait, bool no_longer) RAYLET_REQUIRES(tell_mutex_);
  void NameOwners(std::span<const ObjectId> ids) RAYLET_EXCLUDES(tell_mutex_);

  struct Wanted {
    size_t count = 0;
    FailurePtr lost;
  };
  RayletLink& link_;
  std::atomic<uint64_t> news_{0};
  // Held while the raylet is told, so that it hears of changes in their order. Not taken on the io thread.
  Mutex tell_mutex_;
  ProcessRanges named_ RAYLET_GUARDED_BY(tell_mutex_);  // the raylet tells us that these end, or it has
  mutable Mutex mutex_;
  std::unordered_map<ObjectId, Wanted> wanted_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
