#include "raylet/actors/hosted_actors.h"

#include <utility>

namespace raylet {

void HostedActors::Came(TaskPtr creation) {
  const ActorId id = creation->actor->id;
  actors_.insert_or_assign(id, Hosted{std::move(creation)});
}

void HostedActors::Runs(const ActorId& id, WorkerId worker) {
  if (const auto found = actors_.find(id); found != actors_.end()) found->second.worker = worker;
}

void HostedActors::Constructed(const ActorId& id) {
  if (const auto found = actors_.find(id); found != actors_.end()) found->second.constructed = true;
}

std::optional<HostedActors::Hosted> HostedActors::Take(const ActorId& id) {
  auto taken = actors_.extract(id);
  if (taken.empty()) return std::nullopt;
  return std::move(taken.mapped());
}

std::optional<HostedActors::Hosted> HostedActors::WorkerGone(const ActorId& id, WorkerId worker) {
  const Hosted* const hosted = Find(id);
  if (hosted == nullptr || hosted->worker != worker) return std::nullopt;
  return Take(id);
}

void HostedActors::HomeLost(const NodeId& home) {
  std::erase_if(actors_, [&](const auto& entry) { return entry.second.home() == home; });
}

const HostedActors::Hosted* HostedActors::Find(const ActorId& id) const {
  const auto found = actors_.find(id);
  return found == actors_.end() ? nullptr : &found->second;
}

}  // namespace raylet
