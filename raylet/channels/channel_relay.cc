#include "raylet/channels/channel_relay.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr std::chrono::milliseconds kRetryMin{1};
constexpr std::chrono::milliseconds kRetryMax{10};

bool IsStoredResult(const ReplyRecord& reply) { return reply.result.kind == ValueView::Kind::kStored; }

}  // namespace

ChannelRelay::ChannelRelay(Loop& loop, Events& events) : loop_(loop), events_(events) {}

ChannelRelay::~ChannelRelay() = default;

// ---- the caller's side

Result<RelayEnd::Descriptors> ChannelRelay::Open(const NodeId& host, const ActorId& actor, uint32_t incarnation,
                                                 ProcessId caller, const UniqueFd& callers_doorbell) {
  if (Relay* const before = relays_.Opened(caller, actor); before != nullptr) Close(*before);
  auto relay = std::make_unique<Relay>();
  relay->opened = true;
  relay->node = host;
  relay->number = next_++;
  relay->actor = actor;
  relay->incarnation = incarnation;
  relay->caller = caller;
  RelayEnd::Descriptors descriptors;
  auto end = RelayEnd::Make(
      loop_, RelayEnd::Process::kCaller, StrCat("raylet-relay-", relay->number), callers_doorbell,
      [this, raw = relay.get()] { Rung(*raw); }, descriptors);
  if (!end) return Fail(std::move(end).error());
  relay->end = *std::move(end);
  wire::OpenRelayRequestT request;
  request.relay = relay->number;
  request.actor = std::make_unique<wire::Id20>(ToWire(actor));
  request.incarnation = incarnation;
  request.caller = caller;
  relays_.AddOpened(std::move(relay));
  events_.TellPeer(host, wire::ChannelMessage::OpenRelay, Encode(request));
  return descriptors;
}

void ChannelRelay::Cut(ProcessId caller, const ActorId& actor, uint32_t incarnation) {
  Relay* const relay = relays_.Opened(caller, actor);
  if (relay != nullptr && relay->incarnation <= incarnation) Close(*relay);
}

void ChannelRelay::CallerGone(ProcessId caller) {
  for (Relay* const relay : relays_.Each([&](const Relay& each) { return each.opened && each.caller == caller; }))
    if (!relay->retired) Close(*relay);
}

// A relay that this side opened: its caller has gone, or opens another.
void ChannelRelay::Close(Relay& relay) {
  Retire(relay);
  relay.end->Drop([&](const RelayRecord& record) {
    if (record.type != static_cast<uint32_t>(CallRecordType::kReply)) return;
    if (const auto reply = ParseReplyRecord(record.bytes); reply && IsStoredResult(*reply))
      events_.OnStoredThere(relay.node, *reply, /*delivered=*/false);
  });
  if (relay.ended || relay.node_gone) return;
  wire::RelayNoticeT notice;
  notice.relay = relay.number;
  events_.TellPeer(relay.node, wire::ChannelMessage::CloseRelay, Encode(notice));
}

// ---- the actor's side

Result<RelayEnd::Descriptors> ChannelRelay::Host(const NodeId& node, RelayNumber number, const ActorId& actor,
                                                 ProcessId caller, WorkerId worker, ChannelId channel,
                                                 LeaseNumber lease, const UniqueFd& workers_doorbell) {
  if (relays_.HostedFor(node) >= kRelaysPerNodeMax)
    return Fail(ErrorCode::kFull, StrCat("the processes of one other machine have ", kRelaysPerNodeMax,
                                         " channels to actors here, which is the limit"));
  auto relay = std::make_unique<Relay>();
  relay->node = node;
  relay->number = number;
  relay->actor = actor;
  relay->caller = caller;
  relay->worker = worker;
  relay->channel = channel;
  relay->lease = lease;
  relay->calls_at_once = events_.CallsAtOnceOf(actor);
  RelayEnd::Descriptors descriptors;
  auto end = RelayEnd::Make(
      loop_, RelayEnd::Process::kWorker, StrCat("raylet-channel-", channel), workers_doorbell,
      [this, raw = relay.get()] { Rung(*raw); }, descriptors);
  if (!end) return Fail(std::move(end).error());
  relay->end = *std::move(end);
  RAYLET_RETURN_IF_ERROR(relays_.AddHosted(std::move(relay)));
  return descriptors;
}

