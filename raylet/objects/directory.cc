#include "raylet/objects/directory.h"

#include <algorithm>
#include <utility>

namespace raylet {

ObjectDirectory::Life ObjectDirectory::LifeOf(const NodeId& node) {
  const auto [life, added] = lives_.try_emplace(node, last_life_ + 1);
  if (added) places_[++last_life_] = {node, false};
  return life->second;
}

ObjectDirectory::Life ObjectDirectory::Find(const NodeId& node) const {
  const auto life = lives_.find(node);
  return life == lives_.end() ? kNoLife : life->second;
}

template <class Lives>
std::vector<NodeId> ObjectDirectory::NodesOf(const Lives& lives) const {
  std::vector<NodeId> nodes;
  for (const Life life : lives)
    if (!IsOver(life)) nodes.push_back(places_.at(life).node);
  return nodes;
}

// ---- entries

ObjectDirectory::Entries::iterator ObjectDirectory::Add(const ObjectId& object) {
  const auto [entry, added] = entries_.try_emplace(object);
  if (added) by_owner_[OwnerOf(object)].insert(object);
  return entry;
}

void ObjectDirectory::EraseUnlessNeeded(Entries::iterator entry) {
  if (entry->second.needed()) return;
  const ObjectId object = entry->first;
  entries_.erase(entry);
  const auto owned = by_owner_.find(OwnerOf(object));
  owned->second.erase(object);
  if (owned->second.empty()) by_owner_.erase(owned);
}

bool ObjectDirectory::HasCopy(const Entry& entry) const {
  return std::any_of(entry.holders.begin(), entry.holders.end(), [this](Life life) { return !IsOver(life); });
}

NodeId ObjectDirectory::LostWith(const Entry& entry) const {
  if (HasCopy(entry)) return {};
  if (!entry.holders.empty()) return places_.at(entry.holders.back()).node;
  return IsOver(entry.doubted) ? places_.at(entry.doubted).node : entry.lost_with;
}

void ObjectDirectory::EraseOver(Entry& entry) const {
  const auto over = [this](Life life) { return IsOver(life); };
  std::erase_if(entry.holders, over);
  std::erase_if(entry.locating, over);
  if (IsOver(entry.doubted)) entry.doubted = kNoLife;
}

void ObjectDirectory::SetLostWith(Entry& entry, const NodeId& node) {
  lost_ = lost_ - (entry.lost_with.IsNil() ? 0 : 1) + (node.IsNil() ? 0 : 1);
  entry.lost_with = node;
}

// ---- copies

std::vector<NodeId> ObjectDirectory::SealedElsewhere(const ObjectId& object, const NodeId& node, uint64_t bytes) {
  const auto entry = Add(object);
  Entry& state = entry->second;
  const Life life = LifeOf(node);
  if (std::find(state.holders.begin(), state.holders.end(), life) == state.holders.end()) state.holders.push_back(life);
  if (bytes != 0) state.bytes = bytes;
  state.doubted = kNoLife;
  SetLostWith(state, {});
  return TakeLocating(entry);
}

std::vector<NodeId> ObjectDirectory::SealedHere(const ObjectId& object) { return TakeLocating(object); }

void ObjectDirectory::Dropped(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return;
  if (HasCopy(entry->second)) EraseOver(entry->second);  // those copies were not the last
  std::erase(entry->second.holders, Find(node));
  EraseUnlessNeeded(entry);
}

void ObjectDirectory::DoubtLast(const ObjectId& object, const NodeId& node) {
  if (Holders(object) == std::vector<NodeId>{node}) entries_.at(object).doubted = Find(node);
}

void ObjectDirectory::Lost(const ObjectId& object, const NodeId& node) { SetLostWith(Add(object)->second, node); }

NodeId ObjectDirectory::Holder(const ObjectId& object) const {
  const std::vector<NodeId> holders = Holders(object);
  return holders.empty() ? NodeId() : holders.front();
}

std::vector<NodeId> ObjectDirectory::Holders(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? std::vector<NodeId>() : NodesOf(entry->second.holders);
}

uint64_t ObjectDirectory::Bytes(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() || !HasCopy(entry->second) ? 0 : entry->second.bytes;
}

NodeId ObjectDirectory::LostWith(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? NodeId() : LostWith(entry->second);
}

// ---- machines that locate

bool ObjectDirectory::Locating(const ObjectId& object, const NodeId& node) {
  const auto entry = Add(object);
  const bool first = entry->second.locating.empty();
  entry->second.locating.insert(LifeOf(node));
  return first;
}

std::vector<NodeId> ObjectDirectory::TakeLocating(Entries::iterator entry) {
  const std::vector<NodeId> locating = NodesOf(std::exchange(entry->second.locating, {}));
  EraseUnlessNeeded(entry);
  return locating;
}

std::vector<NodeId> ObjectDirectory::TakeLocating(const ObjectId& object) {
  const auto entry = entries_.find(object);
  return entry == entries_.end() ? std::vector<NodeId>() : TakeLocating(entry);
}

bool ObjectDirectory::LocatedNoLonger(const ObjectId& object, const NodeId& node) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return false;
  std::set<Life>& locating = entry->second.locating;
  if (locating.erase(Find(node)) == 0 || !locating.empty()) return false;
  EraseUnlessNeeded(entry);
  return true;
}

