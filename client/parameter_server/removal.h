// A Resize, as the process that owns the shards of a server S conducts it: parameters and tables alike. New shards
// start beside the old ones. The old ones close, and the new ones copy them. The home decides whether the new ones
// count, and everybody hears of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ray/api.h>

#include "client/parameter_server/messages.h"
#include "client/parameter_server/patience.h"
#include "client/parameter_server/repeated.h"
#include "client/parameter_server/resize_lease.h"
#include "client/parameter_server/resizing.h"
#include "client/parameter_server/server.h"

namespace ray::ps::internal {

constexpr const char* kResize = "a Resize";

// A call of the home before anything has changed.
template <class S, class Call>
auto AskDecider(const S& server, const Patience& patience, const Call& call) {
  try {
    return Insist(server.restarts, patience, Asked::Home(kResize), call);
  } catch (const ray::internal::RayActorException& e) {
    if (!IsOver(e, server.restarts)) throw;
    ThrowNoHome(S::kContent, server.shards.size(), e);
  }
}

// Shows the home that this process is there, from a thread of its own. One call at a time, whose result does not
// matter: the home says at the end whether the Resize counts.
template <class Actor>
class Signs {
 public:
  Signs(ActorHandle<Actor> home, uint64_t resize)
      : home_(std::move(home)), resize_(resize), repeated_(ResizeLease::kTime / 10, [this] { Show(); }) {}

 private:
  void Show() {
    if (sign_.empty() || ray::Wait(sign_, 1, 0).unready.empty()) sign_ = {home_.Task(&Actor::Renew).Remote(resize_)};
  }

  const ActorHandle<Actor> home_;
  const uint64_t resize_;
  std::vector<ObjectRef<bool>> sign_;  // none, or the last one
  Repeated repeated_;                  // last: its thread uses the others
};

// From one layout to the next. What a subclass adds is how the content goes along.
template <class S>
class Removal {
 public:
  using Actor = typename S::Actor;

  // `old`: outlives this. `worker_patience_ms`: for workers whose changes are under way.
  Removal(const S& old, size_t shards, int64_t worker_patience_ms)
      : old_(old),
        shards_(shards),
        resize_(RandomNumber() | 1),
        patience_(old.deadline_ms),
        worker_patience_ms_(std::min(worker_patience_ms, old.deadline_ms)) {}
  virtual ~Removal() = default;
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;

  const S& old() const { return old_; }
  size_t shards() const { return shards_; }
  uint64_t resize() const { return resize_; }

  // The old shards have closed then.
  std::shared_ptr<S> Do() {
    AwaitRefused();
    auto next = Start();
    next->options = old_.options;
    next->home = old_.home;
    next->epoch = old_.epoch + 1;
    AwaitShards(next->shards, patience_);
    AskDecider(old_, patience_, [&] { return old_.home.Task(&Actor::Begin).Remote(resize_); });
    signs_.emplace(old_.home, resize_);
    try {
      Copy(*next);
      AwaitShards(next->shards, patience_);  // those that died since then start again, or the old ones stay
    } catch (const ray::internal::RayException&) {
      Reopen();
      throw;
    }
    return next;
  }

  // A shard that stays closed is opened by the next Resize, or by a worker that comes there.
  void Reopen() const {
    const Patience patience(old_.deadline_ms);
    for (const auto& shard : old_.shards) try {
        Insist(old_.restarts, patience, AskedOf(old_, shard), [&] { return shard.Task(&Actor::Open).Remote(resize_); });
      } catch (const ray::internal::RayException&) {}
  }

  // `shard`: one of the server's.
  static Asked AskedOf(const S& server, const ActorHandle<Actor>& shard) {
    return {kResize, static_cast<size_t>(&shard - server.shards.data()), server.shards.size()};
  }

 protected:
  template <class Call>
  auto Ask(const ActorHandle<Actor>& shard, const Call& call) const {
    return Insist(old_.restarts, patience_, AskedOf(old_, shard), call);
  }
  const Patience& patience() const { return patience_; }
  Patience WorkerPatience() const { return Patience(worker_patience_ms_); }

 private:
  // Shards that have nothing. The old ones serve until all of these have their processes.
  virtual std::shared_ptr<S> Start() const = 0;
  // Closes the old shards, and fills the new ones with all that those have.
  virtual void Copy(const S& next) const = 0;

  // What the Resize before has refused counts first. So a change is refused by one Resize at most, however often the
  // owner calls. The shards are open meanwhile.
  void AwaitRefused() const {
    const Patience worker_patience = WorkerPatience();
    for (const auto& shard : old_.shards)
      while (*Ask(shard, [&] { return shard.Task(&Actor::Lacks).Remote(old_.resizing->refused); }) > 0 &&
             !worker_patience.Over())
        worker_patience.Sleep();
  }

