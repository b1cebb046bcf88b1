#include "raylet/objects/object_manager.h"

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

// One message names this many objects at most, so that none comes near the limit of a frame.
constexpr size_t kObjectsPerMessage = 10'000;

// Calls `tell` with the pieces of `all`, which is emptied; for none it does not call.
template <class Element, class Tell>
void InPieces(std::vector<Element>& all, const Tell& tell) {
  if (all.size() <= kObjectsPerMessage) {
    if (!all.empty()) tell(std::exchange(all, {}));
    return;
  }
  for (size_t at = 0; at < all.size(); at += kObjectsPerMessage) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(at);
    const size_t count = std::min(kObjectsPerMessage, all.size() - at);
    tell(std::vector<Element>(first, first + static_cast<std::ptrdiff_t>(count)));
  }
  all.clear();
}

}  // namespace

ObjectManager::ObjectManager(Loop& loop, const Clock& clock, uint32_t process_base, const ClusterView& view,
                             StoreLink& store, std::shared_ptr<client::StoreClient> client, Events& events,
                             ObjectTransferLimits limits)
    : process_base_(process_base),
      view_(view),
      store_(store),
      events_(events),
      transfer_(loop, clock, view.own(), std::move(client), *this, limits),
      locator_(view.own(), *this) {}

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

void ObjectManager::WantArguments(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    arguments_.try_emplace(object);
    Want(object, kArgumentAsker, PullPriority::kArgument);
  }
}

void ObjectManager::ReleaseArguments(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects) {
    transfer_.Cancel(object, kArgumentAsker);
    const auto argument = arguments_.find(object);
    if (argument == arguments_.end()) continue;
    if (argument->second.bytes > 0) --pinned_arguments_;
    pinned_argument_bytes_ -= argument->second.bytes;
    arguments_.erase(argument);
  }
}

void ObjectManager::PinArgument(const ObjectId& object, uint64_t bytes, client::ObjectView view) {
  const auto argument = arguments_.find(object);
  if (argument == arguments_.end() || argument->second.bytes > 0 || bytes == 0) return;
  if (pinned_arguments_ >= kArgumentsPinnedMax ||
      pinned_argument_bytes_ + bytes > store_.room().capacity_bytes / kArgumentsStoreShare)
    return;
  argument->second = {std::move(view), bytes};
  ++pinned_arguments_;
  pinned_argument_bytes_ += bytes;
}

void ObjectManager::OnSealed(const ObjectId& object) {
  transfer_.SealedHere(object);
  locator_.SealedHere(object);
  SayWhatIsToBeSaid();
}

void ObjectManager::MadeElsewhere(const ObjectId& object, const NodeId& node) {
  locator_.Added(node, object, 0);
  SayWhatIsToBeSaid();
}

void ObjectManager::KeptFor(ProcessId owner, const ObjectId& object) { kept_[owner].insert(object); }

void ObjectManager::Freed(const ObjectId& object) {
  locator_.Freed(std::span(&object, 1));
  SayWhatIsToBeSaid();
}

void ObjectManager::ProcessGone(ProcessId process) {
  transfer_.AskerGone(process);
  transfer_.OwnerGone(process, {ErrorCode::kNotFound, "the process that owned it has ended"});
  if (IsOurs(process)) {
    transfer_.Free(locator_.directory().ObjectsOf(process));  // copies of what was made for it elsewhere
    locator_.OwnerGone(process);
  } else {
    LoseKept(process);
  }
  SayWhatIsToBeSaid();
}

void ObjectManager::LoseKept(ProcessId owner) {
  const auto kept = kept_.find(owner);
  if (kept == kept_.end()) return;
  store_.Delete(std::vector<ObjectId>(kept->second.begin(), kept->second.end()));
  kept_.erase(kept);
}

// ---- where objects are

