#include "raylet/objects/directory.h"

#include <algorithm>
#include <utility>

namespace raylet {

std::vector<NodeId> ObjectDirectory::TakeAskers(std::unordered_map<ObjectId, Entry>::iterator entry) {
  const std::set<NodeId> askers = std::exchange(entry->second.askers, {});
  if (entry->second.holders.empty()) {
    const ObjectId object = entry->first;
    entries_.erase(entry);
    const auto owned = by_owner_.find(OwnerOf(object));
    owned->second.erase(object);
    if (owned->second.empty()) by_owner_.erase(owned);
  }
  return {askers.begin(), askers.end()};
}

std::vector<NodeId> ObjectDirectory::Added(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.try_emplace(object).first;
  by_owner_[OwnerOf(object)].insert(object);
  auto& holders = entry->second.holders;
  if (std::find(holders.begin(), holders.end(), node) == holders.end()) holders.push_back(node);
  return TakeAskers(entry);
}

std::vector<NodeId> ObjectDirectory::SealedHere(const ObjectId& object) { return TakeAskers(object); }

std::vector<NodeId> ObjectDirectory::TakeAskers(const ObjectId& object) {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? std::vector<NodeId>() : TakeAskers(entry);
}

std::vector<ObjectId> ObjectDirectory::ObjectsOf(ProcessId owner) const {
  const auto owned = by_owner_.find(owner);
  if (owned == by_owner_.end()) return {};
  return {owned->second.begin(), owned->second.end()};
}

void ObjectDirectory::Dropped(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return;
  std::erase(entry->second.holders, node);
  if (entry->second.holders.empty() && entry->second.askers.empty()) TakeAskers(entry);
}

NodeId ObjectDirectory::Holder(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() || entry->second.holders.empty() ? NodeId() : entry->second.holders.front();
}

std::vector<NodeId> ObjectDirectory::Holders(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? std::vector<NodeId>() : entry->second.holders;
}

bool ObjectDirectory::Wait(const ObjectId& object, const NodeId& asker) {
  const auto entry = entries_.try_emplace(object).first;
  by_owner_[OwnerOf(object)].insert(object);
  const bool first = entry->second.askers.empty();
  entry->second.askers.insert(asker);
  return first;
}

std::vector<NodeId> ObjectDirectory::Freed(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return {};
  std::vector<NodeId> holders = std::exchange(entry->second.holders, {});
  if (entry->second.askers.empty()) TakeAskers(entry);
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
    entry.askers.erase(node);
    if (had > 0 && entry.holders.empty()) lost.push_back(object);
    if (entry.holders.empty() && entry.askers.empty()) empty.push_back(object);
  }
  for (const ObjectId& object : empty) TakeAskers(entries_.find(object));
  return lost;
}

}  // namespace raylet
