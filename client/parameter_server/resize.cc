// A Resize of dense parameters, as the process that owns them conducts it. New shards start beside the old ones. The
// old ones close, agree on the gradients that they have, and are copied by the new ones. From then on the new ones
// count, and the home tells everybody.
#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/agreement.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/resizing.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"

namespace ray::ps::internal {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayException;

template <class T>
class Removal {
 public:
  Removal(const Server<T>& old, size_t shards)
      : old_(old),
        shards_(shards),
        patience_(old.deadline_ms),
        worker_patience_ms_(std::min<int64_t>(old.options->round_deadline.count(), old.deadline_ms)) {}

  std::shared_ptr<Server<T>> Do() const {
    AwaitRefused();
    auto next = Start();
    try {
      Copy(Settle(), *next);
    } catch (const RayException&) {
      Reopen();
      throw;
    }
    return next;
  }

 private:
  template <class Call>
  auto Ask(const Call& call) const {
    return Insist(old_.restarts, patience_, call);
  }

  // What the Resize before has refused counts first. So a gradient is refused by one Resize at most, however often the
  // owner calls. The shards are open meanwhile.
  void AwaitRefused() const {
    const Patience worker_patience(worker_patience_ms_);
    for (const auto& shard : old_.shards)
      while (*Ask([&] { return shard.Task(&Shard<T>::Lacks).Remote(*old_.refused); }) > 0 && !worker_patience.Over())
        worker_patience.Sleep();
  }

  // The old shards serve until all of these have their processes.
  std::shared_ptr<Server<T>> Start() const {
    Layout layout = SplitEvenly(old_.layout->size(), shards_);
    layout.tensors = old_.layout->tensors;
    auto next = StartServer<T>(std::move(layout), {}, ForShards(*old_.options, shards_), true);
    next->options = old_.options;
    next->home = old_.home;
    next->epoch = old_.epoch + 1;
    next->ranks = old_.ranks;
    next->policy = old_.policy;
    AwaitShards(next->shards, patience_);
    return next;
  }

  // Afterwards a gradient is in all shards or in none. A worker whose gradient comes in parts, too far apart, is left
  // behind.
  std::vector<ClosedReply> Settle() const {
    std::vector<ClosedReply> closed;
    for (const auto& shard : old_.shards) closed.push_back(*Ask([&] { return shard.Task(&Shard<T>::Close).Remote(); }));
    const std::vector<uint64_t> others_have = NewestOf(closed);
    const Patience worker_patience(worker_patience_ms_);
    uint64_t version = 0;
    for (;;) {
      uint64_t missing = 0;
      for (const auto& shard : old_.shards) {
        const auto reply = Ask([&] { return shard.Task(&Shard<T>::Admit).Remote(others_have); });
        if (!reply->forgetful) missing += reply->missing;
        version = std::max(version, reply->version);
      }
      if (missing == 0 || worker_patience.Over()) break;
      worker_patience.Sleep();
    }
    closed.clear();
    for (const auto& shard : old_.shards)
      closed.push_back(*Ask([&] { return shard.Task(&Shard<T>::Settle).Remote(version); }));
    return closed;
  }

  void Copy(const std::vector<ClosedReply>& closed, const Server<T>& next) const {
    std::vector<ObjectRef<ShardState<T>>> states;
    for (const auto& shard : old_.shards) states.push_back(shard.Task(&Shard<T>::Export).Remote());
    Agreement agreement = AgreementOf(closed);
    Inheritance<T> common;
    common.version = agreement.version;
    common.recent = std::move(agreement.recent);
    common.partial = std::move(agreement.partial);
    common.ranks = std::move(agreement.ranks);
    const Layout& from = *old_.layout;
    const Layout& to = *next.layout;
    std::vector<ObjectRef<void>> inherited;
    for (size_t i = 0; i < shards_; ++i) {
      Inheritance<T> inheritance = common;
      inheritance.begin = to.offsets[i];
      for (size_t k = from.ShardOf(inheritance.begin); k <= from.ShardOf(to.offsets[i + 1] - 1); ++k) {
        inheritance.offsets.push_back(from.offsets[k]);
        inheritance.states.push_back(states[k]);
      }
      inherited.push_back(next.shards[i].Task(&Shard<T>::Inherit).Remote(inheritance));
    }
    ray::Get(inherited, patience_.RemainingMs());
    AwaitShards(next.shards, patience_);  // those that died since then start again, or the old ones stay
  }

  // A shard that stays closed is opened by the next Resize.
  void Reopen() const {
    const Patience patience(old_.deadline_ms);
    for (const auto& shard : old_.shards) try {
        Insist(old_.restarts, patience, [&] { return shard.Task(&Shard<T>::Open).Remote(); });
      } catch (const RayException&) {}
  }

  const Server<T>& old_;
  const size_t shards_;
  const Patience patience_;
  const int64_t worker_patience_ms_;
};

}  // namespace

template <class T>
std::shared_ptr<const Server<T>> Resized(const Server<T>& old, size_t shards) {
  if (old.options == nullptr) ThrowNotTheOwner();
  static_cast<void>(SplitEvenly(old.layout->size(), shards));  // throws for a number that cannot be
  return OrStay(old.shards.size(), shards, [&] { return Removal<T>(old, shards).Do(); });
}

template <class T>
std::vector<uint64_t> TellHome(const Server<T>& current) {
  const Patience patience(current.deadline_ms);
  try {
    return *Insist(current.restarts, patience, [&] { return current.home.Task(&Shard<T>::Move).Remote(current); });
  } catch (const RayActorException&) {
    if (!current.restarts) return {};  // it is dead for good, and nobody asks it any more
    throw;
  }
}

template <class T>
void Announce(const Server<T>& old, const Server<T>& next) {
  const Patience patience(old.deadline_ms);
  const auto add = [&](const std::vector<uint64_t>& refused) {
    next.refused->insert(next.refused->end(), refused.begin(), refused.end());
  };
  add(TellHome(next));  // first: an owner that dies meanwhile leaves a home that knows, or old shards that have all
  // These hold no handle of a new shard: a handle of an old layout would keep the shards of all later ones.
  Server<T> elsewhere = next;
  elsewhere.shards.clear();
  std::vector<ObjectRef<std::vector<uint64_t>>> moved;
  for (const auto& shard : old.shards)
    if (shard.ID() != old.home.ID()) moved.push_back(shard.Task(&Shard<T>::Move).Remote(elsewhere));
  for (const auto& one : moved) try {
      add(*one.Get(patience.RemainingMs()));
    } catch (const RayException&) {}  // its callers ask the home
}

template <class T>
void Mend(const Server<T>& current) {
  if (current.options == nullptr) ThrowNotTheOwner();
  if (current.epoch > 0) TellHome(current);
  const Patience patience(current.deadline_ms);
  for (const auto& shard : current.shards)
    Insist(current.restarts, patience, [&] { return shard.Task(&Shard<T>::Open).Remote(); });
}

template std::shared_ptr<const Server<float>> Resized(const Server<float>&, size_t);
template std::shared_ptr<const Server<double>> Resized(const Server<double>&, size_t);
template void Announce(const Server<float>&, const Server<float>&);
template void Announce(const Server<double>&, const Server<double>&);
template void Mend(const Server<float>&);
template void Mend(const Server<double>&);

}  // namespace ray::ps::internal
