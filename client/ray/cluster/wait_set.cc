#include "client/ray/cluster/wait_set.h"

#include <algorithm>

namespace raylet::client {

WaitSet::WaitSet(const ObjectParts& parts, WantedObjects& wanted, std::span<const ray::internal::ObjectHandle> objects)
    : parts_(parts), wanted_(wanted), ready_(objects.size(), false) {
  objects_.reserve(objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    const ClusterObject& object = AsObject(parts_, objects[i]);
    objects_.push_back(&object);
    if (object.owned())
      own_.push_back(i);
    else if (!Found(i))
      borrowed_.emplace_back(object.id(), i);
  }
  if (borrowed_.empty()) return;
  std::sort(borrowed_.begin(), borrowed_.end());
  std::vector<ObjectId> missing;
  missing.reserve(borrowed_.size());
  for (const auto& [id, at] : borrowed_) missing.push_back(id);
  wants_.emplace(wanted_, std::move(missing), /*in_wait=*/true);
  LookAtBorrowed();  // whose seal was before the raylet was asked, and whose owner is known to have ended
}

size_t WaitSet::Look() {
  std::erase_if(own_, [this](size_t object) { return Found(object); });
  if (borrowed_.empty()) return found_;
  const WantedObjects::Scope::News news = wants_->TakeNews();
  for (const ObjectId& id : news.objects) LookAt(id);
  const auto missing = [this](const ObjectId& id) {
    return !parts_.store.Contains(id).value_or(true) && wanted_.WhyLost(id) == nullptr;
  };
  if (wants_->AskAgain(missing) || news.of_all) LookAtBorrowed();
  return found_;
}

void WaitSet::LookAtBorrowed() {
  std::erase_if(borrowed_, [this](const auto& each) { return Found(each.second); });
}

void WaitSet::LookAt(const ObjectId& id) {
  for (auto at = std::lower_bound(borrowed_.begin(), borrowed_.end(), std::pair(id, size_t{0}));
       at != borrowed_.end() && at->first == id; ++at)
    static_cast<void>(Found(at->second));
}

bool WaitSet::Found(size_t object) {
  if (ready_[object]) return true;
  if (!IsReady(*objects_[object])) return false;
  ready_[object] = true;
  ++found_;
  return true;
}

bool WaitSet::IsReady(const ClusterObject& object) const {
  if (object.ready() || object.owned()) return object.ready();
  return parts_.store.Contains(object.id()).value_or(false) || parts_.store.IsLost(object.id());
}

}  // namespace raylet::client
