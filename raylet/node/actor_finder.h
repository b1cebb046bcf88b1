// ActorFinder: how processes find actors by name: in the directory here, then in the cluster's control store. Then the
// actor's home tells the process of the actor's changes. A desk. Owned by the ActorDesk; loop thread only.
#pragma once

#include <string>

#include "raylet/actors/actor_directory.h"
#include "raylet/actors/actor_names.h"
#include "raylet/node/actor_calls.h"
#include "raylet/node/services.h"

namespace raylet {

class ActorFinder {
 public:
  // All outlive it.
  ActorFinder(ActorDirectory& actors, ActorNames& names, const Services& services);
  void Wire(ActorCallEvents& calls) { calls_ = &calls; }  // before anything else

  Result<void> OnFindActor(ProcessSession& session, const Frame& frame);
  // To an actor's home: a process of the other machine has found the actor.
  Result<void> OnWatchActor(const NodeId& node, const Frame& frame);

 private:
  void Found(ProcessId asker, uint64_t request_id, const std::string& name, const Result<FoundActor>& found);
  Result<void> WatchAtHome(const ActorId& actor, const std::string& name, ProcessId asker);

  ActorDirectory& actors_;
  ActorNames& names_;
  PeerPost& post_;
  ProcessDoor& door_;
  Jobs& jobs_;
  DecisionLoop& decisions_;
  ActorCallEvents* calls_ = nullptr;  // null before Wire
};

}  // namespace raylet