void ChannelRelay::Refuse(const NodeId& node, RelayNumber relay, const Result<void>& why) {
  wire::RelayEndedNoticeT notice;
  notice.relay = relay;
  notice.status = why ? OkStatus() : MakeWireStatus(why.error());
  events_.TellPeer(node, wire::ChannelMessage::RelayEnded, Encode(notice));
}

void ChannelRelay::ChannelReleased(WorkerId worker, ChannelId channel) {
  Relay* const relay = relays_.Closing(worker, channel);
  if (relay == nullptr) return;
  Send(*relay);
  Retire(*relay);
}

void ChannelRelay::WorkerGone(WorkerId worker, uint32_t store_client) {
  for (Relay* const relay : relays_.Each([&](const Relay& each) { return !each.opened && each.worker == worker; })) {
    if (relay->retired) continue;
    relay->worker_gone = true;
    relay->store_client = store_client;
    relay->end->Drop([](const RelayRecord&) {});  // calls that the worker will never take
    Send(*relay);
    EndWhenDone(*relay);
  }
}

// The caller has gone. The worker may be in the middle of a call; this side still has to read its
// result.
void ChannelRelay::CloseHosted(Relay& relay) {
  relay.caller_gone = true;
  relay.end->Drop([](const RelayRecord&) {});
  relays_.StartClosing(relay);
  Send(relay);
  EndWhenDone(relay);
  if (!relay.retired) events_.OnCallerGone(relay.worker, relay.channel, relay.caller, relay.actor);
}

// ---- from our process to the other machine

void ChannelRelay::Rung(Relay& relay) {
  if (relay.retired) return;
  HandOver(relay);
  if (relay.retired) return;
  Send(relay);
  EndWhenDone(relay);
}

void ChannelRelay::Send(Relay& relay) {
  // One whose caller has gone acknowledges nothing.
  if (relay.opened && relay.node_gone) return;  // the caller hears soon that these calls did not get there
  relay.held = !relay.opened && !relay.caller_gone && !events_.MayAnswer(relay.lease);
  if (relay.held) return RetrySoon(relay);
  std::vector<uint8_t> batch;
  // A caller that has gone gives no credit. Its raylet only hears which results the caller will not
  // take.
  while (relay.reads && !relay.retired && (relay.credit > 0 || relay.caller_gone)) {
    const auto record = relay.end->Peek();
    auto checked = record ? Result<void>() : Result<void>(Fail(record.error()));
    if (checked && !record->has_value()) break;
    if (checked) checked = relay.opened ? CheckCall(relay, **record) : CheckReply(relay, **record);
    if (!checked) {
      SendBatch(relay, batch);
      RefuseProcess(relay, checked.error());
      return;
    }
    if (!batch.empty() && batch.size() + (*record)->counted() > kRelayBatchBytes) SendBatch(relay, batch);
    AppendRelayRecord(batch, **record);
    relay.credit -= static_cast<int64_t>((*record)->counted());
    relay.end->Pop();
  }
  relay.end->TellOfRoom();
  SendBatch(relay, batch);
}

void ChannelRelay::SendBatch(Relay& relay, std::vector<uint8_t>& records) {
  if (records.empty()) return;
  wire::RelayedRecordsT message;
  message.relay = relay.number;
  message.to_actor = relay.opened;
  message.records = std::exchange(records, {});
  if (!relay.node_gone) events_.TellPeer(relay.node, wire::ChannelMessage::RelayRecords, Encode(message));
}

