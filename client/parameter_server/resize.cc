// A Resize of dense parameters, as the process that owns them conducts it. New shards start beside the old ones. The
// old ones close, agree on the gradients that they have, and are copied by the new ones. The home decides whether the
// new ones count, and tells everybody.
#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/agreement.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/repeated.h"
#include "client/parameter_server/resizing.h"
#include "client/parameter_server/server.h"
#include "client/parameter_server/shard.h"

namespace ray::ps::internal {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayException;

constexpr const char* kResize = "a Resize";
constexpr Asked kAskedHome = Asked::Home(kResize);

// `shard`: one of the server's.
template <class T>
Asked AskedOf(const Server<T>& server, const ActorHandle<Shard<T>>& shard) {
  return {kResize, static_cast<size_t>(&shard - server.shards.data()), server.shards.size()};
}

// Shows the home that this process is there, from a thread of its own. One call at a time, whose result does not
// matter: the home says at the end whether the Resize counts.
template <class T>
class Signs {
 public:
  Signs(ActorHandle<Shard<T>> home, uint64_t resize)
      : home_(std::move(home)), resize_(resize), repeated_(ResizeLease::kTime / 10, [this] { Show(); }) {}

 private:
  void Show() {
    if (sign_.empty() || ray::Wait(sign_, 1, 0).unready.empty()) sign_ = {home_.Task(&Shard<T>::Renew).Remote(resize_)};
  }

  const ActorHandle<Shard<T>> home_;
  const uint64_t resize_;
  std::vector<ObjectRef<bool>> sign_;  // none, or the last one
  Repeated repeated_;                  // last: its thread uses the others
};

template <class T>
class Removal {
 public:
  Removal(const Server<T>& old, size_t shards, uint64_t resize)
      : old_(old),
        shards_(shards),
        resize_(resize),
        patience_(old.deadline_ms),
        worker_patience_ms_(std::min<int64_t>(old.options->round_deadline.count(), old.deadline_ms)) {}

  // The old shards have closed then.
  std::shared_ptr<Server<T>> Do() {
    AwaitRefused();
    auto next = Start();
    Insist(old_.restarts, patience_, kAskedHome, [&] { return old_.home.Task(&Shard<T>::Begin).Remote(resize_); });
    signs_.emplace(old_.home, resize_);
    try {
      Copy(Settle(), *next);
    } catch (const RayException&) {
      Reopen();
      throw;
    }
    return next;
  }

  // A shard that stays closed is opened by the next Resize, or by a worker that comes there.
  void Reopen() const {
    const Patience patience(old_.deadline_ms);
    for (const auto& shard : old_.shards) try {
        Insist(old_.restarts, patience, AskedOf(old_, shard),
               [&] { return shard.Task(&Shard<T>::Open).Remote(resize_); });
      } catch (const RayException&) {}
  }

 private:
  template <class Call>
  auto Ask(const ActorHandle<Shard<T>>& shard, const Call& call) const {
    return Insist(old_.restarts, patience_, AskedOf(old_, shard), call);
  }

  // What the Resize before has refused counts first. So a gradient is refused by one Resize at most, however often the
  // owner calls. The shards are open meanwhile.
  void AwaitRefused() const {
    const Patience worker_patience(worker_patience_ms_);
    for (const auto& shard : old_.shards)
      while (*Ask(shard, [&] { return shard.Task(&Shard<T>::Lacks).Remote(old_.resizing->refused); }) > 0 &&
             !worker_patience.Over())
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
    for (const auto& shard : old_.shards)
      closed.push_back(*Ask(shard, [&] { return shard.Task(&Shard<T>::Close).Remote(resize_); }));
    const std::vector<uint64_t> others_have = NewestOf(closed);
    const Patience worker_patience(worker_patience_ms_);
    uint64_t version = 0;
    for (;;) {
      uint64_t missing = 0;
      for (const auto& shard : old_.shards) {
        const auto reply = Ask(shard, [&] { return shard.Task(&Shard<T>::Admit).Remote(others_have); });
        if (!reply->forgetful) missing += reply->missing;
        version = std::max(version, reply->version);
      }
      if (missing == 0 || worker_patience.Over()) break;
      worker_patience.Sleep();
    }
    closed.clear();
    for (const auto& shard : old_.shards)
      closed.push_back(*Ask(shard, [&] { return shard.Task(&Shard<T>::Settle).Remote(version); }));
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
    AnswersOf(inherited, kResize, patience_);
    AwaitShards(next.shards, patience_);  // those that died since then start again, or the old ones stay
  }

