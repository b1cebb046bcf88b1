// Channels between callers and actors, wherever either is: asked for at the actor's home, which grants them where the
// actor runs; and what becomes of who waits for one, or has one, when something ends.
#include <algorithm>

#include "base/log.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "fbs/call_record.h"
#include "raylet/node/inbound.h"
#include "raylet/node/raylet.h"

namespace raylet {
namespace {

// Two empty rings: the caller's calls, then the actor's replies.
Result<UniqueFd> MakeChannel(ChannelId channel) {
  auto fd = CreateMemfd(StrCat("raylet-channel-", channel), ChannelBytes(), /*reserve=*/false);
  if (!fd) return fd;
  const auto mapping = Mapping::Map(fd->get(), ChannelBytes(), Mapping::Access::kReadWrite);
  if (!mapping) return Fail(mapping.error());
  InitChannel({mapping->data(), mapping->size()});
  return fd;
}

}  // namespace

// ---- a process of ours asks

Result<void> Raylet::OnOpenChannel(ProcessSession& session, const Frame& frame) {
  const auto request = ParseAboutActor<wire::OpenChannelRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const ProcessId caller = session.identity->process;
  const uint64_t request_id = frame.header.request_id;
  Result<void> asked;
  if (IsHome(request->actor)) {
    asked = actors_.Open(request->actor, caller, request_id);
  } else if (const ClusterView::Node* const home = HomeOf(request->actor)) {
    asked = remote_actors_.Open(home->id, request->actor, caller, request_id);
    if (asked) AskHome({request->actor, caller, request_id});
  } else {
    const ProcessId creator = CreatorOf(request->actor);
    RefuseCaller(caller, request_id,
                 HomeLost(request->actor, AddressOfProcess(creator), WhyLost(view_.NodeOf(creator))));
  }
  if (asked) return {};
  wire::OpenChannelReplyT reply;
  reply.status = ToStatus(asked.error());
  session.Send(wire::RayletMessage::OpenChannelReply, request_id, reply);
  return {};
}

void Raylet::AskHome(const RemoteActors::Ask& ask) {
  const ClusterView::Node* const home = HomeOf(ask.actor);
  if (home == nullptr) return;  // HomeGone has told, or is about to
  wire::OpenActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(ask.actor));
  request.caller = ask.caller;
  request.request = ask.request_id;
  TellPeer(home->id, wire::ActorMessage::OpenActor, Encode(request));
}

Result<void> Raylet::OnChannelReleased(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ChannelNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (session.identity->kind != wire::ProcessKind::Worker)
    return Fail(ErrorCode::kProtocolError, "a driver lets go of an actor's channel");
  if (relay_ != nullptr) relay_->ChannelReleased(session.identity->worker, notice->channel);
  return {};
}

// ---- its home answers

void Raylet::Do(const GrantChannel& grant) {
  const NodeId& host = grant.place.IsElsewhere() ? grant.place.node : node_;
  const ClusterView::Node* const asker = view_.NodeOf(grant.caller);
  if (asker == nullptr) return Connect(grant.actor, host, grant.process, grant.caller, grant.request_id);
  wire::ActorGrantedNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(grant.actor));
  notice.caller = grant.caller;
  notice.request = grant.request_id;
  notice.host = std::make_unique<wire::Id20>(ToWire(host));
  notice.process = grant.process;
  TellPeer(asker->id, wire::ActorMessage::ActorGranted, Encode(notice));
}

void Raylet::Do(const RefuseChannel& refuse) {
  const ClusterView::Node* const asker = view_.NodeOf(refuse.caller);
  if (asker == nullptr) return RefuseCaller(refuse.caller, refuse.request_id, *refuse.failure);
  wire::ActorRefusedNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(refuse.actor));
  notice.caller = refuse.caller;
  notice.request = refuse.request_id;
  notice.failure = std::make_unique<Failure>(*refuse.failure);
  TellPeer(asker->id, wire::ActorMessage::ActorRefused, Encode(notice));
}

