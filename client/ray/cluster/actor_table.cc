#include "client/ray/cluster/actor_table.h"

#include <utility>

namespace raylet::client {

ActorLinkPtr ActorTable::Make(const ActorId& id, bool ends_with_handles) {
  const MutexLock lock(mutex_);
  return MakeLocked(id, ends_with_handles);
}

ActorLinkPtr ActorTable::MakeLocked(const ActorId& id, bool ends_with_handles) {
  auto link = std::make_shared<ActorLink>(parts_, pump_, *this, id, ends_with_handles);
  actors_[id] = link;
  return link;
}

ActorLinkPtr ActorTable::FindOrMake(const ActorId& id) {
  const MutexLock lock(mutex_);
  if (const auto found = actors_.find(id); found != actors_.end())
    if (ActorLinkPtr link = found->second.lock(); link != nullptr) return link;
  return MakeLocked(id, /*ends_with_handles=*/false);
}

ray::internal::Hold ActorTable::HoldOf(const ActorId& id) {
  ActorLinkPtr link;
  {
    const MutexLock lock(mutex_);
    const auto found = actors_.find(id);
    if (found != actors_.end()) link = found->second.lock();
  }
  if (link == nullptr) return nullptr;
  return std::make_shared<ClusterActor>(std::move(link), nullptr);
}

void ActorTable::Forget(const ActorLink& link) {
  const MutexLock lock(mutex_);
  const auto found = actors_.find(link.id());
  if (found == actors_.end()) return;
  const auto ours = link.weak_from_this();
  if (!found->second.owner_before(ours) && !ours.owner_before(found->second)) actors_.erase(found);
}

void ActorTable::Change(const wire::ActorNoticeT& notice) {
  ActorLinkPtr actor;
  {
    const MutexLock lock(mutex_);
    const auto found = actors_.find(FromWire<ActorId>(*notice.actor));
    if (found == actors_.end()) return;
    actor = found->second.lock();
  }
  if (actor == nullptr) return;
  const Failure unknown = *MakeFailure(wire::FailureKind::ActorDied, "the actor died");
  const Failure& failure = notice.failure != nullptr ? *notice.failure : unknown;
  if (notice.state == wire::ActorState::Restarting) actor->Restarting(failure, notice.ended);
  if (notice.state == wire::ActorState::Dead) actor->Die(AsActorDied(failure, failure.may_have_run));
}

std::vector<ActorLinkPtr> ActorTable::Links() {
  std::vector<ActorLinkPtr> links;
  for (const auto& [id, actor] : actors_)
    if (ActorLinkPtr link = actor.lock(); link != nullptr) links.push_back(std::move(link));
  return links;
}

std::optional<ActorId> ActorTable::Cancel(const ClusterObject& result) {
  std::vector<ActorLinkPtr> links;
  {
    const MutexLock lock(mutex_);
    links = Links();
  }
  for (const ActorLinkPtr& link : links) {
    const auto whereabouts = link->Cancel(result);
    if (whereabouts == ActorLink::Whereabouts::kSent) return link->id();
    if (whereabouts == ActorLink::Whereabouts::kWaits) return std::nullopt;
  }
  return std::nullopt;
}

void ActorTable::Stop(const FailurePtr& failure) {
  std::vector<ActorLinkPtr> links;
  {
    const MutexLock lock(mutex_);
    links = Links();
    actors_.clear();
  }
  for (const ActorLinkPtr& link : links) link->Die(failure);
}

}  // namespace raylet::client
