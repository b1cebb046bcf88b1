#include "raylet/objects/locator.h"

#include <functional>

namespace raylet {

void ObjectLocator::OnLocate(const NodeId& from, const wire::LocateRequestT& request) {
  for (const wire::CopyAt& missing : request.without) {
    const auto object = FromWire<ObjectId>(missing.object());
    const auto node = FromWire<NodeId>(missing.node());
    if (directory_.Holders(object) == std::vector<NodeId>{node}) doubted_[object] = node;
    directory_.Dropped(object, node);
  }
  for (const wire::Id20& object : request.objects) Answer(from, FromWire<ObjectId>(object));
}

void ObjectLocator::Answer(const NodeId& node, const ObjectId& object) {
  wire::LocatedNoticeT& located = messages_.located[node];
  const bool owner_lives = machine_.OwnerLives(OwnerOf(object));
  if (!owner_lives && !machine_.IsKept(object)) return located.lost.push_back(ToWire(object));
  if (const auto lost = lost_.find(object); lost != lost_.end()) {
    located.lost_with.emplace_back(ToWire(object), ToWire(lost->second), 0);
    return;
  }
  directory_.Dropped(object, node);  // the node has no copy, whatever it said before
  const size_t before = located.copies.size();
  if (const auto bytes = machine_.SealedBytes(object))
    located.copies.emplace_back(ToWire(object), ToWire(own_), *bytes);
  for (const NodeId& holder : directory_.Holders(object))
    located.copies.emplace_back(ToWire(object), ToWire(holder), BytesElsewhere(object));
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
  std::vector<NodeId> locating = directory_.TakeLocating(object);
  if (!locating.empty()) messages_.unwatch.push_back(object);
  return locating;
}

void ObjectLocator::OnCopiesSealed(const NodeId& node, const wire::CopiesSealedNoticeT& notice) {
  for (const wire::SizedObject& added : notice.objects) {
    const auto object = FromWire<ObjectId>(added.object());
    // The object may have been freed while the copy was made.
    if (!machine_.OwnerLives(OwnerOf(object)) && !machine_.IsKept(object)) {
      messages_.free[node].objects.push_back(added.object());
      continue;
    }
    SealedElsewhere(node, object, added.bytes());
  }
}

void ObjectLocator::SealedElsewhere(const NodeId& node, const ObjectId& object, uint64_t bytes) {
  lost_.erase(object);
  doubted_.erase(object);
  if (bytes != 0) bytes_[object] = bytes;
  const std::vector<NodeId> all_locating = directory_.SealedElsewhere(object, node);
  if (!all_locating.empty()) messages_.unwatch.push_back(object);
  for (const NodeId& locating : all_locating)
    if (locating != node) messages_.located[locating].copies.emplace_back(ToWire(object), ToWire(node), bytes);
}

ObjectLocator::Messages ObjectLocator::TakeMessages() {
  // Machines may begin and end to locate an object several times in one turn: the last state counts.
  const auto located = [this](const ObjectId& object) { return directory_.IsLocated(object); };
  std::erase_if(messages_.watch, std::not_fn(located));
  std::erase_if(messages_.unwatch, located);
  return std::exchange(messages_, {});
}

uint64_t ObjectLocator::BytesElsewhere(const ObjectId& object) const {
  const auto bytes = bytes_.find(object);
  return bytes == bytes_.end() ? 0 : bytes->second;
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
    lost_.erase(object);
    doubted_.erase(object);
    bytes_.erase(object);
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
  if (after.IsNil()) {
    std::erase_if(lost_, [owner](const auto& each) { return OwnerOf(each.first) == owner; });
    std::erase_if(doubted_, [owner](const auto& each) { return OwnerOf(each.first) == owner; });
  }
  if (objects.size() < most) return {};
  return objects.back();
}

std::vector<ObjectId> ObjectLocator::NodeGone(const NodeId& node) {
  messages_.located.erase(node);
  messages_.free.erase(node);
  for (const ObjectId& object : directory_.LocatedOnlyBy(node)) LocatedNoLonger(node, object);
  std::vector<ObjectId> gone = directory_.NodeGone(node);
  std::erase_if(gone, [this](const ObjectId& object) {
    bytes_.erase(object);
    return machine_.SealedBytes(object).has_value();
  });
  LoseDoubted(node, gone);
  for (const ObjectId& object : gone) lost_.insert_or_assign(object, node);
  return gone;
}

void ObjectLocator::LoseDoubted(const NodeId& node, std::vector<ObjectId>& gone) {
  std::erase_if(doubted_, [&](const auto& each) {
    const auto& [object, holder] = each;
    if (holder != node) return false;
    if (machine_.SealedBytes(object).has_value()) return true;
    gone.push_back(object);
    for (const NodeId& locating : TakeLocating(object))
      messages_.located[locating].lost_with.emplace_back(ToWire(object), ToWire(node), 0);
    return true;
  });
}

}  // namespace raylet
