// ActorCalls: where actors and the channels to them meet. The actor desk knows where each actor lives. The channel desk
// knows which processes wait for an actor, and which hear of its changes. Loop thread only. Implemented by those desks,
// and wired by the Raylet.
#pragma once

#include "base/result.h"
#include "fbs/lease_page.h"
#include "raylet/actors/actor_directory.h"

namespace raylet {

// ActorHomes: the actor desk, as the channel desk sees it.
class ActorHomes {
 public:
  virtual ~ActorHomes() = default;
  // Asks for a channel to an actor whose home is here. Ends in OnGranted or OnRefused. kFull: kOpensPerCallerMax.
  virtual Result<void> OpenActor(const ActorId& actor, ProcessId caller, uint64_t request_id) = 0;
  // A grant could not be carried out, because the worker is about to end. The caller keeps waiting.
  virtual void GrantFailed(const ActorId& actor, ProcessId caller, uint64_t request_id) = 0;
  virtual WorkerId WorkerOf(const ActorId& actor) const = 0;  // 0: it does not run here
  // Under which it serves here; 0: this machine is its home, and no other one could start it again.
  virtual LeaseNumber LeaseOf(const ActorId& actor) const = 0;
  // How many calls an actor that runs here runs at a time, at most.
  virtual size_t CallsAtOnceOf(const ActorId& actor) const = 0;
};

// ActorCallEvents: the channel desk, as the actor desk sees it. The processes may be of any machine.
class ActorCallEvents {
 public:
  virtual ~ActorCallEvents() = default;
  virtual void OnGranted(const GrantChannel& grant) = 0;
  virtual void OnRefused(const RefuseChannel& refuse) = 0;
  virtual void OnActorChanged(const TellActorChanged& change) = 0;
  // A process of ours has found an actor whose home is another machine.
  virtual void OnFoundRemote(const ActorId& actor, ProcessId process) = 0;
};

}  // namespace raylet
