#include "raylet/objects/object_manager.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "fbs/id_lists.h"

namespace raylet {
ObjectManager::ObjectManager(Loop& loop, const Clock& clock, MachineNumber machine, const ClusterView& view,
                             StoreLink& store, std::shared_ptr<client::StoreClient> client, BulkDialer dial,
                             Events& events, ObjectTransferLimits limits)
    : loop_(loop),
      machine_(machine),
      view_(view),
      store_(store),
      events_(events),
      transfer_(loop, clock, view.own(), std::move(client), std::move(dial), *this, limits),
      locator_(view.own(), *this) {}

ObjectManager::~ObjectManager() = default;

// ---- this machine's processes

void ObjectManager::Want(const ObjectId& object, Wanter wanter, PullPriority priority) {
  if (IsHere(object)) return;
  const auto wanted = transfer_.pulls().Want(object, wanter, priority, Deadline::Never());
  if (!wanted) return events_.OnLost(wanter, object, wanted.error());
  store_.Watch(std::span(&object, 1), WatchFor::kPull);  // a process of this machine may make the object
}

void ObjectManager::WantNoLonger(const ObjectId& object, Wanter wanter) {
  transfer_.pulls().WantNoLonger(object, wanter);
  UnwatchUnlessWanted(object);
}

// Called wherever an object may have lost its last wanter.
void ObjectManager::UnwatchUnlessWanted(const ObjectId& object) {
  if (transfer_.queue().IsWanted(object)) return;
  store_.Unwatch({&object, 1}, WatchFor::kPull);
  if (!IsOurs(OwnerOf(object))) return;
  locator_.LocatedNoLonger(view_.own(), object);
  SendLocatorMessages();
}

// The wanters see it in the store.
void ObjectManager::OnSealed(const ObjectId& object, const std::vector<Wanter>&) {
  store_.SealedHere(object);
  UnwatchUnlessWanted(object);
}

void ObjectManager::WantArguments(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    arguments_.try_emplace(object);
    Want(object, kArgumentWanter, PullPriority::kArgument);
  }
}

void ObjectManager::ReleaseArguments(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    WantNoLonger(object, kArgumentWanter);
    const auto argument = arguments_.find(object);
    if (argument == arguments_.end()) continue;
    if (argument->second.bytes > 0) --pinned_arguments_;
    pinned_argument_bytes_ -= argument->second.bytes;
    arguments_.erase(argument);
  }
}

void ObjectManager::PinArgument(const ObjectId& object, uint64_t bytes, client::PinnedObject view) {
  const auto argument = arguments_.find(object);
  if (argument == arguments_.end() || argument->second.bytes > 0 || bytes == 0) return;
  if (pinned_arguments_ >= kArgumentsPinnedMax ||
      pinned_argument_bytes_ + bytes > store_.room().capacity_bytes / kArgumentsStoreShare)
    return;
  argument->second = {std::move(view), bytes};
  ++pinned_arguments_;
  pinned_argument_bytes_ += bytes;
}

void ObjectManager::SealedHere(const ObjectId& object) {
  transfer_.pulls().SealedHere(object);
  locator_.SealedHere(object);
  SendLocatorMessages();
}

void ObjectManager::SealedElsewhere(const ObjectId& object, const NodeId& node) {
  locator_.SealedElsewhere(node, object, 0);
  SendLocatorMessages();
}

void ObjectManager::KeptForOwner(const ObjectId& object) { kept_.Add(object); }

void ObjectManager::Freed(std::span<const ObjectId> objects) {
  locator_.Freed(objects);
  SendLocatorMessages();
}

void ObjectManager::OwnerGone(ProcessId process) {
  if (IsOurs(process)) LoseUnmade(process, {});
}

// A raylet that locates one of the objects meanwhile hears that it is lost.
void ObjectManager::LoseUnmade(ProcessId owner, const ObjectId& after) {
  const auto last = locator_.OwnerGone(owner, after, kObjectsPerTurn);
  SendLocatorMessages();
  if (!last) return;
  loop_.Post([this, owner, last = *last, life = std::weak_ptr<int>(life_)] {
    if (!life.expired()) LoseUnmade(owner, last);
  });
}