void Raylet::Do(const TellActorChanged& change) {
  wire::ActorNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(change.actor));
  notice.state = change.state;
  notice.restarts = change.restarts;
  if (change.failure) notice.failure = std::make_unique<Failure>(*change.failure);
  const ClusterView::Node* const asker = view_.NodeOf(change.process);
  if (asker == nullptr) return TellWatcher(change.process, change.actor, Encode(notice));
  wire::WatchedActorNoticeT watched;
  watched.process = change.process;
  watched.change = std::make_unique<wire::ActorNoticeT>(std::move(notice));
  TellPeer(asker->id, wire::ActorMessage::WatchedActorChanged, Encode(watched));
}

Result<void> Raylet::OnOpenActor(const NodeId& node, const Frame& frame) {
  const auto request = ParseAboutActor<wire::OpenActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  RAYLET_RETURN_IF_ERROR(CheckSpeaksFor(node, request->message.caller));
  const auto opened = actors_.Open(request->actor, request->message.caller, request->message.request);
  if (opened) return {};
  Failure failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.message = opened.error().message;
  failure.retry_safe = true;
  Do(RefuseChannel{request->actor, request->message.caller, request->message.request,
                   std::make_shared<const Failure>(std::move(failure))});
  return {};
}

// What only an actor's home may say: whether it is that.
Result<ActorId> Raylet::ActorOf(const NodeId& node, const wire::Id20* id) const {
  auto actor = CheckActorId(id);
  if (actor && MachineOf(CreatorOf(*actor)) != MachineNumberOf(node))
    return Fail(ErrorCode::kProtocolError,
                StrCat("a machine speaks for actor ", actor->hex(), ", whose home is another"));
  return actor;
}

Result<void> Raylet::OnActorGranted(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ActorGrantedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto actor = ActorOf(node, notice->actor.get());
  if (!actor) return Fail(actor.error());
  Connect(*actor, FromWire<NodeId>(*notice->host), notice->process, notice->caller, notice->request);
  return {};
}

Result<void> Raylet::OnActorRefused(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ActorRefusedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto actor = ActorOf(node, notice->actor.get());
  if (!actor) return Fail(actor.error());
  RAYLET_RETURN_IF_ERROR(CheckFailure(notice->failure.get()));
  if (!remote_actors_.Answered(*actor, notice->caller, notice->request)) return {};
  RefuseCaller(notice->caller, notice->request, *notice->failure);
  return {};
}

Result<void> Raylet::OnWatchedActorChanged(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::WatchedActorNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto actor = ActorOf(node, notice->change->actor.get());
  if (!actor) return Fail(actor.error());
  if (notice->change->state > wire::ActorState::MAX)
    return Fail(ErrorCode::kProtocolError, "an actor is in an unknown state");
  if (notice->change->failure != nullptr) RAYLET_RETURN_IF_ERROR(CheckFailure(notice->change->failure.get()));
  if (notice->change->state == wire::ActorState::Dead) remote_actors_.Dead(*actor, notice->process);
  TellWatcher(notice->process, *actor, Encode(*notice->change));
  return {};
}

// ---- caller and actor are brought together

// The caller is ours; the actor runs in `process` of `host`.
void Raylet::Connect(const ActorId& actor, const NodeId& host, ProcessId process, ProcessId caller,
                     uint64_t request_id) {
  ProcessSession* const session = SessionOf(caller);
  if (session == nullptr) return;  // its end is on its way
  const auto connected = host == node_ ? ConnectHere(actor, process, *session, request_id)
                                       : ConnectThere(actor, host, process, *session, request_id);
  if (connected) {
    (void)remote_actors_.Answered(actor, caller, request_id);
    return;
  }
  if (connected.error().code == ErrorCode::kNotFound) {  // whoever looks after it will hear of its end
    if (IsHome(actor)) return actors_.GrantFailed(actor, caller, request_id);
    if (remote_actors_.AskAgain(actor, caller, request_id, clock_.Now() + kAskAgainAfter)) return AskAgainLater();
  }
  RAYLET_LOG(kError, "a channel could not be made: ", connected.error().message);
  (void)remote_actors_.Answered(actor, caller, request_id);
  wire::OpenChannelReplyT reply;
  reply.status = ToStatus(connected.error());
  session->Send(wire::RayletMessage::OpenChannelReply, request_id, reply);
}

