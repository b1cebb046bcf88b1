#include "client/ray/cluster/call_channel.h"

#include <algorithm>

#include "base/strings.h"
#include "client/ray/cluster/actor_call.h"
#include "client/ray/cluster/borrowed_lend.h"
#include "fbs/id_lists.h"

namespace raylet::client {

Result<ChannelMemory> ChannelMemory::Attach(const UniqueFd& channel, UniqueFd bell, bool relayed, End end) {
  auto memory = Mapping::Map(channel.get(), ChannelBytes(), Mapping::Access::kReadWrite);
  if (!memory) return Fail(std::move(memory).error());
  auto doorbell = relayed ? Result<Bell>(Bell::OfEvent(std::move(bell))) : Bell::OfDoorbell(bell.get());
  if (!doorbell) return Fail(std::move(doorbell).error());
  auto out = AttachRings(*std::move(memory), *std::move(doorbell), end);
  if (out) out->relayed = relayed;
  return out;
}

Result<ChannelMemory> ChannelMemory::AttachLease(const UniqueFd& channel, UniqueFd bell, End end) {
  auto memory = Mapping::Map(channel.get(), LeaseChannelBytes(), Mapping::Access::kReadWrite);
  if (!memory) return Fail(std::move(memory).error());
  auto doorbell = Bell::OfDoorbell(bell.get());
  if (!doorbell) return Fail(std::move(doorbell).error());
  auto* const gate = reinterpret_cast<CallGate*>(memory->data() + GateOffset());
  auto out = AttachRings(*std::move(memory), *std::move(doorbell), end);
  if (out) out->gate = gate;
  return out;
}

Result<ChannelMemory> ChannelMemory::AttachRings(Mapping memory, Bell bell, End end) {
  ChannelMemory out;
  const auto [calls, replies] = RingsOf({memory.data(), ChannelBytes()});
  auto producer = RingProducer::Attach(end == End::kCaller ? calls : replies);
  if (!producer) return Fail(std::move(producer).error());
  auto consumer = RingConsumer::Attach(end == End::kCaller ? replies : calls);
  if (!consumer) return Fail(std::move(consumer).error());
  out.memory = std::move(memory);
  out.bell = std::move(bell);
  out.producer = *producer;
  out.consumer = *consumer;
  return out;
}

Result<ChannelFds> TakeChannelFds(std::vector<UniqueFd>& fds) {
  if (fds.size() < 2)
    return Fail(ErrorCode::kProtocolError, StrCat("a channel came with ", fds.size(), " descriptors instead of 2"));
  ChannelFds out{std::move(fds[0]), std::move(fds[1])};
  fds.erase(fds.begin(), fds.begin() + 2);
  return out;
}

CallChannel::Sent CallChannel::TryCall(CallRecord& record, PendingCall& pending) {
  {
    const MutexLock lock(calls_mutex_);
    if (pending_count_.load(std::memory_order_relaxed) >= kCallsInFlightMax) return Sent::kFull;
    record.call = next_call_;
    const size_t bytes = CallRecordBytes(record);
    const auto room = calls_.TryReserve(bytes);
    if (!room) return calls_.broken() ? Sent::kBroken : Sent::kFull;
    WriteCallRecord(record, *room);
    {
      const MutexLock pending_lock(pending_mutex_);  // before the reply can come
      waiting_.push_back(std::move(pending));
    }
    pending_count_.fetch_add(1, std::memory_order_seq_cst);
    ++next_call_;
    calls_.Commit(static_cast<uint32_t>(CallRecordType::kCall), bytes);
    if (gate_ != nullptr) gate_->pushed.store(record.call, std::memory_order_relaxed);
  }
  bell_.Ring();
  return Sent::kYes;
}

bool CallChannel::TryReleaseLend(LendId lend) {
  std::array<std::byte, 8> bytes;
  WriteLendRecord(lend, bytes);
  {
    const MutexLock lock(calls_mutex_);
    if (!takes_releases_ || !calls_.TryPush(static_cast<uint32_t>(CallRecordType::kReleaseLend), bytes)) return false;
  }
  bell_.Ring();
  return true;
}

void CallChannel::TakeNoMoreReleases() {
  const MutexLock lock(calls_mutex_);
  takes_releases_ = false;
}

Result<size_t> CallChannel::Drain() {
  if (!other_.lease.Holds()) return 0;
  auto taken = TakeRecords();
  if (replies_.TakeRoomNews()) bell_.Ring();
  return taken;
}

Result<size_t> CallChannel::TakeRecords() {
  size_t records = 0;
  for (;;) {
    const auto record = replies_.Peek();
    if (!record) return Fail(record.error());
    if (!record->has_value()) return records;
    const RingRecord& reply = **record;
    if (reply.type == static_cast<uint32_t>(CallRecordType::kReply)) {
      RAYLET_RETURN_IF_ERROR(TakeReply(reply.bytes));
    } else if (reply.type == static_cast<uint32_t>(CallRecordType::kReleaseLend)) {
      const auto lend = ParseLendRecord(reply.bytes);
      if (!lend) return Fail(lend.error());
      const Holds ended = ownership_.EndLend(*lend, process());
    } else if (reply.type == static_cast<uint32_t>(CallRecordType::kRefused)) {
      return Fail(ErrorCode::kUnavailable,
                  std::string(reinterpret_cast<const char*>(reply.bytes.data()), reply.bytes.size()));
    } else {
      return Fail(ErrorCode::kProtocolError, StrCat("a channel's record has the unknown type ", reply.type));
    }
    replies_.Pop();
    ++records;
  }
}

Result<void> CallChannel::TakeReply(std::span<const std::byte> bytes) {
  auto reply = ParseReplyRecord(bytes);
  if (!reply) return Fail(std::move(reply).error());
  PendingCall call;
  {
    const MutexLock lock(pending_mutex_);
    const uint64_t index = reply->call - first_;
    if (reply->call < first_ || index >= waiting_.size() || waiting_[index].result == nullptr)
      return Fail(ErrorCode::kProtocolError, StrCat("a reply to call ", reply->call, ", which nobody made"));
    call = std::move(waiting_[index]);
    while (!waiting_.empty() && waiting_.front().result == nullptr) {
      waiting_.pop_front();
      ++first_;
    }
  }
  if (call.lend != 0) {
    if (!reply->arguments_retained)
      const Holds ended = ownership_.EndLend(call.lend);
    else if (!reply->retained.empty())
      const Holds let_go = ownership_.KeepOnly(call.lend, IdsFromBytes(reply->retained));
  }
  ray::internal::Hold lend;
  if (reply->lend != 0) {
    lend =
        std::make_shared<BorrowedLend>(link_, ownership_, borrowings_, process(), reply->lend,
                                       BorrowedLend::Told::kAlways, weak_from_this(), IdsFromBytes(reply->references));
  }
  switch (reply->result.kind) {
    case ValueView::Kind::kInline: call.result->FulfilInline(std::string(reply->result.bytes), std::move(lend)); break;
    case ValueView::Kind::kStored: call.result->FulfilStored(std::move(lend)); break;
    case ValueView::Kind::kFailed: call.result->FulfilFailed(DecodeFailure(reply->result.bytes)); break;
  }
  pending_count_.fetch_sub(1, std::memory_order_release);
  taken_.fetch_add(1, std::memory_order_release);
  return {};
}

uint64_t CallChannel::Shut() {
  shut_heard_.store(true, std::memory_order_relaxed);
  const uint64_t begun = ShutGate(*gate_);
  bell_.Ring();  // a worker that waits returns the lease
  return begun;
}

uint64_t CallChannel::NumberOf(const ClusterObject& result) {
  const MutexLock lock(pending_mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const PendingCall& call) { return call.result.get() == &result; });
  return found == waiting_.end() ? 0 : first_ + static_cast<uint64_t>(found - waiting_.begin());
}

