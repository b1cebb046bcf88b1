// ReplicaWatch: finds out that the replica of a shard has nothing, because its process replaces one that died, while
// nobody calls the shard. It has a thread of its own, which calls the shard then as anybody does. Owned by the shard.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/repeated.h"

namespace ray::ps::internal {

template <class Shard, class Replica>
class ReplicaWatch {
 public:
  // A look is a call or its answer. So an idle shard makes one call a second.
  static constexpr std::chrono::milliseconds kBetweenLooks{500};

  // `shard`: the id of its actor. It is not kept alive by this.
  ReplicaWatch(std::string shard, ActorHandle<Replica> replica)
      : shard_(std::move(shard)), replica_(std::move(replica)), looking_(kBetweenLooks, [this] { Look(); }) {}

 private:
  void Look() {
    if (asked_.empty()) {
      asked_ = {replica_.Task(&Replica::Ready).Remote()};
    } else if (ray::Wait(asked_, 1, 0).unready.empty()) {
      const auto asked = std::exchange(asked_, {});
      try {
        if (*asked[0].Get() == 0) ActorHandle<Shard>(shard_).Task(&Shard::Refill).Remote();
      } catch (const ray::internal::RayActorException&) {}  // it died: the next look finds its successor
    }
  }

  const std::string shard_;
  const ActorHandle<Replica> replica_;
  std::vector<ObjectRef<int64_t>> asked_;  // none, or a call under way
  Repeated looking_;                       // last: its thread uses the others
};

}  // namespace ray::ps::internal