Result<void> Raylet::ConnectHere(const ActorId& actor, ProcessId process, ProcessSession& caller, uint64_t request_id) {
  ProcessSession* const worker = SessionOf(process);
  const auto record = worker == nullptr ? workers_.end() : workers_.find(worker->identity->worker);
  if (record == workers_.end() || record->second.actor != actor)
    return Fail(ErrorCode::kNotFound, StrCat("actor ", actor.hex(), " does not run here any more"));
  const ChannelId number = channels_.NewNumber();
  const auto channel = MakeChannel(number);
  if (!channel) return Fail(channel.error());
  if (const auto before = channels_.Open({number, actor, caller.identity->process, record->first})) Close(*before);
  wire::ChannelNoticeT notice;
  notice.channel = number;
  notice.caller = caller.identity->process;
  notice.caller_store_client = caller.identity->store_client;
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  const int to_worker[] = {channel->get(), caller.identity->doorbell.get()};
  worker->Send(wire::RayletMessage::ChannelOpened, 0, notice, to_worker);
  wire::OpenChannelReplyT reply;
  reply.status = OkStatus();
  reply.channel = number;
  reply.process = process;
  const int to_caller[] = {channel->get(), worker->identity->doorbell.get()};
  caller.Send(wire::RayletMessage::OpenChannelReply, request_id, reply, to_caller);
  return {};
}

Result<void> Raylet::ConnectThere(const ActorId& actor, const NodeId& host, ProcessId process, ProcessSession& caller,
                                  uint64_t request_id) {
  const ClusterView::Node* const node = view_.Find(host);
  if (node == nullptr || node->state == NodeState::kDead)
    return Fail(ErrorCode::kNotFound, StrCat("actor ", actor.hex(), " runs on the machine at ", AddressOf(host),
                                             ", which this machine cannot reach: see `raylet status`"));
  const auto relay = relay_->Open(host, actor, caller.identity->process, caller.identity->doorbell);
  if (!relay) return Fail(relay.error());
  wire::OpenChannelReplyT reply;
  reply.status = OkStatus();
  reply.process = process;
  reply.relayed = true;
  const int fds[] = {relay->channel.get(), relay->bell.get()};
  caller.Send(wire::RayletMessage::OpenChannelReply, request_id, reply, fds);
  return {};
}

void Raylet::RefuseCaller(ProcessId caller, uint64_t request_id, const Failure& failure) {
  ProcessSession* const session = SessionOf(caller);
  if (session == nullptr) return;
  wire::OpenChannelReplyT reply;
  reply.status = ToStatus({ErrorCode::kUnavailable, failure.message});
  reply.failure = std::make_unique<Failure>(failure);
  session->Send(wire::RayletMessage::OpenChannelReply, request_id, reply);
}

void Raylet::AskAgainLater() {
  if (ask_again_) return;
  ask_again_ = Timer(loop_, std::chrono::duration_cast<std::chrono::milliseconds>(kAskAgainAfter), {}, [this] {
    ask_again_.Cancel();
    for (const RemoteActors::Ask& ask : remote_actors_.TakeDue(clock_.Now())) AskHome(ask);
    if (remote_actors_.AnyToAskAgain()) AskAgainLater();
  });
}

// ---- what becomes of them

// Behind every reply that the actor sent before.
void Raylet::TellWatcher(ProcessId process, const ActorId& actor, Bytes notice) {
  ProcessSession* const session = SessionOf(process);
  if (session == nullptr) return;
  if (relay_ != nullptr && relay_->IsOpen(process, actor))
    held_back_[{process, actor}].push_back(std::move(notice));
  else
    session->SendBytes(wire::RayletMessage::ActorChanged, 0, notice);
}

void Raylet::Close(const ChannelBook::Channel& channel) {
  OnCallerGone(channel.worker, channel.number, channel.caller, channel.actor);
}

