#include "raylet/node/call_channels.h"

#include "base/shm_segment.h"
#include "base/strings.h"
#include "fbs/call_record.h"
#include "fbs/id_lists.h"
#include "raylet/actors/failure_text.h"

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

CallChannels::CallChannels(const Services& services)
    : loop_(services.loop),
      store_(services.store),
      post_(services.post),
      door_(services.door),
      house_(services.house),
      leases_(services.leases),
      end_notices_(services.end_notices) {}

void CallChannels::Wire(const ActorHomes& actors, TravellingObjects& objects) {
  actors_ = &actors;
  objects_ = &objects;
}

void CallChannels::JoinCluster() { relay_ = std::make_unique<ChannelRelay>(loop_, *this); }

// ---- caller and actor are brought together

Result<void> CallChannels::ConnectHere(const GrantedActor& granted, ProcessSession& caller, uint64_t request_id) {
  const ActorId& actor = granted.actor;
  ProcessSession* const worker = door_.SessionOf(granted.process);
  const WorkerRecord* const record = worker == nullptr ? nullptr : house_.Find(worker->identity->worker);
  if (record == nullptr || record->actor != actor || record->incarnation != granted.incarnation)
    return Fail(ErrorCode::kNotFound, StrCat("actor ", actor.hex(), " does not run here any more"));
  const ChannelId number = book_.NewNumber();
  const auto channel = MakeChannel(number);
  if (!channel) return Fail(channel.error());
  if (const auto before = book_.Open({number, actor, caller.identity->process, worker->identity->worker}))
    Close(*before);
  end_notices_.Meet(granted.process, caller.identity->process);
  wire::ChannelNoticeT notice;
  notice.channel = number;
  notice.caller = caller.identity->process;
  notice.caller_store_client = caller.identity->store_client;
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  notice.incarnation = granted.incarnation;
  const int to_worker[] = {channel->get(), caller.identity->doorbell.get()};
  worker->Send(wire::RayletMessage::ChannelOpened, 0, notice, to_worker);
  wire::OpenChannelReplyT reply;
  reply.status = OkStatus();
  reply.channel = number;
  reply.process = granted.process;
  reply.incarnation = granted.incarnation;
  reply.lease = actors_->LeaseOf(actor);
  const int to_caller[] = {channel->get(), worker->identity->doorbell.get()};
  caller.Send(wire::RayletMessage::OpenChannelReply, request_id, reply, to_caller);
  return {};
}

Result<void> CallChannels::ConnectThere(const GrantedActor& granted, ProcessSession& caller, uint64_t request_id) {
  const ActorId& actor = granted.actor;
  const NodeId& host = granted.host;
  if (post_.LivingNode(host) == nullptr)
    return Fail(ErrorCode::kNotFound, StrCat("actor ", actor.hex(), " runs on the machine at ", post_.AddressOf(host),
                                             ", which this machine cannot reach: see `raylet status`"));
  const auto relay =
      relay_->Open(host, actor, granted.incarnation, caller.identity->process, caller.identity->doorbell);
  if (!relay) return Fail(relay.error());
  wire::OpenChannelReplyT reply;
  reply.status = OkStatus();
  reply.process = granted.process;
  reply.incarnation = granted.incarnation;
  reply.relayed = true;
  const int fds[] = {relay->channel.get(), relay->bell.get()};
  caller.Send(wire::RayletMessage::OpenChannelReply, request_id, reply, fds);
  return {};
}

void CallChannels::TellWatcher(ProcessId process, const ActorId& actor, const wire::ActorNoticeT& notice) {
  ProcessSession* const session = door_.SessionOf(process);
  if (session == nullptr) return;
  if (relay_ != nullptr && notice.host_lost) relay_->Cut(process, actor, notice.ended);
  if (relay_ != nullptr && relay_->IsOpen(process, actor)) {
    held_back_[{process, actor}].push_back(Encode(notice));
    return;
  }
  // Those that a relay which was cut still held back.
  auto held = held_back_.extract({process, actor});
  if (!held.empty())
    for (const Bytes& earlier : held.mapped()) session->SendBytes(wire::RayletMessage::ActorChanged, 0, earlier);
  session->Send(wire::RayletMessage::ActorChanged, 0, notice);
}

