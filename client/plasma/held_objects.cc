#include "client/plasma/held_objects.h"

#include <algorithm>
#include <utility>

namespace raylet::client {

HeldObjects::Hold HeldObjects::Remove(Part& part, HoldsById::iterator it, Hold& hold) {
  Holds& holds = it->second;
  Hold removed = std::move(hold);
  if (&hold != &holds.first) {
    holds.later.erase(holds.later.begin() + (&hold - holds.later.data()));
  } else if (holds.later.empty()) {
    part.holds.erase(it);
  } else {
    holds.first = std::move(holds.later.front());
    holds.later.erase(holds.later.begin());
  }
  return removed;
}

void HeldObjects::Add(const ObjectId& id, PinnedObject view) {
  Part& part = PartOf(id);
  const MutexLock lock(part.mutex);
  const auto [it, fresh] = part.holds.try_emplace(id);
  Holds& holds = it->second;
  if (fresh) {
    holds.first.view = std::move(view);
    return;
  }
  Hold& newest = holds.later.empty() ? holds.first : holds.later.back();
  // A pinned object's memory is nobody else's: the same place means the same object.
  if (newest.view && newest.view.data().data() == view.data().data())
    ++newest.count;
  else
    holds.later.push_back({nullptr, std::move(view), 1});
}

void HeldObjects::AddCreation(const ObjectId& id, std::shared_ptr<void> creation) {
  Part& part = PartOf(id);
  const MutexLock lock(part.mutex);
  const auto [it, fresh] = part.holds.try_emplace(id);
  if (fresh)
    it->second.first.creation = std::move(creation);
  else
    it->second.later.push_back({std::move(creation), {}, 1});
}

bool HeldObjects::Release(const ObjectId& id) {
  Hold gone;  // ends without the lock
  Part& part = PartOf(id);
  const MutexLock lock(part.mutex);
  const auto it = part.holds.find(id);
  if (it == part.holds.end()) return false;
  if (--it->second.first.count == 0) gone = Remove(part, it, it->second.first);
  return true;
}

void HeldObjects::ReleaseCreation(const ObjectId& id, const void* creation) {
  Hold gone;  // ends without the lock
  Part& part = PartOf(id);
  const MutexLock lock(part.mutex);
  const auto it = part.holds.find(id);
  if (it == part.holds.end()) return;
  Holds& holds = it->second;
  if (holds.first.creation.get() == creation) {
    gone = Remove(part, it, holds.first);
    return;
  }
  const auto later = std::find_if(holds.later.begin(), holds.later.end(),
                                  [&](const Hold& hold) { return hold.creation.get() == creation; });
  if (later != holds.later.end()) gone = Remove(part, it, *later);
}

bool HeldObjects::HoldsCreation(const ObjectId& id, const void* creation) const {
  const Part& part = PartOf(id);
  const MutexLock lock(part.mutex);
  const auto it = part.holds.find(id);
  if (it == part.holds.end()) return false;
  const Holds& holds = it->second;
  return holds.first.creation.get() == creation ||
         std::any_of(holds.later.begin(), holds.later.end(),
                     [&](const Hold& hold) { return hold.creation.get() == creation; });
}

size_t HeldObjects::size() const {
  size_t ids = 0;
  for (const Part& part : parts_) {
    const MutexLock lock(part.mutex);
    ids += part.holds.size();
  }
  return ids;
}

}  // namespace raylet::client
