// A Resize of dense parameters, as the process that owns them conducts it. The old shards close, agree on the
// gradients that they have, and are copied by new ones. One call to the home is the point from which the new ones
// count.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/patience.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"

namespace ray::ps::internal {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayException;

template <class T>
class Removal {
 public:
  Removal(const Server<T>& old, size_t shards) : old_(old), shards_(shards), patience_(old.deadline_ms) {}

  std::shared_ptr<const Server<T>> Do() {
    std::shared_ptr<Server<T>> next;
    try {
      const std::vector<ClosedReply> closed = Settle();
      next = Start(closed);
    } catch (const RayException&) {
      Reopen();
      throw;
    }
    Commit(*next);
    return next;
  }

 private:
  // A shard that starts again is asked again.
  template <class Call>
  auto Insist(const Call& call) const {
    for (;;) {
      try {
        return call().Get(patience_.RemainingMs());
      } catch (const RayActorException&) {
        if (!old_.restarts || patience_.Over()) throw;
        patience_.Sleep();
      }
    }
  }

  std::vector<ClosedReply> Close() const {
    std::vector<ClosedReply> closed;
    for (const auto& shard : old_.shards)
      closed.push_back(*Insist([&] { return shard.Task(&Shard<T>::Close).Remote(); }));
    return closed;
  }

  // Afterwards a gradient is in all shards or in none. A worker that keeps the others waiting too long is left behind.
  std::vector<ClosedReply> Settle() const {
    const Patience worker_patience(old_.options->round_deadline.count());
    std::set<uint64_t> newest;
    for (const ClosedReply& closed : Close()) newest.insert(closed.newest.begin(), closed.newest.end());
    const std::vector<uint64_t> others_have(newest.begin(), newest.end());
    uint64_t version = 0;
    for (;;) {
      uint64_t missing = 0;
      for (const auto& shard : old_.shards) {
        const auto reply =
            Insist([&] { return shard.Task(&Shard<T>::Admit).Remote(others_have, uint64_t{kNoVersion}); });
        if (!reply->forgetful) missing += reply->missing;
        version = std::max(version, reply->version);
      }
      if (missing == 0 || worker_patience.Over()) break;
      patience_.Sleep();
    }
    for (const auto& shard : old_.shards)
      Insist([&] { return shard.Task(&Shard<T>::Admit).Remote(std::vector<uint64_t>(), version); });
    return Close();
  }

  std::shared_ptr<Server<T>> Start(const std::vector<ClosedReply>& closed) const {
    std::vector<ObjectRef<ShardState<T>>> states;
    for (const auto& shard : old_.shards) states.push_back(shard.Task(&Shard<T>::Export).Remote());
    Options options = *old_.options;
    options.shards = shards_;
    if (!options.placement.empty())
      for (size_t i = options.placement.size(); i < shards_; ++i)
        options.placement.push_back(options.placement[i % old_.shards.size()]);
    options.placement.resize(std::min(options.placement.size(), shards_));
    Layout layout = SplitEvenly(old_.layout->size(), shards_);
    layout.tensors = old_.layout->tensors;
    auto next = StartServer<T>(std::move(layout), {}, options);
    next->options = old_.options;
    next->home = old_.home;
    next->epoch = old_.epoch + 1;
    next->ranks = old_.ranks;
    next->policy = old_.policy;

    Inheritance<T> common;
    std::vector<uint64_t> all = closed[0].recent;
    std::sort(all.begin(), all.end());
    std::set<uint64_t> any(all.begin(), all.end());
    std::set<uint64_t> newest;
    for (const ClosedReply& one : closed) {
      common.version = std::max(common.version, one.version);
      std::vector<uint64_t> sorted = one.recent, both;
      std::sort(sorted.begin(), sorted.end());
      std::set_intersection(all.begin(), all.end(), sorted.begin(), sorted.end(), std::back_inserter(both));
      all = std::move(both);
      any.insert(sorted.begin(), sorted.end());
      newest.insert(one.newest.begin(), one.newest.end());
    }
    for (const uint64_t sequence : any) {
      const bool by_all = std::binary_search(all.begin(), all.end(), sequence);
      (by_all || newest.count(sequence) == 0 ? common.recent : common.partial).push_back(sequence);
    }
    const Layout& from = *old_.layout;
    std::vector<ObjectRef<void>> inherited;
    for (size_t i = 0; i < shards_; ++i) {
      Inheritance<T> inheritance = common;
      inheritance.begin = next->layout->offsets[i];
      for (size_t k = from.ShardOf(inheritance.begin); k <= from.ShardOf(next->layout->offsets[i + 1] - 1); ++k) {
        inheritance.offsets.push_back(from.offsets[k]);
        inheritance.states.push_back(states[k]);
      }
      inherited.push_back(next->shards[i].Task(&Shard<T>::Inherit).Remote(inheritance));
    }
    ray::Get(inherited, patience_.RemainingMs());
    for (const auto& shard : next->shards) shard.Task(&Shard<T>::Where).Remote().Get(patience_.RemainingMs());
    return next;
  }

  // What keeps a shard from opening is told by its next call.
  void Reopen() const {
    const Patience patience(old_.deadline_ms);
    for (const auto& shard : old_.shards)
      for (bool done = false; !done;) {
        try {
          shard.Task(&Shard<T>::Open).Remote().Get(patience.RemainingMs());
          done = true;
        } catch (const RayException&) {
          done = !old_.restarts || patience.Over();
          if (!done) patience.Sleep();
        }
      }
  }

  // A home that is dead for good has no old layout to go back to.
  void Commit(const Server<T>& next) const {
    try {
      Insist([&] { return old_.home.Task(&Shard<T>::Move).Remote(next); });
    } catch (const RayActorException&) {}
    // The others hold no handle of a new shard: a handle of an old layout would keep the shards of all later ones.
    Server<T> elsewhere = next;
    elsewhere.shards.clear();
    std::vector<ObjectRef<void>> moved;
    for (const auto& shard : old_.shards)
      if (shard.ID() != old_.home.ID()) moved.push_back(shard.Task(&Shard<T>::Move).Remote(elsewhere));
    for (const auto& one : moved) try {
        one.Get(patience_.RemainingMs());
      } catch (const RayActorException&) {}  // its callers ask the home
  }

  const Server<T>& old_;
  const size_t shards_;
  const Patience patience_;
};

}  // namespace

template <class T>
std::shared_ptr<const Server<T>> Resized(const Server<T>& old, size_t shards) {
  if (old.options == nullptr)
    throw RayException(
        "Resize was called in a process that did not create the parameters: the process that called "
        "Create owns the shards, and calls Resize");
  static_cast<void>(SplitEvenly(old.layout->size(), shards));  // throws for a number that cannot be
  return Removal<T>(old, shards).Do();
}

template std::shared_ptr<const Server<float>> Resized(const Server<float>&, size_t);
template std::shared_ptr<const Server<double>> Resized(const Server<double>&, size_t);

}  // namespace ray::ps::internal