Result<void> CallChannels::OnChannelReleased(ProcessSession& session, const Frame& frame) {
  const auto notice = Parse<wire::ChannelNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (session.identity->kind != wire::ProcessKind::Worker)
    return Fail(ErrorCode::kProtocolError, "a driver lets go of an actor's channel");
  if (relay_ != nullptr) relay_->ChannelReleased(session.identity->worker, notice->channel);
  return {};
}

// ---- ends

void CallChannels::Close(const ChannelBook::Channel& channel) {
  OnCallerGone(channel.worker, channel.number, channel.caller, channel.actor);
}

void CallChannels::WorkerGone(WorkerId worker, uint32_t store_client) {
  if (relay_ != nullptr) relay_->WorkerGone(worker, store_client);
}

void CallChannels::CallersGone(const ProcessSet& processes) {
  for (const ChannelBook::Channel& channel : book_.CallersGone(processes)) Close(channel);
  std::erase_if(held_back_, [&](const auto& entry) { return processes.contains(entry.first.first); });
}

void CallChannels::CallerGone(ProcessId process) {
  if (relay_ != nullptr) relay_->CallerGone(process);
}

// ---- events of the relay

void CallChannels::TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) {
  post_.Tell(node, type, std::move(body));
}

void CallChannels::OnRelayAsked(const NodeId& node, RelayNumber relay, const ActorId& actor, uint32_t incarnation,
                                ProcessId caller) {
  const WorkerId worker = actors_->WorkerOf(actor);
  ProcessSession* const session = house_.SessionOf(worker);
  if (session == nullptr || !house_.Get(worker).constructed || house_.Get(worker).incarnation != incarnation)
    return relay_->Refuse(node, relay, {});
  const ChannelId number = book_.NewNumber();
  const auto ends =
      relay_->Host(node, relay, actor, caller, worker, number, actors_->LeaseOf(actor), session->identity->doorbell);
  if (!ends) return relay_->Refuse(node, relay, Fail(ends.error()));
  end_notices_.Meet(session->identity->process, caller);
  wire::ChannelNoticeT notice;
  notice.channel = number;
  notice.caller = caller;
  notice.caller_store_client = store_.client_number();
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  notice.relayed = true;
  notice.incarnation = incarnation;
  const int fds[] = {ends->channel.get(), ends->bell.get()};
  session->Send(wire::RayletMessage::ChannelOpened, 0, notice, fds);
}

void CallChannels::OnRelayEnded(ProcessId caller, const ActorId& actor, const Error* why) {
  ProcessSession* const session = door_.SessionOf(caller);
  auto held = held_back_.extract({caller, actor});
  if (session == nullptr) return;
  if (!held.empty()) {
    for (const Bytes& notice : held.mapped()) session->SendBytes(wire::RayletMessage::ActorChanged, 0, notice);
  } else if (why != nullptr) {
    // The actor's home may not know, or may tell later. The calls fail now, and the next ones ask anew.
    wire::ActorNoticeT notice;
    notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
    notice.state = wire::ActorState::Restarting;
    notice.failure = std::make_unique<Failure>(ChannelLost(actor, *why));
    session->Send(wire::RayletMessage::ActorChanged, 0, notice);
  }
}

void CallChannels::OnCallerGone(WorkerId worker, ChannelId channel, ProcessId caller, const ActorId& actor) {
  ProcessSession* const session = house_.SessionOf(worker);
  if (session == nullptr) return;
  wire::ChannelNoticeT notice;
  notice.channel = channel;
  notice.caller = caller;
  notice.actor = std::make_unique<wire::Id20>(ToWire(actor));
  session->Send(wire::RayletMessage::ChannelClosed, 0, notice);
}

void CallChannels::OnStoredHere(ProcessId caller, const ObjectId& object) {
  objects_->ResultHereOfWhoMayHaveEnded(caller, object);
}

void CallChannels::OnUntold(uint32_t store_client, const ObjectId& object) {
  if (store_client != 0) store_.DeleteMadeBy(store_client, {&object, 1});
}

void CallChannels::OnStoredThere(const NodeId& node, const ReplyRecord& reply, bool delivered) {
  const ObjectId& object = reply.result.id;
  objects_->ResultThere(node, object, IdsFromBytes(reply.references), delivered && door_.IsConnected(OwnerOf(object)));
}

}  // namespace raylet
