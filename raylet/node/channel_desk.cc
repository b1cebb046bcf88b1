#include "raylet/node/channel_desk.h"

#include "base/log.h"
#include "base/strings.h"
#include "raylet/actors/failure_text.h"
#include "raylet/node/inbound.h"

namespace raylet {

ChannelDesk::ChannelDesk(const Services& services)
    : loop_(services.loop), clock_(services.clock), post_(services.post), door_(services.door), channels_(services) {}

void ChannelDesk::Wire(ActorHomes& actors, TravellingObjects& objects) {
  actors_ = &actors;
  channels_.Wire(actors, objects);
}

// ---- requests of processes

Result<void> ChannelDesk::OnOpenChannel(ProcessSession& session, const Frame& frame) {
  const auto request = ParseAboutActor<wire::OpenChannelRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const ProcessId caller = session.identity->process;
  const uint64_t request_id = frame.header.request_id;
  Result<void> asked;
  if (post_.IsHome(request->actor)) {
    asked = actors_->OpenActor(request->actor, caller, request_id);
  } else if (post_.HomeOf(request->actor) != nullptr) {
    asked = remote_actors_.Open(request->actor, caller, request_id);
    if (asked) AskHome({request->actor, caller, request_id});
  } else {
    const ProcessId creator = CreatorOf(request->actor);
    RefuseCaller(caller, request_id,
                 HomeLost(request->actor, post_.AddressOfProcess(creator), post_.WhyLostMachineOf(creator)));
  }
  if (!asked) ReplyError(session, request_id, asked.error());
  return {};
}

void ChannelDesk::AskHome(const RemoteActors::Ask& ask) {
  const ClusterView::Node* const home = post_.HomeOf(ask.actor);
  if (home == nullptr) return;  // TellHomeLost has told the caller, or will soon
  wire::OpenActorRequestT request;
  request.actor = std::make_unique<wire::Id20>(ToWire(ask.actor));
  request.caller = ask.caller;
  request.request = ask.request_id;
  post_.Tell(home->id, wire::ActorMessage::OpenActor, Encode(request));
}

// ---- its home answers

void ChannelDesk::OnGranted(const GrantChannel& grant) {
  const NodeId& host = grant.place.IsRemote() ? grant.place.node : post_.node();
  const ClusterView::Node* const asker = post_.view().NodeOf(grant.caller);
  if (asker == nullptr)
    return Connect({grant.actor, grant.incarnation, host, grant.process}, grant.caller, grant.request_id);
  wire::ActorGrantedNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(grant.actor));
  notice.caller = grant.caller;
  notice.request = grant.request_id;
  notice.host = std::make_unique<wire::Id20>(ToWire(host));
  notice.process = grant.process;
  notice.incarnation = grant.incarnation;
  post_.Tell(asker->id, wire::ActorMessage::ActorGranted, Encode(notice));
}

void ChannelDesk::OnRefused(const RefuseChannel& refuse) {
  const ClusterView::Node* const asker = post_.view().NodeOf(refuse.caller);
  if (asker == nullptr) return RefuseCaller(refuse.caller, refuse.request_id, *refuse.failure);
  wire::ActorRefusedNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(refuse.actor));
  notice.caller = refuse.caller;
  notice.request = refuse.request_id;
  notice.failure = std::make_unique<Failure>(*refuse.failure);
  post_.Tell(asker->id, wire::ActorMessage::ActorRefused, Encode(notice));
}

void ChannelDesk::OnActorChanged(const TellActorChanged& change) {
  wire::ActorNoticeT notice;
  notice.actor = std::make_unique<wire::Id20>(ToWire(change.actor));
  notice.state = change.state;
  notice.restarts = change.restarts;
  if (change.failure) notice.failure = std::make_unique<Failure>(*change.failure);
  notice.ended = change.ended;
  notice.host_lost = change.host_lost;
  const ClusterView::Node* const asker = post_.view().NodeOf(change.process);
  if (asker == nullptr) return channels_.TellWatcher(change.process, change.actor, notice);
  wire::WatchedActorNoticeT watched;
  watched.process = change.process;
  watched.change = std::make_unique<wire::ActorNoticeT>(std::move(notice));
  post_.Tell(asker->id, wire::ActorMessage::WatchedActorChanged, Encode(watched));
}

Result<void> ChannelDesk::OnOpenActor(const NodeId& node, const Frame& frame) {
  const auto request = ParseAboutActor<wire::OpenActorRequestT>(frame.body);
  if (!request) return Fail(request.error());
  RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, request->message.caller));
  const auto opened = actors_->OpenActor(request->actor, request->message.caller, request->message.request);
  if (opened) return {};
  Failure failure;
  failure.kind = wire::FailureKind::ActorDied;
  failure.message = opened.error().message;
  failure.retry_safe = true;
  OnRefused({request->actor, request->message.caller, request->message.request,
             std::make_shared<const Failure>(std::move(failure))});
  return {};
}

// ---- another home answers

// The actor of a message that only its home may send. kProtocolError where `node` is not the home.
Result<ActorId> ChannelDesk::ActorOf(const NodeId& node, const wire::Id20* id) const {
  auto actor = CheckActorId(id);
  if (actor && MachineOf(CreatorOf(*actor)) != post_.MachineNumberOf(node))
    return Fail(ErrorCode::kProtocolError,
                StrCat("a machine speaks for actor ", actor->hex(), ", whose home is another"));
  return actor;
}

