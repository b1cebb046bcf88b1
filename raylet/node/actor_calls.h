// ActorCalls: where actors and the channels to them meet. The actor desk knows where each actor
// lives. The channel desk knows who waits for it and who is to hear of it. Loop thread only.
// Implemented by those desks, and wired by the Raylet.
#pragma once

#include "base/result.h"
#include "fbs/lease_page.h"
#include "raylet/actors/actor_directory.h"

namespace raylet {

// What the channel desk asks for.
class ActorHomes {
 public:
  virtual ~ActorHomes() = default;
  // Of an actor at home here. Ends in OnGranted or OnRefused. kFull: kOpensPerCallerMax.
  virtual Result<void> OpenActor(const ActorId& actor, ProcessId caller, uint64_t request_id) = 0;
  // A grant was not to be carried out, for the worker is about to be gone: the caller waits on.
  virtual void GrantFailed(const ActorId& actor, ProcessId caller, uint64_t request_id) = 0;
  virtual WorkerId WorkerOf(const ActorId& actor) const = 0;  // 0: it does not run here
  // Under which it serves here; 0: this machine is its home, and no other one could start it again.
  virtual LeaseNumber LeaseOf(const ActorId& actor) const = 0;
};

// What the channel desk hears. The process that is meant may be of any machine.
class ActorCallEvents {
 public:
  virtual ~ActorCallEvents() = default;
  virtual void OnGranted(const GrantChannel& grant) = 0;
  virtual void OnRefused(const RefuseChannel& refuse) = 0;
  virtual void OnActorChanged(const TellActorChanged& change) = 0;
  // A process of ours has found an actor whose home is another machine.
  virtual void OnFoundElsewhere(const NodeId& home, const ActorId& actor, ProcessId process) = 0;
};

}  // namespace raylet