std::vector<PendingCall> CallChannel::TakeBack(uint64_t begun) {
  std::vector<PendingCall> back;
  const MutexLock lock(pending_mutex_);
  const size_t kept = begun < first_ ? 0 : std::min<uint64_t>(begun - first_ + 1, waiting_.size());
  for (size_t i = kept; i < waiting_.size(); ++i)
    if (waiting_[i].result != nullptr) back.push_back(std::move(waiting_[i]));
  waiting_.resize(kept);
  pending_count_.fetch_sub(back.size(), std::memory_order_release);
  return back;
}

void CallChannel::FailPending(const FailurePtr& failure) {
  std::deque<PendingCall> calls;
  {
    const MutexLock lock(pending_mutex_);
    calls.swap(waiting_);
    first_ += calls.size();
  }
  for (PendingCall& call : calls) {
    if (call.result == nullptr) continue;
    pending_count_.fetch_sub(1, std::memory_order_release);
    // The actor may have passed on what it was lent: its end, once settled, ends that lend.
    if (call.lend != 0 && !failure->may_have_run) const Holds ended = ownership_.EndLend(call.lend);
    call.result->FulfilFailed(FailureOfCall(failure, call.again.get()));
  }
  taken_.fetch_add(1, std::memory_order_release);
}

}  // namespace raylet::client