  const Server<T>& old_;
  const size_t shards_;
  const uint64_t resize_;
  const Patience patience_;
  const int64_t worker_patience_ms_;
  std::optional<Signs<T>> signs_;  // from Begin on
};

// `next` counts, unless the home has given the Resize up.
template <class T>
MoveReply TellHome(const Server<T>& next, uint64_t resize) {
  const Patience patience(next.deadline_ms);
  return *Insist(next.restarts, patience, kAskedHome,
                 [&] { return next.home.Task(&Shard<T>::Move).Remote(next, resize); });
}

template <class T>
void AddRefused(const Server<T>& next, const std::vector<uint64_t>& refused) {
  next.resizing->refused.insert(next.resizing->refused.end(), refused.begin(), refused.end());
}

}  // namespace

template <class T>
std::shared_ptr<const Server<T>> Resized(const Server<T>& old, size_t shards) {
  if (old.options == nullptr) ThrowNotTheOwner();
  static_cast<void>(SplitEvenly(old.layout->size(), shards));  // throws for a number that cannot be
  const uint64_t resize = RandomNumber() | 1;
  Removal<T> removal(old, shards, resize);
  const auto stay = [&](const auto& call) { return OrStay(old.shards.size(), shards, call); };
  const auto next = stay([&] { return removal.Do(); });
  MoveReply reply;
  try {
    reply = TellHome(*next, resize);
  } catch (const RayException& e) {
    const auto* const dead = dynamic_cast<const RayActorException*>(&e);
    if (dead == nullptr || !IsOver(*dead, old.restarts)) {
      old.resizing->doubted = next;
      old.resizing->resize = resize;
      ThrowInDoubt(old.shards.size(), shards, e);
    }
  }
  if (reply.moved) {
    AddRefused(*next, reply.refused);
    return next;
  }
  removal.Reopen();
  return stay([&]() -> std::shared_ptr<const Server<T>> { ThrowGivenUp(); });
}

template <class T>
void Announce(const Server<T>& old, const Server<T>& next) {
  const Patience patience(old.deadline_ms);
  // These hold no handle of a new shard: a handle of an old layout would keep the shards of all later ones.
  Server<T> elsewhere = next;
  elsewhere.shards.clear();
  std::vector<ObjectRef<MoveReply>> moved;
  for (const auto& shard : old.shards)
    if (shard.ID() != old.home.ID()) moved.push_back(shard.Task(&Shard<T>::Move).Remote(elsewhere, uint64_t{0}));
  for (const auto& one : moved) try {
      AddRefused(next, one.Get(patience.RemainingMs())->refused);
    } catch (const RayException&) {}  // its callers ask the home
}

template <class T>
std::shared_ptr<const Server<T>> Mend(const std::shared_ptr<const Server<T>>& known) {
  if (known->options == nullptr) ThrowNotTheOwner();
  auto current = known;
  if (const auto doubted = known->resizing->doubted; doubted != nullptr) {
    if (const MoveReply reply = TellHome(*doubted, known->resizing->resize); reply.moved) {
      AddRefused(*doubted, reply.refused);
      if (known->epoch < doubted->epoch) Announce(*known, *doubted);  // else another thread has left the old shards
      current = doubted;
    }
    known->resizing->doubted = nullptr;
  }
  if (current->epoch > 0) TellHome(*current, 0);
  const Patience patience(current->deadline_ms);
  for (const auto& shard : current->shards)
    Insist(current->restarts, patience, AskedOf(*current, shard),
           [&] { return shard.Task(&Shard<T>::Open).Remote(uint64_t{0}); });
  return current;
}

template std::shared_ptr<const Server<float>> Resized(const Server<float>&, size_t);
template std::shared_ptr<const Server<double>> Resized(const Server<double>&, size_t);
template void Announce(const Server<float>&, const Server<float>&);
template void Announce(const Server<double>&, const Server<double>&);
template std::shared_ptr<const Server<float>> Mend(const std::shared_ptr<const Server<float>>&);
template std::shared_ptr<const Server<double>> Mend(const std::shared_ptr<const Server<double>>&);

}  // namespace ray::ps::internal
