#include "client/ray/cluster/wait_set.h"

#include <algorithm>

namespace raylet::client {

WaitSet::WaitSet(const ObjectParts& parts, WantedObjects& wanted, std::span<const ray::internal::ObjectHandle> objects,
                 size_t count)
    : parts_(parts), wanted_(wanted), objects_(objects), count_(count), ready_(objects.size(), false) {
  for (size_t at = 0; at < objects.size() && !Enough(); ++at) {
    const ClusterObject& object = AsObject(parts_, objects[at]);
    if (object.ready()) {
      Found(at);
    } else if (object.owned()) {
      if (own_.empty()) own_.reserve(objects.size() - at);
      own_.push_back({&object, at});
    } else {
      borrowed_.emplace_back(object.id(), at);
    }
  }
  LookAtBorrowed();
  if (Enough() || borrowed_.empty()) return;
  std::sort(borrowed_.begin(), borrowed_.end());
  std::vector<ObjectId> missing;
  missing.reserve(borrowed_.size());
  for (const auto& [id, at] : borrowed_) missing.push_back(id);
  wants_.emplace(wanted_, std::move(missing), /*in_wait=*/true);
  LookAtBorrowed();  // whose seal was before the raylet was asked, and whose owner is known to have ended
}

bool WaitSet::LookForEnough() {
  const size_t left = own_.size() - own_begin_ + borrowed_.size();  // or fewer: borrowed ones may be found already
  return Look(left - (count_ - found_)) == count_;
}

size_t WaitSet::Look(size_t pending_max) {
  LookAtOwn(pending_max);
  if (Enough() || borrowed_.empty()) return found_;
  const WantedObjects::Scope::News news = wants_->TakeNews();
  for (const ObjectId& id : news.objects) LookAt(id);
  const auto missing = [this](const ObjectId& id) {
    return !parts_.store.Contains(id).value_or(true) && wanted_.WhyLost(id) == nullptr;
  };
  if (wants_->AskAgain(missing) || news.of_all) LookAtBorrowed();
  return found_;
}

// The pending ones that it has seen go before those that it has not looked at.
void WaitSet::LookAtOwn(size_t pending_max) {
  const auto begin = own_.begin() + static_cast<ptrdiff_t>(own_begin_);
  auto pending = begin, next = begin;
  for (; next != own_.end() && !Enough() && static_cast<size_t>(pending - begin) <= pending_max; ++next) {
    if (next->object->ready())
      Found(next->at);
    else
      *pending++ = *next;
  }
  if (pending == next) return;  // it has found none
  own_begin_ += static_cast<size_t>(next - pending);
  std::move_backward(begin, pending, next);
}

void WaitSet::LookAtBorrowed() {
  std::erase_if(borrowed_, [this](const auto& each) { return FoundBorrowed(each.second); });
}

void WaitSet::LookAt(const ObjectId& id) {
  for (auto at = std::lower_bound(borrowed_.begin(), borrowed_.end(), std::pair(id, size_t{0}));
       at != borrowed_.end() && at->first == id; ++at)
    static_cast<void>(FoundBorrowed(at->second));
}

bool WaitSet::FoundBorrowed(size_t at) {
  if (ready_[at]) return true;
  if (Enough()) return false;
  const auto& object = static_cast<const ClusterObject&>(*objects_[at]);
  if (!object.ready() && !parts_.store.Contains(object.id()).value_or(false) && !parts_.store.IsLost(object.id()))
    return false;
  Found(at);
  return true;
}

void WaitSet::Found(size_t at) {
  ready_[at] = true;
  ++found_;
}

}  // namespace raylet::client
