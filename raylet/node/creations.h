// Creations: where tasks and actors meet. The creation of an actor is a task, too. The task desk runs it, and the actor
// desk decides about the actor. Loop thread only. Implemented by those desks, and wired by the Raylet.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "fbs/lease_page.h"
#include "fbs/messages.h"
#include "raylet/scheduling/task.h"

namespace raylet {

// CreationEvents: the actor desk, as the task desk sees it.
class CreationEvents {
 public:
  virtual ~CreationEvents() = default;
  // Another machine, the home of the actor, sent the creation here.
  virtual void OnCreationCame(const TaskPtr& creation) = 0;
  // It is about to run there. Nothing where the actor has ended in the same turn.
  struct Begins {
    uint32_t incarnation = 1;
    LeaseNumber lease = 0;  // under which it serves here; 0: this machine is its home
  };
  virtual std::optional<Begins> OnCreationPlaced(const Task& creation, const Place& place) = 0;
  virtual void OnConstructed(const ActorId& actor, ProcessId process) = 0;  // in that one
  virtual void OnConstructorFailed(const ActorId& actor, const wire::FailureT& failure) = 0;
  // That machine refused the creation, which is queued here again.
  virtual void OnCreationReturned(const ActorId& actor, const NodeId& node) = 0;
  virtual void OnCreationLost(const Task& creation, wire::FailureT failure) = 0;
};

// CreationQueue: the task desk, as the actor desk sees it.
class CreationQueue {
 public:
  virtual ~CreationQueue() = default;
  virtual Result<void> SubmitCreation(const TaskPtr& creation) = 0;
  virtual void CancelCreation(const TaskId& creation) = 0;
  // Why its placement group is no more; empty where that lives, or where it has none.
  virtual std::string WhyGroupEnded(const Task& creation) const = 0;
  // The resources that its creation took there are free again.
  virtual void ActorLeft(const NodeId& node, const ActorId& actor) = 0;
  // The actor runs there no more, or never did.
  virtual void CreationEndedThere(const NodeId& node, const TaskId& creation) = 0;
  // The worker gets no more work. `at_once`: the worker is killed; otherwise it is asked to exit, and killed after the
  // grace time.
  virtual void EndWorker(WorkerId worker, bool at_once) = 0;
};

}  // namespace raylet
