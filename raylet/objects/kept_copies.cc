#include "raylet/objects/kept_copies.h"

namespace raylet {

bool KeptCopies::Contains(const ObjectId& object) const {
  const auto kept = by_owner_.find(OwnerOf(object));
  return kept != by_owner_.end() && (kept->second.objects.contains(object) || kept->second.stay.contains(object));
}

void KeptCopies::Add(const ObjectId& object) {
  Kept& kept = by_owner_[OwnerOf(object)];
  if (!kept.stay.contains(object) && kept.objects.insert(object).second) ++count_;
}

void KeptCopies::Remove(const ObjectId& object) {
  const auto kept = by_owner_.find(OwnerOf(object));
  if (kept == by_owner_.end()) return;
  count_ -= kept->second.objects.erase(object) + kept->second.stay.erase(object);
  if (kept->second.objects.empty() && kept->second.stay.empty()) by_owner_.erase(kept);
}

void KeptCopies::StayWhenSettled(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    const auto kept = by_owner_.find(OwnerOf(object));
    if (kept == by_owner_.end()) continue;
    auto node = kept->second.objects.extract(object);
    if (node) kept->second.stay.insert(std::move(node));
  }
}

void KeptCopies::OwnerSettled(ProcessId owner) {
  const auto kept = by_owner_.find(owner);
  if (kept == by_owner_.end()) return;
  Drop(std::exchange(kept->second.objects, std::exchange(kept->second.stay, {})));
  if (kept->second.objects.empty()) by_owner_.erase(kept);
}

void KeptCopies::MachineLost(MachineNumber machine) {
  auto kept = by_owner_.lower_bound(AllProcessesOf(machine));
  while (kept != by_owner_.end() && MachineOf(kept->first) == machine) {
    Drop(std::move(kept->second.objects));
    Drop(std::move(kept->second.stay));
    kept = by_owner_.erase(kept);
  }
}

void KeptCopies::Drop(std::set<ObjectId> objects) {
  count_ -= objects.size();
  if (!objects.empty()) dropped_.push_back(std::move(objects));
}

std::vector<ObjectId> KeptCopies::TakeDropped(size_t most) {
  std::vector<ObjectId> taken;
  for (; most > 0 && !dropped_.empty(); --most) {
    auto& next = dropped_.back();
    const auto object = next.extract(next.begin());
    if (!Contains(object.value())) taken.push_back(object.value());
    if (next.empty()) dropped_.pop_back();
  }
  return taken;
}

}  // namespace raylet
