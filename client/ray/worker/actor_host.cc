#include "client/ray/worker/actor_host.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "fbs/id_lists.h"

namespace raylet::client {
namespace {

constexpr int kCallsPerTurn = 64;  // of one channel, before the next one has its turn
// More cannot lie in a ring when its caller lets go of it.
constexpr size_t kRecordsInRingMax = kChannelRingBytes / sizeof(uint64_t);

}  // namespace

ActorHost::~ActorHost() {
  threads_.reset();  // calls under way use the object
  if (instance_.destroy != nullptr) instance_.destroy(instance_.object);
}

void ActorHost::Open(std::unique_ptr<HostedChannel> channel) {
  if (channel->incarnation == incarnation_) {
    channels_.push_back(std::move(channel));
    return;
  }
  RAYLET_LOG(kError, "a channel is for incarnation ", channel->incarnation, " of this actor, which is ", incarnation_,
             ": it is not served");
}

void ActorHost::Close(uint64_t number) {
  const auto found =
      std::find_if(channels_.begin(), channels_.end(), [&](const auto& channel) { return channel->number == number; });
  if (found == channels_.end()) return;
  TakeReleases(**found);
  if ((*found)->relayed)
    (*found)->closing = true;
  else
    Erase(found);
}

// Its caller may live, and has opened another channel: nobody releases these lends again.
void ActorHost::TakeReleases(HostedChannel& channel) {
  if (channel.refused) return;
  RingConsumer& records = channel.memory.consumer;
  for (size_t i = 0; i < kRecordsInRingMax; ++i, records.Pop()) {
    const auto record = records.Peek();
    if (!record || !record->has_value()) return;
    static_cast<void>(TakeRelease(channel, **record));
  }
}

void ActorHost::TakeReleases() {
  for (const auto& channel : channels_)
    for (RingConsumer& records = channel->memory.consumer; !channel->refused; records.Pop()) {
      const auto record = records.Peek();
      if (!record || !record->has_value() || !TakeRelease(*channel, **record)) break;
    }
}

bool ActorHost::TakeRelease(const HostedChannel& channel, const RingRecord& record) {
  if (record.type != static_cast<uint32_t>(CallRecordType::kReleaseLend)) return false;
  if (const auto lend = ParseLendRecord(record.bytes)) const Holds ended = ownership_.EndLend(*lend, channel.caller);
  return true;
}

void ActorHost::Erase(std::vector<std::unique_ptr<HostedChannel>>::iterator channel) {
  waiting_bytes_ -= (*channel)->waiting_bytes;
  channels_.erase(channel);
}

uint64_t ActorHost::TakeReleased() {
  const auto found = std::find_if(channels_.begin(), channels_.end(), [](const auto& channel) {
    return channel->closing && channel->waiting.empty() && channel->on_threads == 0;
  });
  if (found == channels_.end()) return 0;
  const uint64_t number = (*found)->number;
  Erase(found);
  return number;
}

bool ActorHost::Reads(const HostedChannel& channel) const {
  if (channel.refused || channel.closing) return false;
  if (threads_ != nullptr && !threads_->HasRoom()) return false;
  if (channel.waiting.empty()) return true;
  return channel.waiting_bytes < kWaitingRepliesBytesMax && waiting_bytes_ < kAllWaitingRepliesBytesMax;
}

bool ActorHost::HasWork() {
  if (threads_ != nullptr && threads_->HasDone()) return true;
  for (const auto& channel : channels_) {
    if (Reads(*channel) && !channel->memory.consumer.Empty()) return true;
    if (channel->waiting.empty()) continue;
    if (channel->memory.producer.TryReserve(channel->waiting.front().bytes.size())) return true;
  }
  return false;
}

bool ActorHost::Idle() const {
  if (threads_ != nullptr && !threads_->Idle()) return false;
  return std::all_of(channels_.begin(), channels_.end(), [this](const auto& channel) {
    return channel->waiting.empty() && (!Reads(*channel) || channel->memory.consumer.Empty());
  });
}

ActorHost::Served ActorHost::ServeSome() {
  serves_ = MayServe();
  Served all = AnswerDone();
  if (all == Served::kActorExits) return all;
  // With threads, one call of each channel at a time: otherwise one caller could have them all.
  const int turns = threads_ == nullptr ? kCallsPerTurn : 1;
  const size_t first = threads_ == nullptr ? 0 : first_;
  for (size_t i = 0; i < channels_.size(); ++i) {
    if (!serves_) break;
    const size_t at = (first + i) % channels_.size();
    HostedChannel& channel = *channels_[at];
    if (SendWaiting(channel)) all = Served::kSome;
    for (int turn = 0; turn < turns && serves_ && Reads(channel); ++turn) {
      const auto served = ServeOne(channel);
      if (!served) {
        Refuse(channel, served.error());
        all = Served::kSome;
        break;
      }
      if (*served == Served::kActorExits) return *served;
      if (*served == Served::kNothing) break;
      all = Served::kSome;
      first_ = at + 1;
    }
  }
  return all;
}

Result<ActorHost::Served> ActorHost::ServeOne(HostedChannel& channel) {
  RingConsumer& calls = channel.memory.consumer;
  const auto record = calls.Peek();
  if (!record) return Fail(record.error());
  if (!record->has_value()) return Served::kNothing;
  const RingRecord& call = **record;
  if (call.type == static_cast<uint32_t>(CallRecordType::kReleaseLend)) {
    const auto lend = ParseLendRecord(call.bytes);
    if (!lend) return Fail(lend.error());
    const Holds ended = ownership_.EndLend(*lend, channel.caller);
    calls.Pop();
    return Served::kSome;
  }
  if (call.type != static_cast<uint32_t>(CallRecordType::kCall))
    return Fail(ErrorCode::kProtocolError, StrCat("a channel's record has the unknown type ", call.type));
  RAYLET_RETURN_IF_ERROR(ParseCallRecord(call.bytes, record_));
  if (threads_ != nullptr) {
    RAYLET_RETURN_IF_ERROR(BeginOnThread(channel, call.bytes));
    calls.Pop();
    return Served::kSome;
  }
  CallRequest request;
  request.function = record_.function;
  request.arguments = record_.arguments;
  request.result_id = record_.result_id;
  request.caller = channel.caller;
  request.caller_store_client = channel.caller_store_client;
  request.lend = record_.lend;
  request.exception_retries = record_.exception_retries;
  // The record stays in the ring meanwhile: the arguments are read where they lie.
  const CallOutcome outcome = runner_.Call(request, instance_.object);
  if (outcome.exit_actor) {
    calls.Pop();  // what its caller releases may come behind it
    return Served::kActorExits;
  }
  Answer(channel, record_, outcome);
  calls.Pop();
  return Served::kSome;
}

Result<void> ActorHost::BeginOnThread(HostedChannel& channel, std::span<const std::byte> record) {
  auto call = std::make_unique<ThreadedCall>();
  call->channel = channel.number;
  call->caller = channel.caller;
  call->caller_store_client = channel.caller_store_client;
  call->bytes.assign(record.begin(), record.end());
  RAYLET_RETURN_IF_ERROR(ParseCallRecord(call->bytes, call->record));
  ++channel.on_threads;
  threads_->Run(std::move(call), instance_.object);
  return {};
}

// Replies to the calls that have ended on threads.
ActorHost::Served ActorHost::AnswerDone() {
  Served all = Served::kNothing;
  if (threads_ == nullptr) return all;
  while (const auto call = threads_->TakeDone()) {
    if (all == Served::kNothing) all = Served::kSome;
    if (call->outcome.exit_actor) all = Served::kActorExits;
    const auto found = std::find_if(channels_.begin(), channels_.end(),
                                    [&](const auto& channel) { return channel->number == call->channel; });
    if (found == channels_.end()) continue;  // its caller has gone
    --(*found)->on_threads;
    if (!call->outcome.exit_actor) Answer(**found, call->record, call->outcome);
  }
  return all;
}

void ActorHost::Answer(HostedChannel& channel, const CallRecord& call, const CallOutcome& outcome) {
  ReplyRecord reply;
  reply.call = call.call;
  reply.lend = outcome.lend;
  reply.references = BytesOf(outcome.references);
  reply.arguments_retained = outcome.arguments_retained;
  reply.retained = BytesOf(outcome.retained);
  reply.result.kind = outcome.kind;
  reply.result.bytes = outcome.bytes;
  if (outcome.kind == ValueView::Kind::kStored) reply.result.id = call.result_id;
  Reply(channel, reply);
}

void ActorHost::Reply(HostedChannel& channel, const ReplyRecord& reply) {
  const size_t bytes = ReplyRecordBytes(reply);
  serves_ = MayServe();  // the call may have taken long; this is the look before the next call, too
  if (serves_ && channel.waiting.empty()) {
    if (const auto room = channel.memory.producer.TryReserve(bytes)) {
      WriteReplyRecord(reply, *room);
      channel.memory.producer.Commit(static_cast<uint32_t>(CallRecordType::kReply), bytes);
      channel.memory.bell.Ring();
      return;
    }
  }
  HostedChannel::Record waiting{CallRecordType::kReply, Bytes(bytes)};
  WriteReplyRecord(reply, waiting.bytes);
  Wait(channel, std::move(waiting));
  channel.memory.bell.Ring();
}

void ActorHost::Wait(HostedChannel& channel, HostedChannel::Record record) {
  channel.waiting_bytes += record.counted();
  waiting_bytes_ += record.counted();
  channel.waiting.push_back(std::move(record));
}

// Tells the caller why, behind the replies that it still gets. The channel goes when the raylet reports that the caller
// has gone.
void ActorHost::Refuse(HostedChannel& channel, const Error& nonsense) {
  RAYLET_LOG(kError, "process ", channel.caller, " wrote nonsense into its channel: ", nonsense.message);
  channel.refused = true;
  const Holds ended = ownership_.EndLendsOf(channel.caller);
  const auto text = std::as_bytes(std::span(nonsense.message));
  Wait(channel, {CallRecordType::kRefused, Bytes(text.begin(), text.end())});
  if (serves_) SendWaiting(channel);
}

bool ActorHost::SendWaiting(HostedChannel& channel) {
  bool any = false;
  while (!channel.waiting.empty()) {
    const HostedChannel::Record& next = channel.waiting.front();
    if (!channel.memory.producer.TryPush(static_cast<uint32_t>(next.type), next.bytes)) break;
    channel.waiting_bytes -= next.counted();
    waiting_bytes_ -= next.counted();
    channel.waiting.pop_front();
    any = true;
  }
  if (any) channel.memory.bell.Ring();
  return any;
}

}  // namespace raylet::client