void Raylet::ForgetCallers(const ProcessSet& processes) {
  for (const ChannelBook::Channel& channel : channels_.CallersGone(processes)) Close(channel);
  std::erase_if(held_back_, [&](const auto& entry) { return processes.contains(entry.first.first); });
  for (const ProcessId process : processes) {
    remote_actors_.ProcessGone(process);
    if (relay_ != nullptr) relay_->CallerGone(process);
  }
}

void Raylet::HomeGone(const NodeId& node, const std::string& address, const std::string& why) {
  const RemoteActors::Lost lost = remote_actors_.HomeGone(node);
  for (const RemoteActors::Ask& ask : lost.asks)
    RefuseCaller(ask.caller, ask.request_id, HomeLost(ask.actor, address, why));
  for (const RemoteActors::Watcher& watcher : lost.watchers) {
    wire::ActorNoticeT notice;
    notice.actor = std::make_unique<wire::Id20>(ToWire(watcher.actor));
    notice.state = wire::ActorState::Dead;
    notice.failure = std::make_unique<Failure>(HomeLost(watcher.actor, address, why));
    TellWatcher(watcher.process, watcher.actor, Encode(notice));
  }
}

// ---- what the relay says

void Raylet::TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) {
  TellPeer(node, static_cast<uint16_t>(type), std::move(body));
}

void Raylet::OnRelayAsked(const NodeId& node, RelayNumber relay, const ActorId& actor, ProcessId caller) {
  WorkerId worker = 0;
  if (const HostedActors::Hosted* const hosted = hosted_.Find(actor))
    worker = hosted->worker;
  else if (const ActorDirectory::Actor* const ours = actors_.Get(actor))
    worker = ours->place.worker;
  ProcessSession* const session = SessionOfWorker(worker);
  if (session == nullptr || !workers_.at(worker).constructed) return relay_->Refuse(node, relay, {});
  const ChannelId number = channels_.NewNumber();
  const auto ends = relay_->Host(node, relay, actor, caller, worker, number, session->identity->doorbell);
  if (!ends) return relay_->Refuse(node, relay, Fail(ends.error()));
  wire::ChannelNoticeT notice;
  notice.channel = number;
  notice.caller = caller;
  notice.caller_store_client = store_.client_number();
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  notice.relayed = true;
  const int fds[] = {ends->channel.get(), ends->bell.get()};
  session->Send(wire::RayletMessage::ChannelOpened, 0, notice, fds);
}

void Raylet::OnRelayEnded(ProcessId caller, const ActorId& actor, const Error* why) {
  ProcessSession* const session = SessionOf(caller);
  auto held = held_back_.extract({caller, actor});
  if (session == nullptr) return;
  if (!held.empty()) {
    for (const Bytes& notice : held.mapped()) session->SendBytes(wire::RayletMessage::ActorChanged, 0, notice);
  } else if (why != nullptr) {
    // Its home may not know, or tell later: its calls fail now, and the next ones ask anew.
    wire::ActorNoticeT notice;
    notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
    notice.state = wire::ActorState::Restarting;
    notice.failure = std::make_unique<Failure>(ChannelLost(actor, *why));
    session->Send(wire::RayletMessage::ActorChanged, 0, notice);
  }
}

void Raylet::OnCallerGone(WorkerId worker, ChannelId channel, ProcessId caller, const ActorId& actor) {
  ProcessSession* const session = SessionOfWorker(worker);
  if (session == nullptr) return;
  wire::ChannelNoticeT notice;
  notice.channel = channel;
  notice.caller = caller;
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  session->Send(wire::RayletMessage::ChannelClosed, 0, notice);
}

void Raylet::OnStoredHere(ProcessId caller, const ObjectId& object) {
  objects_->KeptFor(caller, object);
  if (!IsAlive(caller)) objects_->ProcessGone(caller);
}

void Raylet::OnStoredThere(const NodeId& node, const ObjectId& object, bool delivered) {
  ResultElsewhere(node, object, delivered && SessionOf(OwnerOf(object)) != nullptr);
}

}  // namespace raylet
