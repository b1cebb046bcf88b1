// Creations: where tasks and actors meet. The creation of an actor is a task, too: the task desk runs it, and the actor
// desk decides about the actor. Loop thread only. Implemented by those desks, and wired by the Raylet.
#pragma once

#include <optional>

#include "base/result.h"
#include "fbs/lease_page.h"
#include "fbs/messages.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// What the actor desk hears.
class CreationEvents {
 public:
  virtual ~CreationEvents() = default;
  // Of an actor whose home is another machine, which sent it here.
  virtual void OnCreationCame(const TaskPtr& creation) = 0;
  // It is about to run there. Nothing where the actor has ended in the same turn.
  struct Begins {
    uint32_t incarnation = 1;
    LeaseNumber lease = 0;  // under which it serves here; 0: this machine is its home
  };
  virtual std::optional<Begins> OnCreationPlaced(const Task& creation, const Place& place) = 0;
  virtual void OnConstructed(const ActorId& actor, ProcessId process) = 0;  // in that one
  virtual void OnConstructorFailed(const ActorId& actor, const wire::FailureT& failure) = 0;
  // That machine would not take it: it is queued here again.
  virtual void OnCreationReturned(const ActorId& actor, const NodeId& node) = 0;
  virtual void OnCreationLost(const Task& creation, wire::FailureT failure) = 0;
};

// What the actor desk asks for.
class CreationQueue {
 public:
  virtual ~CreationQueue() = default;
  virtual Result<void> SubmitCreation(const TaskPtr& creation) = 0;
  virtual void CancelCreation(const TaskId& creation) = 0;
  // What its creation asked for there is free again.
  virtual void ActorLeft(const NodeId& node, const ActorId& actor) = 0;
  // It runs there no more, or never did.
  virtual void CreationEndedThere(const NodeId& node, const TaskId& creation) = 0;
  // The worker gets no more work. `at_once`: killed; otherwise asked to go, and killed after the grace.
  virtual void EndWorker(WorkerId worker, bool at_once) = 0;
};

}  // namespace raylet