bool ObjectManager::WanterGone(ProcessId process, size_t most) {
  const std::vector<ObjectId> forgotten = transfer_.pulls().WanterGone(process, most);
  for (const ObjectId& object : forgotten) UnwatchUnlessWanted(object);
  return forgotten.size() < most;
}

void ObjectManager::KeptWhenSettled(const NodeId& node, std::span<const ObjectId> objects) {
  std::vector<ObjectId> its;
  for (const ObjectId& object : objects)
    if (view_.NodeOf(OwnerOf(object)) == view_.Find(node)) its.push_back(object);
  kept_.StayWhenSettled(its);
}

void ObjectManager::RemoteOwnerSettled(ProcessId owner) {
  kept_.OwnerSettled(owner);
  if (kept_.drops()) work_off_.Ask();
}

bool ObjectManager::MayStillBe(const ObjectId& object) const {
  const ProcessId owner = OwnerOf(object);
  if (IsOurs(owner)) return events_.IsAlive(owner) || events_.IsKept(object);
  const ClusterView::Node* const node = view_.NodeOf(owner);
  return node != nullptr && node->state != NodeState::kDead;
}

// ---- places of objects

void ObjectManager::SendLocatorMessages() {
  auto messages = locator_.TakeMessages();
  for (auto& [node, located] : messages.located) {
    if (node == view_.own()) {
      Located(std::move(located));
      continue;
    }
    const auto tell = [&, to = node](auto part, auto pieces) {
      wire::LocatedNoticeT message;
      message.*part = std::move(pieces);
      events_.TellPeer(to, wire::ObjectMessage::Located, Encode(message));
    };
    InPieces(std::move(located.copies), [&](auto copies) { tell(&wire::LocatedNoticeT::copies, std::move(copies)); });
    InPieces(std::move(located.none_yet),
             [&](auto none_yet) { tell(&wire::LocatedNoticeT::none_yet, std::move(none_yet)); });
    InPieces(std::move(located.lost), [&](auto lost) { tell(&wire::LocatedNoticeT::lost, std::move(lost)); });
    InPieces(std::move(located.lost_with), [&](auto lost) { tell(&wire::LocatedNoticeT::lost_with, std::move(lost)); });
  }
  for (auto& [node, free] : messages.free) {
    InPieces(std::move(free.objects), [&, to = node](auto objects) {
      wire::FreeCopiesNoticeT message;
      message.objects = std::move(objects);
      events_.TellPeer(to, wire::ObjectMessage::FreeCopies, Encode(message));
    });
  }
  if (!messages.watch.empty()) store_.Watch(messages.watch, WatchFor::kLocate);
  if (!messages.unwatch.empty()) store_.Unwatch(messages.unwatch, WatchFor::kLocate);
}

void ObjectManager::Located(wire::LocatedNoticeT located) {
  // A copy on this machine is either sealed, or evicted: then it is pulled from another holder.
  for (const wire::CopyAt& copy : located.copies)
    if (const auto object = FromWire<ObjectId>(copy.object()); IsHere(object)) transfer_.pulls().SealedHere(object);
  std::erase_if(located.copies,
                [this](const wire::CopyAt& copy) { return FromWire<NodeId>(copy.node()) == view_.own(); });
  // A pull cannot make an object whose id the store still has.
  std::vector<ObjectId> lost_here;
  for (const wire::CopyAt& copy : located.copies)
    if (const auto object = FromWire<ObjectId>(copy.object()); store_.IsLost(object)) lost_here.push_back(object);
  if (!lost_here.empty()) store_.Delete(lost_here);
  transfer_.Located(located);
  for (const wire::CopyAt& lost : located.lost_with) {
    const std::string machine = NameOfLost(FromWire<NodeId>(lost.node()));
    transfer_.pulls().Lost(FromWire<ObjectId>(lost.object()),
                           {ErrorCode::kNotFound, StrCat("its last copy was on ", machine)});
  }
}

