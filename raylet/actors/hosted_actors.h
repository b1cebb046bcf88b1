// HostedActors: the actors that run here, or are about to, and whose home is another raylet. Pure; owned by the Raylet;
// loop thread only. Always holds: an actor is here from the creation that its home sent until its worker has gone, the
// creation has been cancelled or lost, or the home has died; its home hears of each end but the last.
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
    WorkerId worker = 0;  // 0: the creation waits
    bool constructed = false;

    const NodeId& home() const { return creation->from; }
  };

  void Came(TaskPtr creation);
  void Runs(const ActorId& id, WorkerId worker);
  void Constructed(const ActorId& id);
  std::optional<Hosted> Take(const ActorId& id);  // it has ended
  // As Take, where it runs in that worker.
  std::optional<Hosted> WorkerGone(const ActorId& id, WorkerId worker);
  void HomeGone(const NodeId& home);

  const Hosted* Find(const ActorId& id) const;  // null: not here, or at home here
  const std::unordered_map<ActorId, Hosted>& actors() const { return actors_; }

 private:
  std::unordered_map<ActorId, Hosted> actors_;
};

}  // namespace raylet