Result<void> ChannelDesk::OnActorGranted(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ActorGrantedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto actor = ActorOf(node, notice->actor.get());
  if (!actor) return Fail(actor.error());
  Connect({*actor, notice->incarnation, FromWire<NodeId>(*notice->host), notice->process}, notice->caller,
          notice->request);
  return {};
}

Result<void> ChannelDesk::OnActorRefused(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::ActorRefusedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto actor = ActorOf(node, notice->actor.get());
  if (!actor) return Fail(actor.error());
  RAYLET_RETURN_IF_ERROR(CheckFailure(notice->failure.get()));
  if (!remote_actors_.Answered(*actor, notice->caller, notice->request)) return {};
  RefuseCaller(notice->caller, notice->request, *notice->failure);
  return {};
}

Result<void> ChannelDesk::OnWatchedActorChanged(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::WatchedActorNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  const auto actor = ActorOf(node, notice->change->actor.get());
  if (!actor) return Fail(actor.error());
  if (notice->change->state > wire::ActorState::MAX)
    return Fail(ErrorCode::kProtocolError, "an actor is in an unknown state");
  if (notice->change->failure != nullptr) RAYLET_RETURN_IF_ERROR(CheckFailure(notice->change->failure.get()));
  if (notice->change->state == wire::ActorState::Dead) remote_actors_.Dead(*actor, notice->process);
  channels_.TellWatcher(notice->process, *actor, *notice->change);
  return {};
}

// ---- caller and actor are brought together

// The caller is ours.
void ChannelDesk::Connect(const CallChannels::GrantedActor& granted, ProcessId caller, uint64_t request_id) {
  const ActorId& actor = granted.actor;
  ProcessSession* const session = door_.SessionOf(caller);
  if (session == nullptr) return;  // its end is on its way
  const auto connected = granted.host == post_.node() ? channels_.ConnectHere(granted, *session, request_id)
                                                      : channels_.ConnectThere(granted, *session, request_id);
  if (connected) {
    (void)remote_actors_.Answered(actor, caller, request_id);
    return;
  }
  if (connected.error().code == ErrorCode::kNotFound) {  // the actor's home will hear of its end
    if (post_.IsHome(actor)) return actors_->GrantFailed(actor, caller, request_id);
    if (remote_actors_.AskAgain(actor, caller, request_id, clock_.Now() + kAskAgainAfter)) return AskAgainLater();
  }
  RAYLET_LOG(kError, "a channel could not be made: ", connected.error().message);
  (void)remote_actors_.Answered(actor, caller, request_id);
  ReplyError(*session, request_id, connected.error());
}

void ChannelDesk::ReplyError(ProcessSession& session, uint64_t request_id, const Error& why) {
  wire::OpenChannelReplyT reply;
  reply.status = MakeWireStatus(why);
  session.Send(wire::RayletMessage::OpenChannelReply, request_id, reply);
}

void ChannelDesk::RefuseCaller(ProcessId caller, uint64_t request_id, const Failure& failure) {
  ProcessSession* const session = door_.SessionOf(caller);
  if (session == nullptr) return;
  wire::OpenChannelReplyT reply;
  reply.status = MakeWireStatus({ErrorCode::kUnavailable, failure.message});
  reply.failure = std::make_unique<Failure>(failure);
  session->Send(wire::RayletMessage::OpenChannelReply, request_id, reply);
}

void ChannelDesk::AskAgainLater() {
  if (ask_again_) return;
  ask_again_ = Timer(loop_, std::chrono::duration_cast<std::chrono::milliseconds>(kAskAgainAfter), {}, [this] {
    ask_again_.Cancel();
    for (const RemoteActors::Ask& ask : remote_actors_.TakeDue(clock_.Now())) AskHome(ask);
    if (remote_actors_.AnyToAskAgain()) AskAgainLater();
  });
}

// ---- ends

void ChannelDesk::ProcessesGone(const ProcessSet& processes) {
  channels_.CallersGone(processes);
  for (const ProcessId process : processes) {
    remote_actors_.ProcessGone(process);
    channels_.CallerGone(process);
  }
}

void ChannelDesk::MachineLost(const NodeId& node, MachineNumber machine) {
  remote_actors_.HomeLost(machine);
  channels_.MachineLost(node);
}

size_t ChannelDesk::TellHomeLost(const ActorDirectory::LostMachine& home, size_t most) {
  const RemoteActors::Lost lost = remote_actors_.TakeLost(home.machine, most);
  for (const RemoteActors::Ask& ask : lost.asks)
    RefuseCaller(ask.caller, ask.request_id, HomeLost(ask.actor, home.address, home.why));
  for (const RemoteActors::Watcher& watcher : lost.watchers) {
    wire::ActorNoticeT notice;
    notice.actor = std::make_unique<wire::Id20>(ToWire(watcher.actor));
    notice.state = wire::ActorState::Dead;
    notice.failure = std::make_unique<Failure>(HomeLost(watcher.actor, home.address, home.why));
    channels_.TellWatcher(watcher.process, watcher.actor, notice);
  }
  return lost.asks.size() + lost.watchers.size();
}

}  // namespace raylet
