// What a Resize needs in the process that owns the shards.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ray/api.h>
#include <ray/parameter_server/options.h>

#include "client/parameter_server/patience.h"

namespace ray::ps::internal {

// One Resize of a process at a time. Throws while there is another.
class OneResize {
 public:
  OneResize() {
    if (busy_.exchange(true))
      throw ray::internal::RayException("a Resize is under way in another thread: call it again afterwards");
  }
  ~OneResize() { busy_.store(false); }
  OneResize(const OneResize&) = delete;
  OneResize& operator=(const OneResize&) = delete;

 private:
  // It orders nothing but the calls of Resize themselves.
  static inline std::atomic<bool> busy_{false};
};

// `content`: what the server has, for people.
[[noreturn]] inline void ThrowNotTheOwner(const std::string& content) {
  throw ray::internal::RayException("Resize was called in a process that did not create the " + content +
                                    ": the process that called Create owns the shards, and calls Resize");
}

[[noreturn]] inline void ThrowNoHome(const std::string& content, size_t shards,
                                     const ray::internal::RayException& why) {
  throw ray::internal::RayException("the " + content + " stay in " + std::to_string(shards) +
                                    " shards for good: the first shard that the server ever had is dead, and no other "
                                    "decides over a Resize. Reads and updates go on. Another server that takes what "
                                    "this one has may be resized. The cause: " +
                                    why.what());
}

[[noreturn]] inline void ThrowGivenUp() {
  throw ray::internal::RayException(
      "the first shard has given it up: its process started again or ended, or this process showed no sign for some "
      "seconds");
}

[[noreturn]] inline void ThrowInDoubt(const std::string& content, size_t before, size_t wanted,
                                      const ray::internal::RayException& why) {
  throw ray::internal::RayTimeoutException("whether the " + content + " are in " + std::to_string(before) + " or in " +
                                           std::to_string(wanted) +
                                           " shards is not known, since the first shard did not answer: call Resize "
                                           "again, to any number, which finds out. The cause: " +
                                           why.what());
}

// Returns once all have their processes.
template <class Shard>
void AwaitShards(const std::vector<ActorHandle<Shard>>& shards, const Patience& patience) {
  std::vector<decltype(shards[0].Task(&Shard::Where).Remote(uint64_t{0}))> here;
  for (const auto& shard : shards) here.push_back(shard.Task(&Shard::Where).Remote(uint64_t{0}));
  AnswersOf(here, "a Resize", patience);
}

// The same options for so many shards. Further shards take the places of the first ones again.
inline Options ForShards(const Options& options, size_t shards) {
  Options changed = options;
  changed.shards = shards;
  if (const size_t places = options.placement.size(); places > 0) {
    changed.placement.resize(shards);
    for (size_t i = places; i < shards; ++i) changed.placement[i] = options.placement[i % places];
  }
  return changed;
}

// resize(), with what holds where it throws.
template <class F>
auto OrStay(const std::string& content, size_t before, size_t wanted, const F& resize) {
  try {
    return resize();
  } catch (const ray::internal::RayException& e) {
    throw ray::internal::RayException("the " + content + " stay in " + std::to_string(before) +
                                      " shards, and a Resize to " + std::to_string(wanted) +
                                      " may be tried again. It failed: " + e.what());
  }
}

}  // namespace ray::ps::internal
