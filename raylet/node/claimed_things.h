// ClaimedThings: what ended processes have left, as it meets those that claim it. The claim desk decides what stays.
// The object desk and the actor desk have the objects and the actors. Loop thread only. Implemented by those desks, and
// wired by the Raylet.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// KeptObjects: the claim desk, as the object desk sees it.
class KeptObjects {
 public:
  virtual ~KeptObjects() = default;
  // This machine keeps the object although its owner has ended.
  virtual bool IsKept(const ObjectId& object) const = 0;
};

// ClaimedObjects: the object desk, as the claim desk sees it.
class ClaimedObjects {
 public:
  virtual ~ClaimedObjects() = default;
  virtual bool Travel() const = 0;  // there are other machines, perhaps
  // Does nothing where the wanter has gone.
  virtual void TellLost(ProcessId wanter, const ObjectId& object, const Error& why) = 0;
  // Objects of `owner`, a process of this machine, that have copies on other machines: `most` at most, in order, from
  // the first one after `after` on.
  virtual std::vector<ObjectId> KnownOf(ProcessId owner, const ObjectId& after, size_t most) const = 0;
  virtual std::vector<ObjectId> ReferencesIn(const ObjectId& object) const = 0;  // of a process of this machine
  virtual void FreeAdopted(std::span<const ObjectId> objects) = 0;  // their owners have ended, and nobody claims them
  // That machine keeps these of its processes' objects when their owners are settled, which comes next.
  virtual void KeptWhenSettled(const NodeId& node, std::span<const ObjectId> objects) = 0;
  virtual void RemoteOwnerSettled(ProcessId owner) = 0;  // drops the others
};

// ClaimedActors: the actor desk, as the claim desk sees it. Their home is here.
class ClaimedActors {
 public:
  virtual ~ClaimedActors() = default;
  virtual bool Lives(const ActorId& actor) const = 0;
  virtual std::vector<ObjectId> StoredArgumentsOf(const ActorId& actor) const = 0;  // of a living one
  // Those that live, and end with their handles.
  virtual std::vector<ActorId> CreatedBy(const ProcessSet& processes) const = 0;
  virtual void CreatorsSettled(const ProcessSet& processes, const std::function<bool(const ActorId&)>& is_kept) = 0;
  virtual void LetGo(const ActorId& actor) = 0;  // nobody holds a handle any more
};

}  // namespace raylet
