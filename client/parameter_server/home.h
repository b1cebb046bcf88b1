// What a caller does where shards are closed for a Resize: it asks the home. Either other shards have the parameters
// now, or the Resize is under way, or it was given up. Then the caller opens the shards itself. In any process.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <ray/api.h>
#include <ray/parameter_server/parameters.h>

#include "client/parameter_server/messages.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/shard.h"

namespace ray::ps::internal {

template <class T>
struct HomeReply {
  std::shared_ptr<const Server<T>> newer;  // null: the layout counts
  uint64_t resize = 0;                     // under way
};

// Throws RayActorException where the home is dead.
template <class T>
HomeReply<T> AskHome(const Server<T>& server, const Patience& patience) {
  const auto reply = Insist(server.restarts, patience, Asked::Home("where the parameters are"),
                            [&] { return server.home.Task(&Shard<T>::Where).Remote(server.epoch); });
  HomeReply<T> result{nullptr, reply->under_way};
  if (!reply->door.moved.empty()) result.newer = std::make_shared<const Server<T>>(std::move(reply->door.moved[0]));
  return result;
}

// A shard said that this Resize has closed it. Returns the layout that counts, where that is another one. Shards that
// were closed for a Resize which was given up are open afterwards.
template <class T>
std::shared_ptr<const Server<T>> HeedClosed(const Server<T>& server, uint64_t resize, const Patience& patience) {
  HomeReply<T> home = AskHome(server, patience);
  if (home.newer != nullptr) return home.newer;
  if (resize != 0 && resize != home.resize)
    for (const auto& shard : server.shards)
      shard.Task(&Shard<T>::Open).Remote(resize);  // before this caller's next call
  return nullptr;
}

}  // namespace ray::ps::internal