Result<void> ChannelRelay::CheckCall(const Relay& relay, const RelayRecord& record) {
  switch (static_cast<CallRecordType>(record.type)) {
    case CallRecordType::kCall:
      RAYLET_RETURN_IF_ERROR(ParseCallRecord(record.bytes, scratch_));
      // Checked here, on the caller's machine, because the fault is the caller's. Otherwise the worker that answers
      // under such an id would get the blame.
      if (OwnerOf(scratch_.result_id) != relay.caller)
        return Fail(ErrorCode::kProtocolError, StrCat("a call names object ", scratch_.result_id.hex(),
                                                      " for its result, which its caller does not own"));
      return {};
    case CallRecordType::kReleaseLend:
      if (const auto lend = ParseLendRecord(record.bytes); !lend) return Fail(lend.error());
      return {};
    default: return Fail(ErrorCode::kProtocolError, StrCat("a caller's record has the unknown type ", record.type));
  }
}

Result<void> ChannelRelay::CheckReply(Relay& relay, const RelayRecord& record) {
  switch (static_cast<CallRecordType>(record.type)) {
    case CallRecordType::kReply: {
      const auto reply = ParseReplyRecord(record.bytes);
      if (!reply) return Fail(reply.error());
      // Most replies are to the first call. An actor with threads answers in another order.
      if (const auto answered = std::find_if(relay.unanswered.begin(), relay.unanswered.end(),
                                             [&](const Relay::Call& call) { return call.number == reply->call; });
          answered != relay.unanswered.end())
        relay.unanswered.erase(answered);
      if (!IsStoredResult(*reply)) return {};
      if (OwnerOf(reply->result.id) != relay.caller)
        return Fail(ErrorCode::kProtocolError,
                    StrCat("an actor's result is object ", reply->result.id.hex(), ", which its caller does not own"));
      events_.OnStoredHere(relay.caller, reply->result.id);
      return {};
    }
    case CallRecordType::kReleaseLend:
      if (const auto lend = ParseLendRecord(record.bytes); !lend) return Fail(lend.error());
      return {};
    case CallRecordType::kRefused: return {};
    default: return Fail(ErrorCode::kProtocolError, StrCat("an actor's record has the unknown type ", record.type));
  }
}

// The caller hears the reason: our process where it is the caller, otherwise the one on the other
// machine.
void ChannelRelay::RefuseProcess(Relay& relay, const Error& nonsense) {
  RAYLET_LOG(kError, relay.opened ? "a caller" : "an actor's worker",
             " wrote nonsense into its channel; this raylet reads no more of it: ", nonsense.message);
  relay.reads = false;
  const RelayRecord told{static_cast<uint32_t>(CallRecordType::kRefused), std::as_bytes(std::span(nonsense.message))};
  if (!relay.opened) {
    std::vector<uint8_t> batch;
    AppendRelayRecord(batch, told);
    SendBatch(relay, batch);
    return;
  }
  static_cast<void>(relay.end->Push(told));  // without room an end that takes nothing hears nothing
  HandOver(relay);
}

// ---- from the other machine to our process

void ChannelRelay::HandOver(Relay& relay) {
  relay.end->Flush([&](const RelayRecord& record) {
    relay.untold += record.counted();
    if (!relay.opened || record.type != static_cast<uint32_t>(CallRecordType::kReply)) return;
    if (const auto reply = ParseReplyRecord(record.bytes); reply && IsStoredResult(*reply))
      events_.OnStoredThere(relay.node, *reply, /*delivered=*/true);
  });
  if (relay.untold >= kRelayWindowBytes / 4 && !relay.ended && !relay.caller_gone) {
    wire::RelayCreditNoticeT credit;
    credit.relay = relay.number;
    credit.to_actor = !relay.opened;
    credit.bytes = std::exchange(relay.untold, 0);
    events_.TellPeer(relay.node, wire::ChannelMessage::RelayCredit, Encode(credit));
  }
  if (relay.end->broken()) relay.end->Drop([](const RelayRecord&) {});  // the worker will never take them
  if (relay.end->waits() || relay.held)
    RetrySoon(relay);
  else
    stuck_.erase(&relay);
}

