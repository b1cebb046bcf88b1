#include "raylet/actors/remote_actors.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "raylet/actors/actor_directory.h"

namespace raylet {

RemoteActors::Actor* RemoteActors::Find(const ActorId& id) {
  const auto home = by_home_.find(HomeOf(id));
  if (home == by_home_.end()) return nullptr;
  const auto found = home->second.find(id);
  return found == home->second.end() ? nullptr : &found->second;
}

void RemoteActors::ForgetUnlessWanted(const ActorId& id) {
  const auto home = by_home_.find(HomeOf(id));
  const auto found = home->second.find(id);
  if (!found->second.watchers.empty() || !found->second.asks.empty()) return;
  home->second.erase(found);
  if (home->second.empty()) by_home_.erase(home);
}

size_t RemoteActors::size() const {
  size_t size = 0;
  for (const auto& [home, actors] : by_home_) size += actors.size();
  return size;
}

Result<void> RemoteActors::Open(const ActorId& id, ProcessId caller, uint64_t request_id) {
  Actor& actor = by_home_[HomeOf(id)][id];
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

void RemoteActors::Watch(const ActorId& id, ProcessId process) { by_home_[HomeOf(id)][id].watchers.insert(process); }

RemoteActors::Ask* RemoteActors::Find(const ActorId& id, ProcessId caller, uint64_t request_id) {
  Actor* const actor = Find(id);
  if (actor == nullptr) return nullptr;
  for (Ask& ask : actor->asks)
    if (ask.caller == caller && ask.request_id == request_id) return &ask;
  return nullptr;
}

bool RemoteActors::Answered(const ActorId& id, ProcessId caller, uint64_t request_id) {
  Actor* const actor = Find(id);
  if (actor == nullptr) return false;
  const bool waited = std::erase_if(actor->asks, [&](const Ask& ask) {
                        return ask.caller == caller && ask.request_id == request_id;
                      }) > 0;
  ForgetUnlessWanted(id);
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
  for (auto& [home, actors] : by_home_) {
    for (auto& [id, actor] : actors) {
      for (Ask& ask : actor.asks) {
        if (ask.again > now) continue;
        ask.again = TimePoint::max();
        due.push_back(ask);
      }
    }
  }
  return due;
}

bool RemoteActors::AnyToAskAgain() const {
  return std::any_of(by_home_.begin(), by_home_.end(), [](const auto& home) {
    return std::any_of(home.second.begin(), home.second.end(), [](const auto& entry) {
      return std::any_of(entry.second.asks.begin(), entry.second.asks.end(),
                         [](const Ask& ask) { return ask.again != TimePoint::max(); });
    });
  });
}

void RemoteActors::Dead(const ActorId& id, ProcessId process) {
  Actor* const actor = Find(id);
  if (actor == nullptr) return;
  actor->watchers.erase(process);  // a request of it still waits for an answer
  ForgetUnlessWanted(id);
}

void RemoteActors::ProcessGone(ProcessId process) {
  for (auto& [home, actors] : by_home_) {
    for (auto at = actors.begin(); at != actors.end();) {
      Actor& actor = at->second;
      actor.watchers.erase(process);
      std::erase_if(actor.asks, [process](const Ask& ask) { return ask.caller == process; });
      at = actor.watchers.empty() && actor.asks.empty() ? actors.erase(at) : std::next(at);
    }
  }
  std::erase_if(by_home_, [](const auto& home) { return home.second.empty(); });
}

void RemoteActors::HomeLost(MachineNumber home) {
  auto gone = by_home_.extract(home);
  if (!gone.empty()) lost_[home].merge(gone.mapped());
}

RemoteActors::Lost RemoteActors::TakeLost(MachineNumber home, size_t least) {
  Lost lost;
  const auto found = lost_.find(home);
  if (found == lost_.end()) return lost;
  Actors& actors = found->second;
  while (!actors.empty() && lost.asks.size() + lost.watchers.size() < least) {
    const auto actor = actors.extract(actors.begin());
    lost.asks.insert(lost.asks.end(), actor.mapped().asks.begin(), actor.mapped().asks.end());
    for (const ProcessId process : actor.mapped().watchers) lost.watchers.push_back({actor.key(), process});
  }
  if (actors.empty()) lost_.erase(found);
  return lost;
}

}  // namespace raylet
