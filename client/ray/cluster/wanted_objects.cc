#include "client/ray/cluster/wanted_objects.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "fbs/id_lists.h"

namespace raylet::client {
namespace {

constexpr Duration kAskAgainFirst = std::chrono::seconds(1);  // most objects come sooner
constexpr Duration kAskAgainMax = std::chrono::seconds(8);

}  // namespace

void WantedObjects::Want(std::span<const ObjectId> ids, bool in_wait) {
  if (!IsTold(in_wait)) return NameOwners(ids);
  if (ids.empty()) return;
  const MutexLock telling(tell_mutex_);
  {
    const MutexLock lock(mutex_);
    for (const ObjectId& id : ids) wanted_[id].count++;
  }
  Tell(ids, in_wait, /*no_longer=*/false);
}

void WantedObjects::NameOwners(std::span<const ObjectId> ids) {
  const MutexLock telling(tell_mutex_);
  std::vector<ObjectId> unnamed;
  for (const ObjectId& id : ids) {
    if (named_.Contains(OwnerOf(id))) continue;
    named_.Add(OwnerOf(id));
    unnamed.push_back(id);
  }
  Tell(unnamed, /*in_wait=*/false, /*no_longer=*/false);
}

void WantedObjects::WantNoLonger(std::span<const ObjectId> ids, bool in_wait) {
  if (!IsTold(in_wait) || !link_.Usable()) return;
  std::vector<ObjectId> unwanted;
  const MutexLock telling(tell_mutex_);
  {
    const MutexLock lock(mutex_);
    for (const ObjectId& id : ids) {
      const auto found = wanted_.find(id);
      if (found == wanted_.end() || --found->second.count > 0) continue;
      wanted_.erase(found);
      unwanted.push_back(id);
    }
  }
  Tell(unwanted, /*in_wait=*/false, /*no_longer=*/true);
}

FailurePtr WantedObjects::WhyLost(const ObjectId& id) const {
  const MutexLock lock(mutex_);
  const auto found = wanted_.find(id);
  return found == wanted_.end() ? nullptr : found->second.lost;
}

void WantedObjects::MarkLost(const ObjectId& id, FailurePtr why) {
  const MutexLock lock(mutex_);
  if (const auto found = wanted_.find(id); found != wanted_.end()) found->second.lost = std::move(why);
  MarkNews();
}

WantedObjects::Scope::Scope(WantedObjects& wanted, std::vector<ObjectId> ids, bool in_wait)
    : use_(wanted.link_.uses()),
      wanted_(wanted),
      ids_(std::move(ids)),
      in_wait_(in_wait),
      pause_(kAskAgainFirst),
      again_at_(std::chrono::steady_clock::now() + pause_) {
  wanted_.Want(ids_, in_wait_);
}

void WantedObjects::Scope::AskAgain(const std::function<bool(const ObjectId&)>& missing) {
  const TimePoint now = std::chrono::steady_clock::now();
  if (now < again_at_ || !wanted_.link_.clustered() || !wanted_.link_.Usable()) return;
  pause_ = std::min(pause_ * 2, kAskAgainMax);
  again_at_ = now + pause_;
  std::vector<ObjectId> still;
  std::copy_if(ids_.begin(), ids_.end(), std::back_inserter(still), missing);
  const MutexLock telling(wanted_.tell_mutex_);
  wanted_.Tell(still, in_wait_, /*no_longer=*/false);
}

void WantedObjects::Tell(std::span<const ObjectId> ids, bool in_wait, bool no_longer) {
  InPieces(ToWire(ids), [&](std::vector<wire::Id20> piece) {
    wire::WantNoticeT notice;
    notice.wait = in_wait;
    notice.no_longer = no_longer;
    notice.objects = std::move(piece);
    static_cast<void>(link_.Send(wire::RayletMessage::WantObjects, notice));  // waits end with the raylet
  });
}

}  // namespace raylet::client