std::string ObjectManager::NameOfLost(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  if (known == nullptr) return StrCat("the machine of node ", node.hex(), ", which is lost");
  return StrCat("the machine at ", known->address, ", which is lost", known->why_dead.empty() ? "" : ": ",
                known->why_dead);
}

std::string ObjectManager::WhyOwnerGone(ProcessId owner) const {
  if (IsOurs(owner)) return "the process that owned it has ended";
  const ClusterView::Node* const node = view_.NodeOf(owner);
  if (node == nullptr) return "its owner is a process of a machine that this one does not know";
  if (node->state == NodeState::kDead) return StrCat("its owner was on ", NameOfLost(node->id));
  return StrCat("its owner, a process of the machine at ", node->address, ", has ended");
}

void ObjectManager::AddBytes(const ObjectId& object, std::map<NodeId, uint64_t>& bytes) const {
  if (const auto here = store_.BytesOf(object)) bytes[view_.own()] += *here;
  if (const uint64_t elsewhere = locator_.directory().Bytes(object); elsewhere != 0)
    for (const NodeId& node : locator_.directory().Holders(object)) bytes[node] += elsewhere;
}

// ---- other raylets

Result<void> ObjectManager::OnMessage(const NodeId& node, const Frame& frame) {
  switch (static_cast<wire::ObjectMessage>(frame.header.type)) {
    case wire::ObjectMessage::Locate: return OnLocateRequest(node, frame);
    case wire::ObjectMessage::Located: return OnLocated(node, frame);
    case wire::ObjectMessage::CopiesSealed: return OnCopiesSealed(node, frame);
    case wire::ObjectMessage::CopiesDropped: return OnCopiesDropped(node, frame);
    case wire::ObjectMessage::FreeCopies: return OnFreeCopies(node, frame);
  }
  return Fail(ErrorCode::kProtocolError, StrCat("message ", frame.header.type,
                                                " about objects is none that a raylet "
                                                "takes in a session"));
}

Result<void> ObjectManager::OnLocateRequest(const NodeId& node, const Frame& frame) {
  const auto request = Parse<wire::LocateRequestT>(frame.body);
  if (!request) return Fail(request.error());
  for (const ObjectId& object : FromWire(request->objects))
    if (!IsOurs(OwnerOf(object)))
      return Fail(ErrorCode::kProtocolError,
                  StrCat("object ", object.hex(), " is located at a machine that does not own it"));
  locator_.OnLocate(node, *request);
  SendLocatorMessages();
  return {};
}

Result<void> ObjectManager::OnLocated(const NodeId& node, const Frame& frame) {
  auto located = Parse<wire::LocatedNoticeT>(frame.body);
  if (!located) return Fail(located.error());
  // Only the owner's own machine is believed.
  const MachineNumber machine = view_.Find(node)->machine;
  const auto not_its = [machine](const wire::Id20& id) {
    return MachineOf(OwnerOf(FromWire<ObjectId>(id))) != machine;
  };
  for (auto* const copies : {&located->copies, &located->lost_with})
    std::erase_if(*copies, [&](const wire::CopyAt& copy) { return not_its(copy.object()); });
  std::erase_if(located->none_yet, not_its);
  std::erase_if(located->lost, not_its);
  Located(std::move(*located));
  return {};
}

Result<void> ObjectManager::OnCopiesSealed(const NodeId& node, const Frame& frame) {
  auto notice = Parse<wire::CopiesSealedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::erase_if(notice->objects, [this](const wire::SizedObject& sized) {
    return !IsOurs(OwnerOf(FromWire<ObjectId>(sized.object())));
  });
  locator_.OnCopiesSealed(node, *notice);
  SendLocatorMessages();
  return {};
}

Result<void> ObjectManager::OnCopiesDropped(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::CopiesDroppedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  locator_.OnCopiesDropped(node, *notice);
  return {};
}

Result<void> ObjectManager::OnFreeCopies(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::FreeCopiesNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<ObjectId> freed;
  for (const ObjectId& object : FromWire(notice->objects)) {
    if (view_.NodeOf(OwnerOf(object)) != view_.Find(node)) continue;  // only an owner frees
    freed.push_back(object);
    kept_.Remove(object);
  }
  transfer_.Free(freed);
  return {};
}