// A process rings no bell when it takes a record from its ring.
void ChannelRelay::RetrySoon(Relay& relay) {
  stuck_.insert(&relay);
  if (retry_) return;
  retry_ = Timer(loop_, retry_after_, {}, [this] { Retry(); });
}

void ChannelRelay::Retry() {
  retry_.Cancel();
  const std::vector<Relay*> tried(stuck_.begin(), stuck_.end());
  retry_after_ = std::min(retry_after_ * 2, kRetryMax);
  for (Relay* const relay : tried) {
    const uint64_t before = relay->untold;
    if (relay->held) Send(*relay);
    HandOver(*relay);
    if (relay->untold != before) retry_after_ = kRetryMin;
    EndWhenDone(*relay);
  }
  if (stuck_.empty()) retry_after_ = kRetryMin;
}

// ---- ends

void ChannelRelay::EndWhenDone(Relay& relay) {
  if (relay.retired) return;
  if (relay.opened) {
    if (!relay.ended || relay.end->waits()) return;
    Retire(relay);
    events_.OnRelayEnded(relay.caller, relay.actor, relay.why ? &*relay.why : nullptr);
    return;
  }
  if (!relay.worker_gone) return;
  if (relay.held && !relay.caller_gone) {
    // Its home may have replaced it. The caller's raylet hears of the end first, and then only which
    // results nobody takes.
    Refuse(relay.node, relay.number, {});
    relay.caller_gone = true;
    Send(relay);
  }
  // With a record left to read, the relay waits for credit and does not end yet.
  if (const auto more = relay.end->Peek(); relay.reads && more && more->has_value()) return;
  // The worker begins calls in their order, and runs no more at a time: it did not begin the later ones.
  for (size_t i = 0; i < std::min(relay.calls_at_once, relay.unanswered.size()); ++i)
    events_.OnUntold(relay.store_client, relay.unanswered[i].result);
  if (!relay.caller_gone) Refuse(relay.node, relay.number, {});
  Retire(relay);
}

void ChannelRelay::Retire(Relay& relay) {
  relay.retired = true;
  relay.end->Quiet();
  stuck_.erase(&relay);
  retired_.push_back(relays_.Take(relay));
  if (std::exchange(clear_posted_, true)) return;
  loop_.Post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    clear_posted_ = false;
    retired_.clear();
  });
}

// ---- messages of other raylets

Result<void> ChannelRelay::OnMessage(const NodeId& node, const Frame& frame) {
  switch (static_cast<wire::ChannelMessage>(frame.header.type)) {
    case wire::ChannelMessage::OpenRelay: return OnOpenRelay(node, frame);
    case wire::ChannelMessage::RelayRecords: return OnRecords(node, frame);
    case wire::ChannelMessage::RelayCredit: return OnCredit(node, frame);
    case wire::ChannelMessage::CloseRelay: return OnCloseRelay(node, frame);
    case wire::ChannelMessage::RelayEnded: return OnEnded(node, frame);
    default:
      return Fail(ErrorCode::kProtocolError, StrCat("message ", frame.header.type, " about channels is unknown"));
  }
}

Relay* ChannelRelay::Find(const NodeId& node, RelayNumber number, bool to_actor) const {
  return to_actor ? relays_.Hosted(node, number) : relays_.Opened(node, number);
}

Result<void> ChannelRelay::OnOpenRelay(const NodeId& node, const Frame& frame) {
  const auto request = Parse<wire::OpenRelayRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto actor = FromWire<ActorId>(*request->actor);
  if (request->relay == 0 || actor.IsNil() || request->caller == 0 || request->incarnation == 0)
    return Fail(ErrorCode::kProtocolError, "a relay is opened without a number, an actor, its incarnation or a caller");
  if (Find(node, request->relay, /*to_actor=*/true) != nullptr)
    return Fail(ErrorCode::kProtocolError, StrCat("relay ", request->relay, " is opened twice"));
  events_.OnRelayAsked(node, request->relay, actor, request->incarnation, request->caller);
  return {};
}

