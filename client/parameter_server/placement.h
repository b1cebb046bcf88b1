// What a shard's actor asks for: the resources of each shard, and those of its own place. And what it is told at once.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include <ray/api/actor_handle.h>
#include <ray/api/exceptions.h>
#include <ray/parameter_server/options.h>

namespace ray::ps::internal {

inline void CheckPlacement(const Options& options) {
  if (!options.placement.empty() && options.placement.size() != options.shards)
    throw ray::internal::RayException("placement has " + std::to_string(options.placement.size()) +
                                      " entries, and there are " + std::to_string(options.shards) +
                                      " shards: it takes none, or one for each shard");
}

inline void CheckSafety(const Options& options) {
  if (options.replicas > 1)
    throw ray::internal::RayException(std::to_string(options.replicas) +
                                      " replicas were asked for: a shard has none, or 1");
  if (options.checkpoint.path.empty() && options.checkpoint.every > 0)
    throw ray::internal::RayException("checkpoints after each " + std::to_string(options.checkpoint.every) +
                                      " steps were asked for, and the path is empty: it takes the name of a file");
}

// Of a shard below options.shards, after CheckPlacement.
inline std::unordered_map<std::string, double> ResourcesOf(const Options& options, size_t shard) {
  auto resources = options.resources;
  if (!options.placement.empty())
    for (const auto& [name, amount] : options.placement[shard]) resources[name] += amount;
  return resources;
}

// Tells the actor its own id, which no call of the library tells it, however often it starts again meanwhile.
template <class Shard>
void Introduce(const ActorHandle<Shard>& shard) {
  shard.Task(&Shard::Know).SetMaxRetries(-1).Remote(shard.ID());
}

}  // namespace ray::ps::internal
