#include "raylet/objects/locator.h"

#include <functional>

namespace raylet {

void ObjectLocator::OnLocate(const NodeId& from, const wire::LocateRequestT& request) {
  for (const wire::CopyAt& missing : request.without) {
    const auto object = FromWire<ObjectId>(missing.object());
    const auto node = FromWire<NodeId>(missing.node());
    directory_.DoubtLast(object, node);
    directory_.Dropped(object, node);
  }
  for (const wire::Id20& object : request.objects) Answer(from, FromWire<ObjectId>(object));
}

void ObjectLocator::Answer(const NodeId& node, const ObjectId& object) {
  wire::LocatedNoticeT& located = messages_.located[node];
  const bool owner_lives = machine_.OwnerLives(OwnerOf(object));
  if (!owner_lives && !machine_.IsKept(object)) return located.lost.push_back(ToWire(object));
  const auto here = machine_.SealedBytes(object);
  if (const NodeId lost_with = directory_.LostWith(object); !lost_with.IsNil() && !here) {
    located.lost_with.emplace_back(ToWire(object), ToWire(lost_with), 0);
    return;
  }
  directory_.Dropped(object, node);  // the node has no copy, whatever it said before
  const size_t before = located.copies.size();
  if (here) located.copies.emplace_back(ToWire(object), ToWire(own_), *here);
  for (const NodeId& holder : directory_.Holders(object))
    located.copies.emplace_back(ToWire(object), ToWire(holder), directory_.Bytes(object));
  if (located.copies.size() > before) return;
  // Nobody will make the object any more.
  if (!owner_lives || machine_.IsLost(object)) return located.lost.push_back(ToWire(object));
  located.none_yet.push_back(ToWire(object));
  if (directory_.Locating(object, node)) messages_.watch.push_back(object);
}

void ObjectLocator::LocatedNoLonger(const NodeId& node, const ObjectId& object) {
  if (directory_.LocatedNoLonger(object, node)) messages_.unwatch.push_back(object);
}

std::vector<NodeId> ObjectLocator::TakeLocating(const ObjectId& object) {
  if (directory_.IsLocated(object)) messages_.unwatch.push_back(object);
  return directory_.TakeLocating(object);
}

void ObjectLocator::OnCopiesSealed(const NodeId& node, const wire::CopiesSealedNoticeT& notice) {
  for (const wire::SizedObject& added : notice.objects) {
    const auto object = FromWire<ObjectId>(added.object());
    if (IsFreed(object)) {  // while the copy was made
      messages_.free[node].objects.push_back(added.object());
      continue;
    }
    SealedElsewhere(node, object, added.bytes());
  }
}

// A copy is made of another one. So the object is freed if no other copy is known or was lost. The store may still show
// what was freed a moment ago.
bool ObjectLocator::IsFreed(const ObjectId& object) const {
  if (!machine_.OwnerLives(OwnerOf(object))) return !machine_.IsKept(object);
  if (freed_.Has(object)) return true;
  return !directory_.Has(object) && !machine_.SealedBytes(object) && !machine_.IsLost(object);
}

void ObjectLocator::SealedElsewhere(const NodeId& node, const ObjectId& object, uint64_t bytes) {
  if (directory_.IsLocated(object)) messages_.unwatch.push_back(object);
  for (const NodeId& locating : directory_.SealedElsewhere(object, node, bytes))
    if (locating != node) messages_.located[locating].copies.emplace_back(ToWire(object), ToWire(node), bytes);
}

ObjectLocator::Messages ObjectLocator::TakeMessages() {
  // Machines may begin and end to locate an object several times in one turn: the last state counts.
  const auto located = [this](const ObjectId& object) { return directory_.IsLocated(object); };
  std::erase_if(messages_.watch, std::not_fn(located));
  std::erase_if(messages_.unwatch, located);
  return std::exchange(messages_, {});
}

void ObjectLocator::OnCopiesDropped(const NodeId& node, const wire::CopiesDroppedNoticeT& notice) {
  for (const wire::Id20& object : notice.objects) directory_.Dropped(FromWire<ObjectId>(object), node);
}

void ObjectLocator::SealedHere(const ObjectId& object) {
  if (machine_.IsLost(object)) {
    for (const NodeId& locating : directory_.SealedHere(object))
      messages_.located[locating].lost.push_back(ToWire(object));
    return;
  }
  const uint64_t bytes = machine_.SealedBytes(object).value_or(0);  // 0 too where it was evicted at once
  for (const NodeId& locating : directory_.SealedHere(object))
    messages_.located[locating].copies.emplace_back(ToWire(object), ToWire(own_), bytes);
}

void ObjectLocator::Freed(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    freed_.Add(object);
    for (const NodeId& locating : TakeLocating(object)) messages_.located[locating].lost.push_back(ToWire(object));
    for (const NodeId& holder : directory_.Freed(object)) messages_.free[holder].objects.push_back(ToWire(object));
  }
}

std::optional<ObjectId> ObjectLocator::OwnerGone(ProcessId owner, const ObjectId& after, size_t most) {
  const std::vector<ObjectId> objects = directory_.ObjectsOf(owner, after, most);
  for (const ObjectId& object : objects) {
    if (machine_.SealedBytes(object) || !directory_.Holders(object).empty()) continue;
    Freed({&object, 1});
  }
  if (objects.size() < most) return {};
  return objects.back();
}

void ObjectLocator::MachineLost(const NodeId& node) {
  messages_.located.erase(node);
  messages_.free.erase(node);
  directory_.MachineLost(node);
}

std::vector<std::pair<ObjectId, NodeId>> ObjectLocator::LoseSome(size_t most) {
  auto [lost, unlocated] = directory_.ForgetLost(most);
  messages_.unwatch.insert(messages_.unwatch.end(), unlocated.begin(), unlocated.end());
  std::erase_if(lost, [this](const auto& each) { return machine_.SealedBytes(each.first).has_value(); });
  for (const auto& [object, node] : lost) {
    for (const NodeId& locating : TakeLocating(object))  // since they doubt the last copy
      messages_.located[locating].lost_with.emplace_back(ToWire(object), ToWire(node), 0);
    directory_.Lost(object, node);
  }
  return std::move(lost);
}

}  // namespace raylet