Result<void> ChannelRelay::OnRecords(const NodeId& node, const Frame& frame) {
  const MessageView<wire::RelayedRecords> message(frame.body);
  if (!message) return Fail(message.error());
  const bool to_actor = message->to_actor();
  Relay* const relay = Find(node, message->relay(), to_actor);
  const auto take = [&](const RelayRecord& record) -> Result<void> {
    if (!to_actor && record.type == static_cast<uint32_t>(CallRecordType::kReply)) {
      const auto reply = ParseReplyRecord(record.bytes);
      if (!reply) return Fail(reply.error());
      if (relay == nullptr && IsStoredResult(*reply)) events_.OnStoredThere(node, *reply, /*delivered=*/false);
    }
    // The worker or the caller has gone meanwhile.
    if (relay == nullptr || relay->worker_gone) return {};
    RAYLET_RETURN_IF_ERROR(relay->end->Push(record));
    if (to_actor && record.type == static_cast<uint32_t>(CallRecordType::kCall) &&
        ParseCallRecord(record.bytes, scratch_))
      relay->unanswered.push_back({scratch_.call, scratch_.result_id});
    return {};
  };
  RAYLET_RETURN_IF_ERROR(EachRelayRecord({message->records()->data(), message->records()->size()}, std::ref(take)));
  if (relay == nullptr) return {};
  HandOver(*relay);
  EndWhenDone(*relay);  // a handler above may have ended the session with that machine
  return {};
}

Result<void> ChannelRelay::OnCredit(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::RelayCreditNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  // The raylet that opened the relay gets credit for calls.
  Relay* const relay = Find(node, notice->relay, !notice->to_actor);
  if (relay == nullptr) return {};
  if (notice->bytes > kRelayWindowBytes * 2 ||
      relay->credit + static_cast<int64_t>(notice->bytes) > static_cast<int64_t>(kRelayWindowBytes))
    return Fail(ErrorCode::kProtocolError,
                StrCat("relay ", notice->relay, " gets credit for ", notice->bytes, " bytes that were not sent"));
  relay->credit += static_cast<int64_t>(notice->bytes);
  Send(*relay);
  EndWhenDone(*relay);
  return {};
}

Result<void> ChannelRelay::OnCloseRelay(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::RelayNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  if (Relay* const relay = relays_.Hosted(node, notice->relay); relay != nullptr) CloseHosted(*relay);
  return {};
}

Result<void> ChannelRelay::OnEnded(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::RelayEndedNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  Relay* const relay = Find(node, notice->relay, /*to_actor=*/false);
  if (relay == nullptr) return {};
  relay->ended = true;
  if (const auto why = FromStatus(*notice->status); !why) relay->why = why.error();
  EndWhenDone(*relay);
  return {};
}

void ChannelRelay::MachineLost(const NodeId& node) {
  std::vector<LostRelay>& lost = lost_[node];
  for (Relay* const relay : relays_.Each([&](const Relay& each) { return each.node == node; })) {
    relay->node_gone = true;
    lost.push_back({relay->opened, relay->number});
  }
}

size_t ChannelRelay::EndLost(const NodeId& node, const Error& why, size_t most) {
  size_t ended = 0;
  for (auto lost = lost_.find(node); lost != lost_.end() && ended < most;) {
    if (lost->second.empty()) {
      lost_.erase(lost);
      break;
    }
    const LostRelay next = lost->second.back();
    lost->second.pop_back();
    Relay* const relay = Find(node, next.number, /*to_actor=*/!next.opened);
    if (relay == nullptr || !relay->node_gone) continue;  // it has ended meanwhile, or closes
    ++ended;
    if (!relay->opened) {
      CloseHosted(*relay);
      continue;
    }
    relay->ended = true;
    relay->why = why;
    EndWhenDone(*relay);
  }
  return ended;
}

}  // namespace raylet
