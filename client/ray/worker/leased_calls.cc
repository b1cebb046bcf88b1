#include "client/ray/worker/leased_calls.h"

#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "fbs/id_lists.h"

namespace raylet::client {
namespace {

constexpr int kLeasedCallsPerTurn = 64;  // before the raylet's work has its turn

}  // namespace

void LeasedCalls::Open(std::unique_ptr<WorkerLease> lease) {
  begun_ = 0;
  const MutexLock lock(mutex_);
  lease_ = std::move(lease);
}

bool LeasedCalls::MayServe() {
  return !IsShut(*lease_->memory.gate) && !lease_->memory.consumer.Empty() &&
         lease_->memory.producer.HasRoomFor(kRecordBytesMax);
}

bool LeasedCalls::HasWork() { return lease_ != nullptr && (IsShut(*lease_->memory.gate) || MayServe()); }

uint64_t LeasedCalls::ServeSome() {
  for (int turn = 0; turn < kLeasedCallsPerTurn && MayServe(); ++turn) {
    const auto served = ServeOne();
    if (!served) {
      RAYLET_LOG(kError, "process ", lease_->caller,
                 " wrote nonsense into the channel of its lease: ", served.error().message);
      ShutGate(*lease_->memory.gate);
    } else if (!*served) {
      break;
    }
  }
  if (!IsShut(*lease_->memory.gate)) return 0;
  std::unique_ptr<WorkerLease> over;
  const MutexLock lock(mutex_);
  over = std::move(lease_);
  return over->id;
}

Result<bool> LeasedCalls::ServeOne() {
  RingConsumer& calls = lease_->memory.consumer;
  const auto record = calls.Peek();
  if (!record) return Fail(record.error());
  if (!record->has_value()) return false;
  const RingRecord& call = **record;
  if (call.type != static_cast<uint32_t>(CallRecordType::kCall))
    return Fail(ErrorCode::kProtocolError, StrCat("a record has the unknown type ", call.type));
  RAYLET_RETURN_IF_ERROR(ParseCallRecord(call.bytes, record_));
  if (record_.call != begun_ + 1 || record_.lend != 0)
    return Fail(ErrorCode::kProtocolError, StrCat("call ", record_.call, " comes after call ", begun_));
  current_.Begin(record_.result_id);                     // before its owner sees that it has begun, and may cancel it
  if (!BeginCall(*lease_->memory.gate, record_.call)) {  // shut meanwhile
    current_.End();
    return false;
  }
  ++begun_;
  CallRequest request;
  request.function = record_.function;
  request.arguments = record_.arguments;
  request.result_id = record_.result_id;
  request.caller = lease_->caller;
  request.exception_retries = record_.exception_retries;
  request.current = &current_;
  request.caller_store_client = lease_->caller_store_client;
  // The record stays in the ring meanwhile: the arguments are read where they lie.
  CallOutcome outcome = runner_.Call(request, nullptr);
  current_.End();
  Answer(outcome);
  calls.Pop();
  if (calls.TakeRoomNews()) lease_->memory.bell.Ring();
  return true;
}

void LeasedCalls::Answer(const CallOutcome& outcome) {
  std::string failed;
  ReplyRecord reply;
  reply.call = record_.call;
  reply.lend = outcome.lend;
  reply.references = BytesOf(outcome.references);
  reply.result.kind = outcome.kind;
  reply.result.bytes = outcome.bytes;
  if (outcome.exit_actor) {
    failed = EncodeFailure(*MakeFailure(wire::FailureKind::Other, kExitOutsideActor));
    reply.result.kind = ValueView::Kind::kFailed;
    reply.result.bytes = failed;
  }
  if (outcome.kind == ValueView::Kind::kStored) reply.result.id = record_.result_id;
  const size_t bytes = ReplyRecordBytes(reply);
  const auto room = lease_->memory.producer.TryReserve(bytes);
  RAYLET_CHECK(room.has_value(), "an answer of ", bytes, " bytes finds no room");
  WriteReplyRecord(reply, *room);
  lease_->memory.producer.Commit(static_cast<uint32_t>(CallRecordType::kReply), bytes);
  lease_->memory.bell.Ring();
}

void LeasedCalls::Shut() {
  const MutexLock lock(mutex_);
  if (lease_ == nullptr) return;
  ShutGate(*lease_->memory.gate);
  lease_->memory.bell.Ring();
}

}  // namespace raylet::client
