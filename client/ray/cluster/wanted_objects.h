// WantedObjects: what threads of this process want brought to this machine, and what the raylet
// said is lost. Only a cluster brings objects; where this raylet is in none, nothing is told. Owned
// by ClusterParts; any thread. The raylet goes on to bring an object as long as somebody here wants
// it.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class WantedObjects {
 public:
  explicit WantedObjects(RayletLink& link) : link_(link) {}

  // `in_wait`: of a ray::Wait, which is content with the news that they are there.
  void Want(std::span<const ObjectId> ids, bool in_wait) RAYLET_EXCLUDES(mutex_);
  void WantNoLonger(std::span<const ObjectId> ids) RAYLET_EXCLUDES(mutex_);  // once for each Want
  FailurePtr WhyLost(const ObjectId& id) const RAYLET_EXCLUDES(mutex_);      // null: it may still come
  void MarkLost(const ObjectId& id, FailurePtr why) RAYLET_EXCLUDES(mutex_);

  // Wants them while it lives.
  class Scope {
   public:
    Scope(WantedObjects& wanted, std::vector<ObjectId> ids, bool in_wait)
        : use_(wanted.link_.uses()), wanted_(wanted), ids_(std::move(ids)) {
      wanted_.Want(ids_, in_wait);
    }
    ~Scope() { wanted_.WantNoLonger(ids_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const LinkUse use_;
    WantedObjects& wanted_;
    const std::vector<ObjectId> ids_;
  };

 private:
  void Tell(std::span<const ObjectId> ids, bool in_wait, bool no_longer);

  struct Wanted {
    size_t count = 0;
    FailurePtr lost;
  };
  RayletLink& link_;
  mutable Mutex mutex_;
  std::unordered_map<ObjectId, Wanted> wanted_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