void ObjectManager::MachineLost(const NodeId& node, MachineNumber machine, const Error& why) {
  const ClusterView::Node* const known = view_.Find(node);
  const std::string lost_machine =
      known == nullptr ? "its owner's machine" : "its owner's machine at " + known->address;
  transfer_.MachineLost(node, machine, {ErrorCode::kNotFound, StrCat(lost_machine, " is lost: ", why.message)});
  locator_.MachineLost(node);
  kept_.MachineLost(machine);
  transfer_.FreeAllOf(machine);
  work_off_.Ask();
}

// Losses and settlements. Every answer meanwhile is as if all of it were done.
void ObjectManager::WorkOff() {
  wire::LocatedNoticeT lost;
  for (const auto& [object, node] : locator_.LoseSome(kObjectsPerTurn))
    lost.lost_with.emplace_back(ToWire(object), ToWire(node), 0);
  Located(std::move(lost));
  store_.Delete(kept_.TakeDropped(kObjectsPerTurn));
  SendLocatorMessages();
  if (locator_.loses() || kept_.drops()) work_off_.Ask();
}

// ---- events of the transfer

void ObjectManager::OnPullSealed(const ObjectId& object, uint64_t bytes, client::PinnedObject view) {
  // The owner ended meanwhile, so nobody else frees the object. If the owner is of another machine, that machine
  // decides.
  if (const ProcessId owner = OwnerOf(object); !MayStillBe(object)) {
    transfer_.pulls().Lost(object, {ErrorCode::kNotFound, WhyOwnerGone(owner)});
    return transfer_.Free({&object, 1});
  }
  PinArgument(object, bytes, std::move(view));
  if (const ClusterView::Node* const owner = view_.NodeOf(OwnerOf(object))) {
    if (copies_sealed_.empty())
      loop_.AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
        if (!life.expired()) TellCopiesSealed();
      });
    copies_sealed_[owner->id].objects.emplace_back(ToWire(object), bytes);
  }
  locator_.SealedHere(object);
  SendLocatorMessages();
}

// One message for all copies of a turn.
void ObjectManager::TellCopiesSealed() {
  for (const auto& [node, notice] : std::exchange(copies_sealed_, {}))
    events_.TellPeer(node, wire::ObjectMessage::CopiesSealed, Encode(notice));
}

void ObjectManager::OnLost(Wanter wanter, const ObjectId& object, const Error& why) {
  events_.OnLost(wanter, object, why);
  UnwatchUnlessWanted(object);
}

void ObjectManager::OnLocate(std::vector<LocateObject> objects) {
  std::map<NodeId, wire::LocateRequestT> requests;
  const auto locate_at = [this](const NodeId& node, const wire::LocateRequestT& request) {
    if (node == view_.own())
      locator_.OnLocate(node, request);
    else
      events_.TellPeer(node, wire::ObjectMessage::Locate, Encode(request));
  };
  for (const LocateObject& locate : objects) {
    if (!transfer_.queue().IsWanted(locate.object)) continue;  // not any more
    const ProcessId owner = OwnerOf(locate.object);
    const ClusterView::Node* const node = view_.NodeOf(owner);
    if (!IsOurs(owner) && (node == nullptr || node->state == NodeState::kDead)) {
      transfer_.pulls().Lost(locate.object, {ErrorCode::kNotFound, WhyOwnerGone(owner)});
      continue;
    }
    const NodeId owners_node = IsOurs(owner) ? view_.own() : node->id;
    wire::LocateRequestT& request = requests[owners_node];
    request.objects.push_back(ToWire(locate.object));
    for (const NodeId& without : locate.without)
      request.without.emplace_back(ToWire(locate.object), ToWire(without), 0);
    if (request.objects.size() >= kObjectsPerMessage) locate_at(owners_node, std::exchange(request, {}));
  }
  for (const auto& [node, request] : requests)
    if (!request.objects.empty()) locate_at(node, request);
  SendLocatorMessages();
}

}  // namespace raylet