bool ObjectDirectory::IsLocated(const ObjectId& object) const {
  const auto entry = entries_.find(object);
  return entry != entries_.end() && !entry->second.locating.empty();
}

// ---- owners

std::vector<ObjectId> ObjectDirectory::ObjectsOf(ProcessId owner, const ObjectId& after, size_t most) const {
  std::vector<ObjectId> objects;
  const auto owned = by_owner_.find(owner);
  if (owned == by_owner_.end()) return objects;
  for (auto at = owned->second.upper_bound(after); at != owned->second.end() && objects.size() < most; ++at)
    objects.push_back(*at);
  return objects;
}

std::vector<NodeId> ObjectDirectory::Freed(const ObjectId& object) {
  const auto entry = entries_.find(object);
  if (entry == entries_.end()) return {};
  const std::vector<NodeId> holders = NodesOf(entry->second.holders);
  entry->second.holders.clear();
  entry->second.bytes = 0;
  entry->second.doubted = kNoLife;
  SetLostWith(entry->second, {});
  EraseUnlessNeeded(entry);
  return holders;
}

// ---- lost machines

void ObjectDirectory::MachineLost(const NodeId& node) {
  const auto life = lives_.find(node);
  if (life == lives_.end()) return;  // no entry names it
  places_.at(life->second).over = true;
  lives_.erase(life);
  parts_left_ = Entries::kParts;
}

ObjectDirectory::Forgotten ObjectDirectory::ForgetLost(size_t most) {
  Forgotten forgotten;
  for (size_t seen = 0; parts_left_ > 0 && seen < most; --parts_left_) {
    std::vector<ObjectId> changed;
    entries_.ForEachInPart(next_part_, [&](Entries::value_type& element) {
      auto& [object, entry] = element;
      const NodeId lost_with = LostWith(entry);
      if (!lost_with.IsNil() && entry.lost_with.IsNil()) forgotten.lost.emplace_back(object, lost_with);
      const bool located = !entry.locating.empty();
      EraseOver(entry);
      if (located && entry.locating.empty()) forgotten.unlocated.push_back(object);
      if (!entry.needed()) changed.push_back(object);
      ++seen;
    });
    for (const ObjectId& object : changed) EraseUnlessNeeded(entries_.find(object));
    next_part_ = (next_part_ + 1) % Entries::kParts;
  }
  if (parts_left_ == 0) std::erase_if(places_, [](const auto& each) { return each.second.over; });
  return forgotten;
}

}  // namespace raylet
