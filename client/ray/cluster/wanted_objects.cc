#include "client/ray/cluster/wanted_objects.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "client/ray/cluster/borrowed_lend.h"
#include "fbs/id_lists.h"

namespace raylet::client {
namespace {

constexpr Duration kAskAgainFirst = std::chrono::seconds(1);  // most objects come sooner
constexpr Duration kAskAgainMax = std::chrono::seconds(8);
constexpr size_t kObjectsPerNotice = 2000;  // the raylet takes a notice as a whole

}  // namespace

void WantedObjects::Want(Scope& scope) {
  if (scope.ids_.empty()) return;
  const MutexLock telling(tell_mutex_);
  {
    const MutexLock lock(mutex_);
    if (scope.in_wait_) waits_.insert(&scope);
    for (const ObjectId& id : scope.ids_) {
      Wanted& wanted = wanted_[id];
      wanted.count++;
      if (scope.in_wait_) wanted.waits.push_back(&scope);
    }
  }
  if (IsTold(scope.in_wait_))
    Tell(scope.ids_, scope.in_wait_, /*no_longer=*/false);
  else
    NameOwners(scope.ids_);
}

void WantedObjects::NameOwners(std::span<const ObjectId> ids) {
  std::vector<ObjectId> unnamed;
  for (const ObjectId& id : ids) {
    if (named_.Contains(OwnerOf(id))) continue;
    named_.Add(OwnerOf(id));
    unnamed.push_back(id);
  }
  Tell(unnamed, /*in_wait=*/false, /*no_longer=*/false);
}

void WantedObjects::WantNoLonger(Scope& scope) {
  std::vector<ObjectId> unwanted;
  const MutexLock telling(tell_mutex_);
  {
    const MutexLock lock(mutex_);
    waits_.erase(&scope);
    for (const ObjectId& id : scope.ids_) {
      const auto found = wanted_.find(id);
      if (scope.in_wait_) std::erase(found->second.waits, &scope);
      if (--found->second.count > 0) continue;
      wanted_.erase(found);
      unwanted.push_back(id);
    }
  }
  if (IsTold(scope.in_wait_) && link_.Usable()) Tell(unwanted, /*in_wait=*/false, /*no_longer=*/true);
}

FailurePtr WantedObjects::WhyLost(const ObjectId& id) const {
  const MutexLock lock(mutex_);
  const auto found = wanted_.find(id);
  return found == wanted_.end() ? nullptr : found->second.lost;
}

// ---- news

void WantedObjects::AddNews(const Wanted& wanted, const ObjectId& id) {
  for (Scope* const scope : wanted.waits) {
    scope->news_.objects.push_back(id);
    scope->has_news_.store(true, std::memory_order_release);  // TakeNews sees the news
  }
}

void WantedObjects::MarkSealed(std::span<const ObjectId> ids) {
  const MutexLock lock(mutex_);
  for (const ObjectId& id : ids)
    if (const auto found = wanted_.find(id); found != wanted_.end()) AddNews(found->second, id);
}

void WantedObjects::MarkLost(const ObjectId& id, FailurePtr why) {
  const MutexLock lock(mutex_);
  const auto found = wanted_.find(id);
  if (found == wanted_.end()) return;
  found->second.lost = std::move(why);
  AddNews(found->second, id);
}

void WantedObjects::MarkNewsOfAll() {
  const MutexLock lock(mutex_);
  for (Scope* const scope : waits_) {
    scope->news_.of_all = true;
    scope->has_news_.store(true, std::memory_order_release);  // TakeNews sees the news
  }
}

WantedObjects::Scope::News WantedObjects::Scope::TakeNews() {
  if (!has_news_.load(std::memory_order_acquire)) return {};  // pairs with the stores of news
  const MutexLock lock(wanted_.mutex_);
  has_news_.store(false, std::memory_order_relaxed);
  return std::exchange(news_, {});
}

// ---- scopes

WantedObjects::Scope::Scope(WantedObjects& wanted, std::vector<ObjectId> ids, bool in_wait)
    : use_(wanted.link_.uses()),
      wanted_(wanted),
      ids_(std::move(ids)),
      in_wait_(in_wait),
      pause_(kAskAgainFirst),
      again_at_(std::chrono::steady_clock::now() + pause_) {
  wanted_.Want(*this);
}

bool WantedObjects::Scope::AskAgain(const std::function<bool(const ObjectId&)>& missing) {
  const TimePoint now = std::chrono::steady_clock::now();
  if (now < again_at_ || !wanted_.link_.Usable()) return false;
  pause_ = std::min(pause_ * 2, kAskAgainMax);
  again_at_ = now + pause_;
  std::vector<ObjectId> still;
  std::copy_if(ids_.begin(), ids_.end(), std::back_inserter(still), missing);
  if (claims_ == nullptr) Claim(still);
  if (!wanted_.link_.clustered()) return true;
  const MutexLock telling(wanted_.tell_mutex_);
  wanted_.Tell(still, in_wait_, /*no_longer=*/false);
  return true;
}

void WantedObjects::Scope::Claim(std::vector<ObjectId> objects) {
  std::erase_if(objects, [this](const ObjectId& id) { return OwnerOf(id) == wanted_.link_.process(); });
  if (!objects.empty()) claims_ = ClaimUnlent(wanted_.link_, wanted_.ownership_, wanted_.borrowings_, objects);
}

void WantedObjects::Tell(std::span<const ObjectId> ids, bool in_wait, bool no_longer) {
  for (; !ids.empty(); ids = ids.subspan(std::min(ids.size(), kObjectsPerNotice))) {
    wire::WantNoticeT notice;
    notice.wait = in_wait;
    notice.no_longer = no_longer;
    notice.objects = ToWire(ids.first(std::min(ids.size(), kObjectsPerNotice)));
    link_.Post(wire::RayletMessage::WantObjects, notice);  // waits end with the raylet
  }
}

}  // namespace raylet::client
