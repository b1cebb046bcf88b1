// HostedActors: the actors that run here, or are about to, and whose home is another raylet. Pure; owned by the Raylet;
// loop thread only.
// Always holds: an actor is in here from the creation that its home sent until its end. It ends when its worker has
// gone, when its creation was cancelled or lost, or when its home has died. The home hears of each of these ends except
// its own.
#pragma once

#include <optional>
#include <unordered_map>

#include "fbs/ids.h"
#include "raylet/scheduling/task.h"

namespace raylet {

class HostedActors {
 public:
  struct Hosted {
    TaskPtr creation;
    WorkerId worker = 0;  // 0: the creation still waits
    bool constructed = false;

    const NodeId& home() const { return creation->from; }
    uint32_t incarnation() const { return creation->actor->restarts + 1; }
  };

  void Came(TaskPtr creation);
  void Runs(const ActorId& id, WorkerId worker);
  void Constructed(const ActorId& id);
  std::optional<Hosted> Take(const ActorId& id);  // the actor has ended
  // As Take, for the actor that runs in that worker.
  std::optional<Hosted> WorkerGone(const ActorId& id, WorkerId worker);
  void HomeLost(const NodeId& home);

  const Hosted* Find(const ActorId& id) const;  // null: not here, or this node is its home
  const std::unordered_map<ActorId, Hosted>& actors() const { return actors_; }

 private:
  std::unordered_map<ActorId, Hosted> actors_;
};

}  // namespace raylet
