// ActorTable: the actors that this process reaches, by id. Each has one ActorLink while a handle or
// a call keeps it, so that all handles share one order of calls. Owned by ClusterParts; any thread.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "client/ray/cluster/actor_link.h"

namespace raylet::client {

class ActorTable {
 public:
  ActorTable(const ObjectParts& parts, ReplyPump& pump) : parts_(parts), pump_(pump) {}

  // Makes the link of an actor that this process creates.
  ActorLinkPtr Make(const ActorId& id, bool ends_with_handles) RAYLET_EXCLUDES(mutex_);
  // The link of an actor whose id came from another process.
  ActorLinkPtr FindOrMake(const ActorId& id) RAYLET_EXCLUDES(mutex_);
  // One more hold on the actor; null where this process has no handle.
  ray::internal::Hold HoldOf(const ActorId& id) RAYLET_EXCLUDES(mutex_);
  void Forget(const ActorLink& link) RAYLET_EXCLUDES(mutex_);  // does nothing where another link has taken its place
  // The raylet says that the actor restarts, or that it is dead.
  void Change(const wire::ActorNoticeT& notice) RAYLET_EXCLUDES(mutex_);
  // Of a call whose result is failed already: the actor that has got the call, or none.
  std::optional<ActorId> Cancel(const ClusterObject& result) RAYLET_EXCLUDES(mutex_);
  // Every call without a reply fails with `failure`, as does every later call. Call it after RayletLink::Stop.
  void Stop(const FailurePtr& failure) RAYLET_EXCLUDES(mutex_);

 private:
  std::vector<ActorLinkPtr> Links() RAYLET_REQUIRES(mutex_);
  ActorLinkPtr MakeLocked(const ActorId& id, bool ends_with_handles) RAYLET_REQUIRES(mutex_);

  const ObjectParts& parts_;
  ReplyPump& pump_;
  Mutex mutex_;  // no link is dropped under it
  std::unordered_map<ActorId, std::weak_ptr<ActorLink>> actors_ RAYLET_GUARDED_BY(mutex_);
};

}  // namespace raylet::client
