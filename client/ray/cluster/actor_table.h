// ActorTable: the actors that this process reaches, by id. Each has one ActorLink while a handle or
// a call keeps it, so that all handles share one order of calls. Owned by ClusterParts; any thread.
#pragma once

#include <unordered_map>

#include "base/mutex.h"
#include "client/ray/cluster/actor_link.h"

namespace raylet::client {

class ActorTable {
 public:
  ActorTable(const ObjectParts& parts, ReplyPump& pump) : parts_(parts), pump_(pump) {}

  // Of an actor that this process creates.
  ActorLinkPtr Make(const ActorId& id, bool ends_with_handles) RAYLET_EXCLUDES(mutex_);
  // Of an actor that somebody has named.
  ActorLinkPtr FindOrMake(const ActorId& id) RAYLET_EXCLUDES(mutex_);
  // Another handle of it, where this process has one.
  ray::internal::Hold HoldOf(const ActorId& id) RAYLET_EXCLUDES(mutex_);
  void Forget(const ActorLink& link) RAYLET_EXCLUDES(mutex_);  // unless another has taken its place
  // The raylet says that it restarts, or that it is dead.
  void Change(const wire::ActorNoticeT& notice) RAYLET_EXCLUDES(mutex_);
  // Every call that has no reply fails so, and so does every later one. After RayletLink::Stop.
  void Stop(const FailurePtr& failure) RAYLET_EXCLUDES(mutex_);

 private:
  ActorLinkPtr MakeLocked(const ActorId& id, bool ends_with_handles) RAYLET_REQUIRES(mutex_);

  const ObjectParts& parts_;
  ReplyPump& pump_;
  Mutex mutex_;  // no link is dropped under it
  std::unordered_map<ActorId, std::weak_ptr<ActorLink>> actors_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
