// Records of a call channel: what a caller and the actor's worker write into each other's ring. The
// encoding is compact and little-endian, since a FlatBuffer would cost more than the call. Parsing
// checks the bounds of every field: the other side is another process.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/text_bounds.h"

namespace raylet {

enum class CallRecordType : uint32_t {
  kCall = 1,         // caller -> actor
  kReply = 2,        // actor -> caller
  kReleaseLend = 3,  // either way: ends a lend of the other side
  kRefused = 4,      // actor -> caller: a record made no sense, and the actor takes no more; carries a sentence
};

constexpr size_t kChannelRingBytes = size_t{1} << 20;      // each way
constexpr size_t kInlineValueBytesMax = size_t{64} << 10;  // larger values go through the store
constexpr size_t kInlineCallBytesMax = size_t{192} << 10;  // all inline values of one record together
constexpr size_t kCallArgumentsMax = 256;
// Every record within these bounds fits into a ring, whose largest record is a quarter of its capacity.
constexpr size_t kRecordBytesMax = kChannelRingBytes / 4;
constexpr size_t kRecordFieldBytesMax = 64 + 24 * kCallArgumentsMax;  // ids, numbers, sizes
static_assert(kInlineCallBytesMax + kNameBytesMax + kRecordFieldBytesMax <= kRecordBytesMax);
static_assert(kFailureBytesMax + kRecordFieldBytesMax <= kRecordBytesMax);
static_assert(kFailureBytesMax <= kInlineCallBytesMax);

// The place of a value. Views point into the parsed bytes.
struct ValueView {
  enum class Kind : uint8_t { kInline = 0, kStored = 1, kFailed = 2 };
  Kind kind = Kind::kInline;
  std::string_view bytes;  // kInline: serialized; kFailed: an encoded wire::Failure
  ObjectId id;             // kStored
};

struct CallRecord {
  uint64_t call = 0;  // numbered by the caller, from 1 upwards per channel
  LendId lend = 0;
  ObjectId result_id;             // the id of the return value, for a result that goes into the store
  int32_t exception_retries = 0;  // how often the worker runs it again when it throws; -1: for ever
  std::string_view function;
  std::vector<ValueView> arguments;
};

struct ReplyRecord {
  uint64_t call = 0;
  LendId lend = 0;                  // the actor's process lends what the result refers to
  bool arguments_retained = false;  // the call's lend goes on until a kReleaseLend
  ValueView result;
  std::string_view references;  // with a lend: the ids of the objects that it covers, 20 bytes each
  std::string_view retained{};  // with arguments_retained: the ids of what goes on being lent; empty: all of it
};

size_t CallRecordBytes(const CallRecord& record);
void WriteCallRecord(const CallRecord& record, std::span<std::byte> out);  // out.size() == CallRecordBytes(record)
// Reuses record's memory. kProtocolError for a record out of shape or beyond the bounds above.
Result<void> ParseCallRecord(std::span<const std::byte> bytes, CallRecord& record);

size_t ReplyRecordBytes(const ReplyRecord& record);
void WriteReplyRecord(const ReplyRecord& record, std::span<std::byte> out);
Result<ReplyRecord> ParseReplyRecord(std::span<const std::byte> bytes);

void WriteLendRecord(LendId lend, std::span<std::byte, 8> out);
Result<LendId> ParseLendRecord(std::span<const std::byte> bytes);

// The memfd of a channel: the caller's ring (calls), then the actor's ring (replies).
size_t ChannelBytes();
size_t ChannelReplyRingOffset();
struct ChannelRings {
  std::span<std::byte> calls, replies;
};
ChannelRings RingsOf(std::span<std::byte> channel);  // of ChannelBytes()
void InitChannel(std::span<std::byte> channel);      // zeroed memory becomes two empty rings

}  // namespace raylet