  const S& old_;
  const size_t shards_;
  const uint64_t resize_;
  const Patience patience_;
  const int64_t worker_patience_ms_;
  std::optional<Signs<Actor>> signs_;  // from Begin on
};

// `next` counts, unless the home has given the Resize up.
template <class S>
auto TellingHome(const S& next, uint64_t resize) {
  return [&next, resize] { return next.home.Task(&S::Actor::Move).Remote(next, resize); };
}

template <class S>
void AddRefused(const S& next, const std::vector<uint64_t>& refused) {
  next.resizing->refused.insert(next.resizing->refused.end(), refused.begin(), refused.end());
}

// The same server with the shards of the removal, which have all that the old ones had, and the home knows it. The old
// ones are closed then, and never open again. Throws where the old ones stay, and where nobody knows whether they do.
template <class S>
std::shared_ptr<const S> Conduct(Removal<S>& removal) {
  using ray::internal::RayException;
  const S& old = removal.old();
  const auto stay = [&](const auto& call) { return OrStay(S::kContent, old.shards.size(), removal.shards(), call); };
  const auto next = stay([&] { return removal.Do(); });
  MoveReply reply;
  try {
    reply = *Insist(next->restarts, Patience(next->deadline_ms), Asked::Home(kResize),
                    TellingHome(*next, removal.resize()));
  } catch (const RayException& e) {
    const auto* const dead = dynamic_cast<const ray::internal::RayActorException*>(&e);
    if (dead == nullptr || !IsOver(*dead, old.restarts)) {
      old.resizing->doubted = next;
      old.resizing->resize = removal.resize();
      ThrowInDoubt(S::kContent, old.shards.size(), removal.shards(), e);
    }
  }
  if (reply.moved) {
    AddRefused(*next, reply.refused);
    return next;
  }
  removal.Reopen();
  return stay([&]() -> std::shared_ptr<const S> { ThrowGivenUp(); });
}

// Tells the other old shards that `next` counts. Readers of one that does not hear it ask the home.
template <class S>
void Announce(const S& old, const S& next) {
  const Patience patience(old.deadline_ms);
  // These hold no handle of a new shard: a handle of an old layout would keep the shards of all later ones.
  S elsewhere = next;
  elsewhere.shards.clear();
  std::vector<ObjectRef<MoveReply>> moved;
  for (const auto& shard : old.shards)
    if (shard.ID() != old.home.ID()) moved.push_back(shard.Task(&S::Actor::Move).Remote(elsewhere, uint64_t{0}));
  for (const auto& one : moved) try {
      AddRefused(next, one.Get(patience.RemainingMs())->refused);
    } catch (const ray::internal::RayException&) {}  // its callers ask the home
}

// What an earlier Resize could not end: the home says whether a layout in doubt counts, or hears which shards there
// are, and they open. Returns the layout that counts. Throws where an actor does not answer.
template <class S>
std::shared_ptr<const S> Mend(const std::shared_ptr<const S>& known) {
  if (known->options == nullptr) ThrowNotTheOwner(S::kContent);
  auto current = known;
  if (const auto doubted = known->resizing->doubted; doubted != nullptr) {
    const MoveReply reply =
        *AskDecider(*known, Patience(known->deadline_ms), TellingHome(*doubted, known->resizing->resize));
    if (reply.moved) {
      AddRefused(*doubted, reply.refused);
      if (known->epoch < doubted->epoch) Announce(*known, *doubted);  // else another thread has left the old shards
      current = doubted;
    }
    known->resizing->doubted = nullptr;
  }
  const Patience patience(current->deadline_ms);
  if (current->epoch > 0) AskDecider(*current, patience, TellingHome(*current, 0));
  for (const auto& shard : current->shards)
    Insist(current->restarts, patience, Removal<S>::AskedOf(*current, shard),
           [&] { return shard.Task(&S::Actor::Open).Remote(uint64_t{0}); });
  return current;
}

// A Resize of what a handle knows. resized(server): the next layout, as Conduct returns it. moved(server): tells the
// handle.
template <class S, class Resized, class Moved>
void ResizeFrom(const std::shared_ptr<const S>& known, size_t shards, const Resized& resized, const Moved& moved) {
  const OneResize one;
  const auto server = Mend(known);
  moved(server);
  if (shards == server->shards.size()) return;
  const auto next = resized(*server);
  moved(next);
  Announce(*server, *next);
}

}  // namespace ray::ps::internal