void ObjectManager::SayWhatIsToBeSaid() {
  auto messages = locator_.TakeMessages();
  for (auto& [node, found] : messages.found) {
    if (node == view_.own()) {
      Found(std::move(found));
      continue;
    }
    const auto tell = [&, to = node](auto part, auto pieces) {
      wire::CopiesFoundT message;
      message.*part = std::move(pieces);
      events_.TellPeer(to, wire::ObjectMessage::CopiesFound, Encode(message));
    };
    InPieces(found.copies, [&](auto copies) { tell(&wire::CopiesFoundT::copies, std::move(copies)); });
    InPieces(found.none_yet, [&](auto none_yet) { tell(&wire::CopiesFoundT::none_yet, std::move(none_yet)); });
    InPieces(found.lost, [&](auto lost) { tell(&wire::CopiesFoundT::lost, std::move(lost)); });
    InPieces(found.lost_with, [&](auto lost) { tell(&wire::CopiesFoundT::lost_with, std::move(lost)); });
  }
  for (auto& [node, free] : messages.free) {
    InPieces(free.objects, [&, to = node](auto objects) {
      wire::FreeCopiesNoticeT message;
      message.objects = std::move(objects);
      events_.TellPeer(to, wire::ObjectMessage::FreeCopies, Encode(message));
    });
  }
  if (!messages.watch.empty()) store_.Watch(messages.watch);
}

// An answer, another raylet's or our own.
void ObjectManager::Found(wire::CopiesFoundT found) {
  // A copy here has been seen by whoever waits for it, or is none any more: then the others are to be had.
  for (const wire::CopyAt& copy : found.copies)
    if (const auto object = FromWire<ObjectId>(copy.object()); IsHere(object)) transfer_.SealedHere(object);
  std::erase_if(found.copies,
                [this](const wire::CopyAt& copy) { return FromWire<NodeId>(copy.node()) == view_.own(); });
  transfer_.Found(found);
  for (const wire::CopyAt& lost : found.lost_with) {
    const std::string machine = MachineLost(FromWire<NodeId>(lost.node()));
    transfer_.Lost(FromWire<ObjectId>(lost.object()), {ErrorCode::kNotFound, StrCat("its last copy was on ", machine)});
  }
}

std::string ObjectManager::MachineLost(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  if (known == nullptr) return StrCat("the machine of node ", node.hex(), ", which is lost");
  return StrCat("the machine at ", known->address, ", which is lost", known->why_dead.empty() ? "" : ": ",
                known->why_dead);
}

std::string ObjectManager::WhyOwnerGone(ProcessId owner) const {
  if (IsOurs(owner)) return "the process that owned it has ended";
  const ClusterView::Node* const node = view_.NodeOf(owner);
  if (node == nullptr) return "its owner is a process of a machine that this one does not know";
  if (node->state == NodeState::kDead) return StrCat("its owner was on ", MachineLost(node->id));
  return StrCat("its owner, a process of the machine at ", node->address, ", has ended");
}

void ObjectManager::AddBytes(const ObjectId& object, std::map<NodeId, uint64_t>& bytes) const {
  if (const auto here = store_.BytesOf(object)) bytes[view_.own()] += *here;
  if (const uint64_t elsewhere = locator_.BytesElsewhere(object); elsewhere != 0)
    for (const NodeId& node : locator_.directory().Holders(object)) bytes[node] += elsewhere;
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
  for (const ObjectId& object : IdsOf(request->objects))
    if (!IsOurs(OwnerOf(object)))
      return Fail(ErrorCode::kProtocolError,
                  StrCat("object ", object.hex(), " is sought at a machine that does not own it"));
  locator_.OnLocate(node, *request);
  SayWhatIsToBeSaid();
  return {};
}

Result<void> ObjectManager::OnCopiesFound(const NodeId& node, const Frame& frame) {
  auto found = Parse<wire::CopiesFoundT>(frame.body);
  if (!found) return Fail(found.error());
  // Only what the owner's own machine says counts.
  const uint32_t base = view_.Find(node)->process_base;
  const auto not_its = [base](const wire::Id20& id) { return OwnerOf(FromWire<ObjectId>(id)) >> 32 != base; };
  for (auto* const copies : {&found->copies, &found->lost_with})
    std::erase_if(*copies, [&](const wire::CopyAt& copy) { return not_its(copy.object()); });
  std::erase_if(found->none_yet, not_its);
  std::erase_if(found->lost, not_its);
  Found(std::move(*found));
  return {};
}

