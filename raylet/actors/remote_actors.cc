#include "raylet/actors/remote_actors.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "raylet/actors/actor_directory.h"

namespace raylet {

Result<void> RemoteActors::Open(const NodeId& home, const ActorId& id, ProcessId caller, uint64_t request_id) {
  Actor& actor = actors_[id];
  actor.home = home;
  actor.watchers.insert(caller);
  const auto waiting =
      std::count_if(actor.asks.begin(), actor.asks.end(), [&](const Ask& ask) { return ask.caller == caller; });
  if (static_cast<size_t>(waiting) >= kOpensPerCallerMax) {
    return Fail(ErrorCode::kFull, StrCat(kOpensPerCallerMax, " requests of this process for a channel to actor ",
                                         id.hex(), " wait already"));
  }
  actor.asks.push_back({id, caller, request_id});
  return {};
}

void RemoteActors::Watch(const NodeId& home, const ActorId& id, ProcessId process) {
  Actor& actor = actors_[id];
  actor.home = home;
  actor.watchers.insert(process);
}

RemoteActors::Ask* RemoteActors::Find(const ActorId& id, ProcessId caller, uint64_t request_id) {
  const auto found = actors_.find(id);
  if (found == actors_.end()) return nullptr;
  for (Ask& ask : found->second.asks)
    if (ask.caller == caller && ask.request_id == request_id) return &ask;
  return nullptr;
}

bool RemoteActors::Answered(const ActorId& id, ProcessId caller, uint64_t request_id) {
  const auto found = actors_.find(id);
  if (found == actors_.end()) return false;
  Actor& actor = found->second;
  const bool waited = std::erase_if(actor.asks, [&](const Ask& ask) {
                        return ask.caller == caller && ask.request_id == request_id;
                      }) > 0;
  if (actor.watchers.empty() && actor.asks.empty()) actors_.erase(found);
  return waited;
}

bool RemoteActors::AskAgain(const ActorId& id, ProcessId caller, uint64_t request_id, TimePoint when) {
  Ask* const ask = Find(id, caller, request_id);
  if (ask == nullptr) return false;
  if (++ask->times <= kAsksMax) {
    ask->again = when;
    return true;
  }
  (void)Answered(id, caller, request_id);
  return false;
}

std::vector<RemoteActors::Ask> RemoteActors::TakeDue(TimePoint now) {
  std::vector<Ask> due;
  for (auto& [id, actor] : actors_) {
    for (Ask& ask : actor.asks) {
      if (ask.again > now) continue;
      ask.again = TimePoint::max();
      due.push_back(ask);
    }
  }
  return due;
}

bool RemoteActors::AnyToAskAgain() const {
  return std::any_of(actors_.begin(), actors_.end(), [](const auto& entry) {
    return std::any_of(entry.second.asks.begin(), entry.second.asks.end(),
                       [](const Ask& ask) { return ask.again != TimePoint::max(); });
  });
}

void RemoteActors::Dead(const ActorId& id, ProcessId process) {
  const auto found = actors_.find(id);
  if (found == actors_.end()) return;
  found->second.watchers.erase(process);  // a request of it still waits for an answer
  if (found->second.watchers.empty() && found->second.asks.empty()) actors_.erase(found);
}

void RemoteActors::ProcessGone(ProcessId process) {
  for (auto at = actors_.begin(); at != actors_.end();) {
    Actor& actor = at->second;
    actor.watchers.erase(process);
    std::erase_if(actor.asks, [process](const Ask& ask) { return ask.caller == process; });
    at = actor.watchers.empty() && actor.asks.empty() ? actors_.erase(at) : std::next(at);
  }
}

RemoteActors::Lost RemoteActors::HomeGone(const NodeId& home) {
  Lost lost;
  std::erase_if(actors_, [&](const auto& entry) {
    if (entry.second.home != home) return false;
    for (const Ask& ask : entry.second.asks) lost.asks.push_back(ask);
    for (const ProcessId process : entry.second.watchers) lost.watchers.push_back({entry.first, process});
    return true;
  });
  return lost;
}

}  // namespace raylet
