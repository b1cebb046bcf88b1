// What a caller does where shards of a server S are closed for a Resize: it asks the home. Either other shards have the
// content now, or the Resize is under way, or it was given up. Then the caller opens the shards itself. In any process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/messages.h"
#include "client/parameter_server/patience.h"

namespace ray::ps::internal {

template <class S>
struct HomeReply {
  std::shared_ptr<const S> newer;  // null: the layout counts
  uint64_t resize = 0;             // under way
};

// Throws RayActorException where the home is dead.
template <class S>
HomeReply<S> AskHome(const S& server, const Patience& patience) {
  const auto reply = Insist(server.restarts, patience, Asked::Home("which shards there are now"),
                            [&] { return server.home.Task(&S::Actor::Where).Remote(server.epoch); });
  HomeReply<S> result{nullptr, reply->under_way};
  if (!reply->door.moved.empty()) result.newer = std::make_shared<const S>(std::move(reply->door.moved[0]));
  return result;
}

// A shard said that this Resize has closed it. Returns the layout that counts, where that is another one. Shards that
// were closed for a Resize which was given up are open afterwards.
template <class S>
std::shared_ptr<const S> HeedClosed(const S& server, uint64_t resize, const Patience& patience) {
  HomeReply<S> home = AskHome(server, patience);
  if (home.newer != nullptr) return home.newer;
  if (resize != 0 && resize != home.resize)
    for (const auto& shard : server.shards)
      shard.Task(&S::Actor::Open).Remote(resize);  // before this caller's next call
  return nullptr;
}

// Null where the server has not moved, or its home is dead. `resize`: that a shard said it was closed by, or 0.
template <class S>
std::shared_ptr<const S> NewerThan(const S& server, uint64_t resize, const Patience& patience) {
  try {
    return HeedClosed(server, resize, patience);
  } catch (const ray::internal::RayActorException&) {
    return nullptr;
  }
}

// The door of a shard that is closed; an open one without any. `what`: the user's call.
template <class S>
DoorState<S> ClosedDoor(const S& server, const char* what, const Patience& patience) {
  using Reply = WhereReply<S>;
  std::vector<ObjectRef<Reply>> replies;
  for (const auto& shard : server.shards) replies.push_back(shard.Task(&S::Actor::Where).Remote(server.epoch));
  for (size_t i = 0; i < replies.size(); ++i) try {
      const auto reply = AnswerOf(replies[i], {what, i, replies.size()}, patience);
      if (reply->door.closed) return reply->door;
    } catch (const ray::internal::RayActorException&) {}
  return {};
}

// call(server), again where the shards take part in a Resize meanwhile. require(): what the handle knows.
// refresh(server, resize, patience): asks the home; true where the handle knows another layout now.
template <class Require, class Refresh, class Call>
auto Settled(const Require& require, const Refresh& refresh, const Call& call) {
  const auto first = require();
  const Patience patience(first->deadline_ms);
  for (auto server = first;; server = require()) {
    try {
      return call(*server);
    } catch (const ray::internal::RayException&) {
      if (patience.Over()) throw;
      if (refresh(*server, uint64_t{0}, patience)) continue;
      const auto door = ClosedDoor(*server, "whether it is closed", patience);
      if (patience.Over() || !door.closed) throw;
      if (refresh(*server, door.resize, patience)) continue;
    }
    patience.Sleep();
  }
}

// The same for a call that closed shards answer, too. Shards may be closed because others have their content by now,
// which they have not heard. So the home is asked first.
template <class Require, class Refresh, class Call>
auto SettledRead(const char* what, const Require& require, const Refresh& refresh, const Call& call) {
  return Settled(require, refresh, [&](const auto& server) {
    const Patience patience(server.deadline_ms);
    const auto door = ClosedDoor(server, what, patience);
    return call(door.closed && refresh(server, door.resize, patience) ? *require() : server);
  });
}

}  // namespace ray::ps::internal