Result<void> ObjectManager::OnCopiesAdded(const NodeId& node, const Frame& frame) {
  auto notice = Parse<wire::CopiesAddedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::erase_if(notice->objects, [this](const wire::SizedObject& sized) {
    return !IsOurs(OwnerOf(FromWire<ObjectId>(sized.object())));
  });
  locator_.OnAdded(node, *notice);
  SayWhatIsToBeSaid();
  return {};
}

Result<void> ObjectManager::OnCopiesDropped(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::CopiesDroppedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  locator_.OnDropped(node, *notice);
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
  const ClusterView::Node* const known = view_.Find(node);
  const std::string machine = known == nullptr ? "its owner's machine" : "its owner's machine at " + known->address;
  transfer_.OwnersGone(process_base, {ErrorCode::kNotFound, StrCat(machine, " is lost: ", why.message)});
  wire::CopiesFoundT lost;
  for (const ObjectId& object : locator_.NodeGone(node)) lost.lost_with.emplace_back(ToWire(object), ToWire(node), 0);
  Found(std::move(lost));
  std::vector<ProcessId> owners;
  for (const auto& [owner, objects] : kept_)
    if (owner >> 32 == process_base) owners.push_back(owner);
  for (const ProcessId owner : owners) LoseKept(owner);
  transfer_.FreeAllOf(process_base);
  SayWhatIsToBeSaid();
}

// ---- what the transfer says

void ObjectManager::OnCopied(const ObjectId& object, uint64_t bytes, client::ObjectView view) {
  // Its owner ended while the last of it came: nobody else will say that it may go.
  if (const ProcessId owner = OwnerOf(object); !events_.IsAlive(owner)) {
    transfer_.Lost(object, {ErrorCode::kNotFound, WhyOwnerGone(owner)});
    return transfer_.Free({&object, 1});
  }
  PinArgument(object, bytes, std::move(view));
  if (const ClusterView::Node* const owner = view_.NodeOf(OwnerOf(object))) {
    wire::CopiesAddedNoticeT notice;
    notice.objects.emplace_back(ToWire(object), bytes);
    events_.TellPeer(owner->id, wire::ObjectMessage::CopiesAdded, Encode(notice));
  }
  locator_.SealedHere(object);
  SayWhatIsToBeSaid();
}

void ObjectManager::OnFailed(const ObjectId& object, PullAsker asker, const Error& why) {
  events_.OnWillNotCome(asker, object, why);
}

void ObjectManager::OnLocate(std::vector<LocateObject> objects) {
  std::map<NodeId, wire::LocateRequestT> requests;
  const auto ask = [this](const NodeId& node, const wire::LocateRequestT& request) {
    if (node == view_.own())
      locator_.OnLocate(node, request);
    else
      events_.TellPeer(node, wire::ObjectMessage::Locate, Encode(request));
  };
  for (const LocateObject& locate : objects) {
    const ProcessId owner = OwnerOf(locate.object);
    const ClusterView::Node* const node = view_.NodeOf(owner);
    if (!IsOurs(owner) && (node == nullptr || node->state == NodeState::kDead || !events_.IsAlive(owner))) {
      transfer_.Lost(locate.object, {ErrorCode::kNotFound, WhyOwnerGone(owner)});
      continue;
    }
    const NodeId asked = IsOurs(owner) ? view_.own() : node->id;
    wire::LocateRequestT& request = requests[asked];
    request.objects.push_back(ToWire(locate.object));
    for (const NodeId& without : locate.without)
      request.without.emplace_back(ToWire(locate.object), ToWire(without), 0);
    if (request.objects.size() >= kObjectsPerMessage) ask(asked, std::exchange(request, {}));
  }
  for (const auto& [node, request] : requests)
    if (!request.objects.empty()) ask(node, request);
  SayWhatIsToBeSaid();
}

}  // namespace raylet
