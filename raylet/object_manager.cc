#include "raylet/object_manager.h"

#include <algorithm>

#include "base/strings.h"

namespace raylet {
namespace {

std::vector<ObjectId> IdsOf(const std::vector<wire::Id20>& ids) {
  std::vector<ObjectId> objects;
  objects.reserve(ids.size());
  for (const auto& id : ids) objects.push_back(FromWire<ObjectId>(id));
  return objects;
}

wire::CopyAt Copy(const ObjectId& object, const NodeId& node, uint64_t bytes) {
  return wire::CopyAt(ToWire(object), ToWire(node), bytes);
}

}  // namespace

ObjectManager::ObjectManager(Loop& loop, const Clock& clock, uint32_t process_base, const ClusterView& view,
                             StoreLink& store, std::shared_ptr<client::StoreClient> client, Events& events)
    : process_base_(process_base),
      view_(view),
      store_(store),
      events_(events),
      transfer_(loop, clock, view.own(), std::move(client), *this) {}

ObjectManager::~ObjectManager() = default;

size_t ObjectManager::kept() const {
  size_t count = 0;
  for (const auto& [owner, objects] : kept_) count += objects.size();
  return count;
}

// ---- this machine's processes

void ObjectManager::Want(const ObjectId& object, PullAsker asker, PullPriority priority) {
  store_.Watch(std::span(&object, 1));  // it may be made here
  if (IsHere(object)) return;
  if (const auto asked = transfer_.Ask(object, asker, priority, Deadline::Never()); !asked)
    events_.OnWillNotCome(asker, object, asked.error());
}

void ObjectManager::WantNoLonger(const ObjectId& object, PullAsker asker) { transfer_.Cancel(object, asker); }

void ObjectManager::OnSealed(const ObjectId& object) {
  transfer_.SealedHere(object);
  TellFirstCopy(object, directory_.SealedHere(object));
}

void ObjectManager::MadeElsewhere(const ObjectId& object, const NodeId& node) {
  TellFirstCopy(object, directory_.Added(object, node));
}

void ObjectManager::KeptFor(ProcessId owner, const ObjectId& object) { kept_[owner].insert(object); }

void ObjectManager::Freed(const ObjectId& object) {
  lost_.erase(object);
  FreeElsewhere(object, directory_.Freed(object));
}

void ObjectManager::ProcessGone(ProcessId process) {
  transfer_.AskerGone(process);
  transfer_.OwnerGone(process, {ErrorCode::kNotFound, "the process that owned it has ended"});
  if (IsOurs(process)) {
    std::map<NodeId, wire::FreeCopiesNoticeT> notices;
    for (const auto& [object, node] : directory_.OwnerGone(process)) {
      bytes_elsewhere_.erase(object);
      notices[node].objects.push_back(ToWire(object));
    }
    for (const auto& [node, notice] : notices) events_.TellPeer(node, wire::ObjectMessage::FreeCopies, Encode(notice));
    std::erase_if(lost_, [process](const ObjectId& object) { return OwnerOf(object) == process; });
  } else {
    LoseKept(process);
  }
}

void ObjectManager::LoseKept(ProcessId owner) {
  const auto kept = kept_.find(owner);
  if (kept == kept_.end()) return;
  store_.Delete(std::vector<ObjectId>(kept->second.begin(), kept->second.end()));
  kept_.erase(kept);
}

// ---- where our processes' objects are

ObjectManager::Copies ObjectManager::CopiesOf(const ObjectId& object) const {
  Copies copies;
  if (const auto bytes = store_.BytesOf(object)) {
    copies.holders.push_back(view_.own());
    copies.bytes = *bytes;
    return copies;
  }
  copies.holders = directory_.Holders(object);
  if (const auto bytes = bytes_elsewhere_.find(object); bytes != bytes_elsewhere_.end()) copies.bytes = bytes->second;
  copies.lost = copies.holders.empty() && (lost_.contains(object) || !events_.IsAlive(OwnerOf(object)));
  return copies;
}

// An answer to ourselves.
void ObjectManager::FoundHere(const ObjectId& object, const Copies& copies) {
  if (IsHere(object)) return transfer_.SealedHere(object);  // whoever waits for it has seen it
  wire::CopiesFoundT found;
  for (const NodeId& holder : copies.holders) found.copies.push_back(Copy(object, holder, copies.bytes));
  if (copies.lost)
    found.lost.push_back(ToWire(object));
  else if (copies.holders.empty())
    found.none_yet.push_back(ToWire(object));
  transfer_.Found(found);
}

void ObjectManager::WaitForFirstCopy(const ObjectId& object, const NodeId& asker) {
  if (directory_.Wait(object, asker)) store_.Watch(std::span(&object, 1));
}

void ObjectManager::TellFirstCopy(const ObjectId& object, const std::vector<NodeId>& askers) {
  if (askers.empty()) return;
  const Copies copies = CopiesOf(object);
  wire::CopiesFoundT found;
  for (const NodeId& holder : copies.holders) found.copies.push_back(Copy(object, holder, copies.bytes));
  for (const NodeId& asker : askers) {
    if (asker == view_.own())
      FoundHere(object, copies);
    else
      events_.TellPeer(asker, wire::ObjectMessage::CopiesFound, Encode(found));
  }
}

void ObjectManager::FreeElsewhere(const ObjectId& object, const std::vector<NodeId>& holders) {
  bytes_elsewhere_.erase(object);
  wire::FreeCopiesNoticeT notice;
  notice.objects.push_back(ToWire(object));
  for (const NodeId& node : holders) events_.TellPeer(node, wire::ObjectMessage::FreeCopies, Encode(notice));
}

void ObjectManager::AddBytes(const ObjectId& object, std::map<NodeId, uint64_t>& bytes) const {
  if (const auto here = store_.BytesOf(object)) bytes[view_.own()] += *here;
  const auto known = bytes_elsewhere_.find(object);
  if (known == bytes_elsewhere_.end()) return;
  for (const NodeId& node : directory_.Holders(object)) bytes[node] += known->second;
}

// ---- other raylets

Result<void> ObjectManager::OnMessage(const NodeId& node, const Frame& frame) {
  const auto dispatch = [&]() -> Result<void> {
    switch (static_cast<wire::ObjectMessage>(frame.header.type)) {
      case wire::ObjectMessage::Locate: return OnLocateRequest(node, frame);
      case wire::ObjectMessage::CopiesFound: return OnCopiesFound(node, frame);
      case wire::ObjectMessage::CopiesAdded: return OnCopiesAdded(node, frame);
      case wire::ObjectMessage::CopiesDropped: return OnCopiesDropped(node, frame);
      case wire::ObjectMessage::FreeCopies: return OnFreeCopies(node, frame);
      default:
        return Fail(ErrorCode::kProtocolError,
                    StrCat("message ", frame.header.type, " about objects does not belong into a session"));
    }
  };
  auto done = dispatch();
  return done;
}

Result<void> ObjectManager::OnLocateRequest(const NodeId& node, const Frame& frame) {
  const auto request = Parse<wire::LocateRequestT>(frame.body);
  if (!request) return Fail(request.error());
  for (const auto& copy : request->without) {
    directory_.Dropped(FromWire<ObjectId>(copy.object()), FromWire<NodeId>(copy.node()));
  }
  wire::CopiesFoundT found;
  for (const ObjectId& object : IdsOf(request->objects)) {
    if (!IsOurs(OwnerOf(object)))
      return Fail(ErrorCode::kProtocolError,
                  StrCat("object ", object.hex(), " is sought at a machine that does not own it"));
    const Copies copies = CopiesOf(object);
    for (const NodeId& holder : copies.holders) found.copies.push_back(Copy(object, holder, copies.bytes));
    if (!copies.holders.empty()) continue;
    if (copies.lost) {
      found.lost.push_back(ToWire(object));
    } else {
      WaitForFirstCopy(object, node);
      found.none_yet.push_back(ToWire(object));
    }
  }
  events_.TellPeer(node, wire::ObjectMessage::CopiesFound, Encode(found));
  return {};
}

Result<void> ObjectManager::OnCopiesFound(const NodeId& node, const Frame& frame) {
  auto found = Parse<wire::CopiesFoundT>(frame.body);
  if (!found) return Fail(found.error());
  // Only what the owner's own machine says counts.
  const uint32_t base = view_.Find(node)->process_base;
  const auto not_its = [base](const wire::Id20& id) { return OwnerOf(FromWire<ObjectId>(id)) >> 32 != base; };
  std::erase_if(found->copies, [&](const wire::CopyAt& copy) { return not_its(copy.object()); });
  std::erase_if(found->none_yet, not_its);
  std::erase_if(found->lost, not_its);
  // What it takes for a copy of ours, and is none any more: evicted since we said so.
  wire::CopiesDroppedNoticeT dropped;
  for (const wire::CopyAt& copy : found->copies) {
    if (FromWire<NodeId>(copy.node()) != view_.own()) continue;
    const auto object = FromWire<ObjectId>(copy.object());
    if (IsHere(object))
      transfer_.SealedHere(object);
    else
      dropped.objects.push_back(copy.object());
  }
  std::erase_if(found->copies, [&](const wire::CopyAt& copy) { return FromWire<NodeId>(copy.node()) == view_.own(); });
  if (!dropped.objects.empty()) {
    events_.TellPeer(node, wire::ObjectMessage::CopiesDropped, Encode(dropped));
    // Then it has another answer to give, where it named no other.
    wire::LocateRequestT again;
    for (const wire::Id20& object : dropped.objects)
      if (std::none_of(found->copies.begin(), found->copies.end(), [&](const wire::CopyAt& copy) {
            return FromWire<ObjectId>(copy.object()) == FromWire<ObjectId>(object);
          }))
        again.objects.push_back(object);
    if (!again.objects.empty()) events_.TellPeer(node, wire::ObjectMessage::Locate, Encode(again));
  }
  transfer_.Found(*found);
  return {};
}

Result<void> ObjectManager::OnCopiesAdded(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::CopiesAddedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  for (const auto& sized : notice->objects) {
    const auto object = FromWire<ObjectId>(sized.object());
    if (!IsOurs(OwnerOf(object))) continue;
    // Freed, or its owner has ended, while it was on its way.
    if (!events_.IsAlive(OwnerOf(object))) {
      FreeElsewhere(object, {node});
      continue;
    }
    if (sized.bytes() > 0) bytes_elsewhere_[object] = sized.bytes();
    TellFirstCopy(object, directory_.Added(object, node));
  }
  return {};
}

Result<void> ObjectManager::OnCopiesDropped(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::CopiesDroppedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  for (const ObjectId& object : IdsOf(notice->objects)) directory_.Dropped(object, node);
  return {};
}

Result<void> ObjectManager::OnFreeCopies(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::FreeCopiesNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<ObjectId> freed;
  for (const ObjectId& object : IdsOf(notice->objects)) {
    if (view_.NodeOf(OwnerOf(object)) != view_.Find(node)) continue;  // nobody frees another's
    freed.push_back(object);
    const auto kept = kept_.find(OwnerOf(object));
    if (kept == kept_.end()) continue;
    kept->second.erase(object);
    if (kept->second.empty()) kept_.erase(kept);
  }
  transfer_.Free(freed);
  return {};
}

void ObjectManager::NodeGone(const NodeId& node, uint32_t process_base, const Error& why) {
  transfer_.NodeGone(node);
  transfer_.OwnersGone(process_base, {ErrorCode::kNotFound, StrCat("its owner's machine is lost: ", why.message)});
  for (const ObjectId& object : directory_.NodeGone(node)) {
    bytes_elsewhere_.erase(object);
    if (IsHere(object)) continue;
    lost_.insert(object);
    FoundHere(object, CopiesOf(object));
  }
  std::vector<ProcessId> owners;
  for (const auto& [owner, objects] : kept_)
    if (owner >> 32 == process_base) owners.push_back(owner);
  for (const ProcessId owner : owners) LoseKept(owner);
}

// ---- what the transfer says

void ObjectManager::OnCopied(const ObjectId& object, uint64_t bytes, client::ObjectView) {
  if (const ClusterView::Node* const owner = view_.NodeOf(OwnerOf(object))) {
    wire::CopiesAddedNoticeT notice;
    notice.objects.emplace_back(ToWire(object), bytes);
    events_.TellPeer(owner->id, wire::ObjectMessage::CopiesAdded, Encode(notice));
  }
  TellFirstCopy(object, directory_.SealedHere(object));
}

void ObjectManager::OnFailed(const ObjectId& object, PullAsker asker, const Error& why) {
  events_.OnWillNotCome(asker, object, why);
}

void ObjectManager::OnLocate(std::vector<LocateObject> objects) {
  std::map<NodeId, wire::LocateRequestT> requests;
  for (const LocateObject& locate : objects) {
    const ProcessId owner = OwnerOf(locate.object);
    if (IsOurs(owner)) {
      for (const NodeId& node : locate.without) directory_.Dropped(locate.object, node);
      const Copies copies = CopiesOf(locate.object);
      if (copies.holders.empty() && !copies.lost) WaitForFirstCopy(locate.object, view_.own());
      FoundHere(locate.object, copies);
      continue;
    }
    const ClusterView::Node* const node = view_.NodeOf(owner);
    if (node == nullptr || node->state == NodeState::kDead || !events_.IsAlive(owner)) {
      FoundHere(locate.object, {{}, 0, /*lost=*/true});
      continue;
    }
    wire::LocateRequestT& request = requests[node->id];
    request.objects.push_back(ToWire(locate.object));
    for (const NodeId& without : locate.without) request.without.push_back(Copy(locate.object, without, 0));
  }
  for (const auto& [node, request] : requests) events_.TellPeer(node, wire::ObjectMessage::Locate, Encode(request));
}

}  // namespace raylet
