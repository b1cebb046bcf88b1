// WantedObjects: the objects that threads of this process want on this machine, and those of them that the raylet
// reported sealed or lost. Only a cluster pulls objects. With or without one, the raylet tells a ray::Wait which
// objects are here, and tells every waiting thread when the owner of its object has ended. Owned by ClusterParts; any
// thread. The raylet pulls an object as long as a thread here wants it, and forgets the wish once the object is
// sealed. A copy may be evicted before its waiter has seen it, so a waiting thread asks again from time to time. With
// that it claims the objects, so that it hears of those that their owners have freed.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <ray/internal/runtime.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "client/ray/cluster/borrowings.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"
#include "fbs/process_ranges.h"

namespace raylet::client {

class WantedObjects {
 public:
  WantedObjects(RayletLink& link, Ownership& ownership, Borrowings& borrowings)
      : link_(link), ownership_(ownership), borrowings_(borrowings) {}

  FailurePtr WhyLost(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);  // null: it may still come

  // ---- news; they reach the scopes of ray::Wait
  void MarkSealed(std::span<const ObjectId> ids) RAYLET_EXCLUDES(mutex_);
  void MarkLost(const ObjectId& id, FailurePtr why) RAYLET_EXCLUDES(mutex_);
  void MarkNewsOfAll() RAYLET_EXCLUDES(mutex_);  // any object may have become lost

  // Wants the objects while it lives. One thread at a time.
  class Scope {
   public:
    // `in_wait`: for a ray::Wait, which needs to hear that the objects are here.
    Scope(WantedObjects& wanted, std::vector<ObjectId> ids, bool in_wait);
    ~Scope() { wanted_.WantNoLonger(*this); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    // A waiting thread calls it often. Tells the raylet again, at growing intervals, about the objects that are still
    // `missing`, and claims them. True where it has looked at all of them for that.
    bool AskAgain(const std::function<bool(const ObjectId&)>& missing);
    struct News {
      bool of_all = false;            // any of the objects may be sealed or lost
      std::vector<ObjectId> objects;  // these are; some may be named twice
    };
    News TakeNews();  // since the last call; of a ray::Wait

   private:
    friend class WantedObjects;
    void Claim(std::vector<ObjectId> objects);

    const LinkUse use_;
    WantedObjects& wanted_;
    const std::vector<ObjectId> ids_;
    const bool in_wait_;
    News news_;  // under wanted_.mutex_
    std::atomic<bool> has_news_{false};
    Duration pause_;
    TimePoint again_at_;
    ray::internal::Hold claims_;  // of those that were missing when it first asked again
  };

 private:
  void Want(Scope& scope) RAYLET_EXCLUDES(tell_mutex_, mutex_);
  void WantNoLonger(Scope& scope) RAYLET_EXCLUDES(tell_mutex_, mutex_);
  bool IsTold(bool in_wait) const { return link_.clustered() || in_wait; }
  void Tell(std::span<const ObjectId> ids, bool in_wait, bool no_longer) RAYLET_REQUIRES(tell_mutex_);
  void NameOwners(std::span<const ObjectId> ids) RAYLET_REQUIRES(tell_mutex_);

  struct Wanted {
    size_t count = 0;
    FailurePtr lost;
    std::vector<Scope*> waits;  // hear of the object's seal and loss
  };
  static void AddNews(const Wanted& wanted, const ObjectId& id);
  RayletLink& link_;
  Ownership& ownership_;
  Borrowings& borrowings_;
  // Held while the raylet is told, so that it hears of changes in their order. Not taken on the io thread.
  Mutex tell_mutex_;
  ProcessRanges named_ RAYLET_GUARDED_BY(tell_mutex_);  // the raylet tells us that these end, or it has
  mutable Mutex mutex_;
  std::unordered_map<ObjectId, Wanted> wanted_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_set<Scope*> waits_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
