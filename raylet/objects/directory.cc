#include "raylet/objects/directory.h"

#include <algorithm>
#include <utility>

namespace raylet {

std::vector<NodeId> ObjectDirectory::TakeLocating(Entries::iterator entry) {
  const std::set<NodeId> locating = std::exchange(entry->second.locating, {});
  if (entry->second.holders.empty()) {
    const ObjectId object = entry->first;
    entries_.erase(entry);
    const auto owned = by_owner_.find(OwnerOf(object));
    owned->second.erase(object);
    if (owned->second.empty()) by_owner_.erase(owned);
  }
  return {locating.begin(), locating.end()};
}

std::vector<NodeId> ObjectDirectory::SealedElsewhere(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.try_emplace(object).first;
  by_owner_[OwnerOf(object)].insert(object);
  auto& holders = entry->second.holders;
  if (std::find(holders.begin(), holders.end(), node) == holders.end()) holders.push_back(node);
  return TakeLocating(entry);
}

std::vector<NodeId> ObjectDirectory::SealedHere(const ObjectId& object) { return TakeLocating(object); }

std::vector<NodeId> ObjectDirectory::TakeLocating(const ObjectId& object) {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? std::vector<NodeId>() : TakeLocating(entry);
}

bool ObjectDirectory::LocatedNoLonger(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return false;
  std::set<NodeId>& locating = entry->second.locating;
  if (locating.erase(node) == 0 || !locating.empty()) return false;
  TakeLocating(entry);
  return true;
}

bool ObjectDirectory::IsLocated(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry != entries_.end() && !entry->second.locating.empty();
}

std::vector<ObjectId> ObjectDirectory::LocatedOnlyBy(const NodeId& node) const {
  std::vector<ObjectId> objects;
  for (const auto& [object, entry] : entries_)
    if (entry.locating.size() == 1 && entry.locating.contains(node)) objects.push_back(object);
  return objects;
}

std::vector<ObjectId> ObjectDirectory::ObjectsOf(ProcessId owner, const ObjectId& after, size_t most) const {
  std::vector<ObjectId> objects;
  const auto owned = by_owner_.find(owner);
  if (owned == by_owner_.end()) return objects;
  for (auto at = owned->second.upper_bound(after); at != owned->second.end() && objects.size() < most; ++at)
    objects.push_back(*at);
  return objects;
}

void ObjectDirectory::Dropped(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return;
  std::erase(entry->second.holders, node);
  if (entry->second.holders.empty() && entry->second.locating.empty()) TakeLocating(entry);
}

NodeId ObjectDirectory::Holder(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() || entry->second.holders.empty() ? NodeId() : entry->second.holders.front();
}

std::vector<NodeId> ObjectDirectory::Holders(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? std::vector<NodeId>() : entry->second.holders;
}

bool ObjectDirectory::Locating(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.try_emplace(object).first;
  by_owner_[OwnerOf(object)].insert(object);
  const bool first = entry->second.locating.empty();
  entry->second.locating.insert(node);
  return first;
}

std::vector<NodeId> ObjectDirectory::Freed(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return {};
  std::vector<NodeId> holders = std::exchange(entry->second.holders, {});
  if (entry->second.locating.empty()) TakeLocating(entry);
  return holders;
}

std::vector<std::pair<ObjectId, NodeId>> ObjectDirectory::OwnerGone(ProcessId owner) {
  std::vector<std::pair<ObjectId, NodeId>> copies;
  const auto owned = by_owner_.find(owner);
  if (owned == by_owner_.end()) return copies;
  for (const ObjectId& object : owned->second) {
    const auto entry = entries_.find(object);
    for (const NodeId& node : entry->second.holders) copies.emplace_back(object, node);
    entries_.erase(entry);
  }
  by_owner_.erase(owned);
  return copies;
}

std::vector<ObjectId> ObjectDirectory::NodeGone(const NodeId& node) {
  std::vector<ObjectId> lost;
  std::vector<ObjectId> empty;
  for (auto& [object, entry] : entries_) {
    const size_t had = entry.holders.size();
    std::erase(entry.holders, node);
    entry.locating.erase(node);
    if (had > 0 && entry.holders.empty()) lost.push_back(object);
    if (entry.holders.empty() && entry.locating.empty()) empty.push_back(object);
  }
  for (const ObjectId& object : empty) TakeLocating(entries_.find(object));
  return lost;
}

}  // namespace raylet
