#include "fbs/call_record.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/ring.h"

namespace raylet {
namespace {

using Record = std::vector<std::byte>;

ObjectId IdOf(uint8_t first) {
  ObjectId id;
  for (size_t i = 0; i < ObjectId::kSize; ++i) id.mutable_data()[i] = static_cast<uint8_t>(first + i);
  return id;
}

ValueView Inline(std::string_view bytes) { return {ValueView::Kind::kInline, bytes, {}}; }
ValueView Stored(uint8_t first) { return {ValueView::Kind::kStored, {}, IdOf(first)}; }
ValueView Failed(std::string_view bytes) { return {ValueView::Kind::kFailed, bytes, {}}; }

Record Written(const CallRecord& record) {
  Record bytes(CallRecordBytes(record));
  WriteCallRecord(record, bytes);
  return bytes;
}
Record Written(const ReplyRecord& record) {
  Record bytes(ReplyRecordBytes(record));
  WriteReplyRecord(record, bytes);
  return bytes;
}

CallRecord SampleCall() {
  CallRecord record;
  record.call = 77;
  record.lend = 5;
  record.result_id = IdOf(3);
  record.function = "Server::Update";
  record.arguments = {Inline("one"), Inline(""), Stored(9), Failed("why")};
  return record;
}

TEST(CallRecord, ACallComesBackAsItWasWritten) {
  const CallRecord sent = SampleCall();
  const Record bytes = Written(sent);
  CallRecord seen;
  const auto parsed = ParseCallRecord(bytes, seen);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(seen.call, 77U);
  EXPECT_EQ(seen.lend, 5U);
  EXPECT_EQ(seen.result_id, IdOf(3));
  EXPECT_EQ(seen.function, "Server::Update");
  ASSERT_EQ(seen.arguments.size(), 4U);
  EXPECT_EQ(seen.arguments[0].bytes, "one");
  EXPECT_EQ(seen.arguments[1].bytes, "");
  EXPECT_EQ(seen.arguments[2].kind, ValueView::Kind::kStored);
  EXPECT_EQ(seen.arguments[2].id, IdOf(9));
  EXPECT_EQ(seen.arguments[3].kind, ValueView::Kind::kFailed);
  EXPECT_EQ(seen.arguments[3].bytes, "why");
}

TEST(CallRecord, ParsingAgainForgetsTheRecordBefore) {
  CallRecord seen;
  ASSERT_TRUE(ParseCallRecord(Written(SampleCall()), seen));
  CallRecord other;
  other.call = 78;
  other.function = "f";
  const Record bytes = Written(other);
  ASSERT_TRUE(ParseCallRecord(bytes, seen));
  EXPECT_EQ(seen.call, 78U);
  EXPECT_EQ(seen.function, "f");
  EXPECT_TRUE(seen.arguments.empty());
  EXPECT_TRUE(seen.result_id.IsNil());
}

TEST(CallRecord, EveryTruncationOfACallIsAProtocolError) {
  const Record bytes = Written(SampleCall());
  for (size_t size = 0; size < bytes.size(); ++size) {
    CallRecord seen;
    const auto parsed = ParseCallRecord(std::span(bytes).first(size), seen);
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError) << size;
  }
}

TEST(CallRecord, BytesAfterTheEndOfACallAreAProtocolError) {
  Record bytes = Written(SampleCall());
  bytes.push_back(std::byte{0});
  CallRecord seen;
  EXPECT_FALSE(ParseCallRecord(bytes, seen));
}

TEST(CallRecord, NoFlippedByteOfACallReadsOutsideIt) {
  const Record bytes = Written(SampleCall());
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Record bent = bytes;
      bent[at] ^= static_cast<std::byte>(1 << bit);
      CallRecord seen;
      if (!ParseCallRecord(bent, seen)) continue;
      EXPECT_EQ(CallRecordBytes(seen), bent.size());
      EXPECT_EQ(Written(seen), bent) << "byte " << at;
    }
  }
}

TEST(CallRecord, MoreArgumentsThanACallMayHaveAreAProtocolError) {
  CallRecord call;
  call.function = "f";
  call.arguments.assign(kCallArgumentsMax, Inline(""));
  CallRecord seen;
  EXPECT_TRUE(ParseCallRecord(Written(call), seen));
  call.arguments.push_back(Inline(""));
  EXPECT_FALSE(ParseCallRecord(Written(call), seen));
}

TEST(CallRecord, AnArgumentOfAnUnknownKindIsAProtocolError) {
  CallRecord call;
  call.function = "f";
  call.arguments = {Inline("")};
  Record bytes = Written(call);
  bytes[bytes.size() - 5] = std::byte{3};  // kind, then the length
  CallRecord seen;
  EXPECT_FALSE(ParseCallRecord(bytes, seen));
}

const std::string kTwoIds(2 * ObjectId::kSize, 'i');

TEST(ReplyRecord, AReplyWithPartOfAnIdIsAProtocolError) {
  const Record bytes = Written(ReplyRecord{12, 34, true, Inline("payload"), "part"});
  EXPECT_FALSE(ParseReplyRecord(bytes));
}

// The refusal of this record, which is well-formed.
std::string Refusal(const CallRecord& record) {
  CallRecord seen;
  const Record bytes = Written(record);
  const auto parsed = ParseCallRecord(bytes, seen);
  if (parsed) return "none";
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocolError);
  return parsed.error().message;
}

TEST(CallRecord, AFunctionNameAboveItsLimitIsRefusedWithTheLimit) {
  const std::string longest(kNameBytesMax, 'f');
  const std::string longer(kNameBytesMax + 1, 'f');
  CallRecord record;
  record.function = longest;
  EXPECT_EQ(Refusal(record), "none");
  record.function = longer;
  EXPECT_EQ(Refusal(record), "a call names a function of 1025 bytes and the limit is 1024: choose a shorter name");
}

TEST(CallRecord, AnArgumentAboveItsLimitIsRefusedWithTheLimit) {
  const std::string bytes(kInlineCallBytesMax, 'v');
  const std::string_view all = bytes;
  CallRecord record;
  record.arguments = {Stored(1), Inline(all.substr(0, kInlineValueBytesMax))};
  EXPECT_EQ(Refusal(record), "none");
  record.arguments = {Stored(1), Inline(all.substr(0, kInlineValueBytesMax + 1))};
  EXPECT_EQ(Refusal(record),
            "argument 2 of a call has 65537 inline bytes and the limit is 65536: larger values go through the store");
  record.arguments = {Failed(all.substr(0, kFailureBytesMax))};
  EXPECT_EQ(Refusal(record), "none");
  record.arguments = {Failed(all.substr(0, kFailureBytesMax + 1))};
  EXPECT_EQ(Refusal(record),
            "argument 1 of a call is a failure of 131073 bytes and the limit is 131072: cut its texts");
  record.arguments.assign(3, Inline(all.substr(0, kInlineValueBytesMax)));
  EXPECT_EQ(Refusal(record), "none");
  record.arguments.push_back(Inline("v"));
  EXPECT_EQ(Refusal(record),
            "the arguments of a call have 196609 inline bytes and the limit is 196608: some of them go through the "
            "store");
}

TEST(ReplyRecord, AResultAboveItsLimitIsRefused) {
  const std::string bytes(kFailureBytesMax + 1, 'v');
  const std::string_view all = bytes;
  const auto is_refused = [](const ValueView& result) {
    ReplyRecord record;
    record.result = result;
    return !ParseReplyRecord(Written(record));
  };
  EXPECT_FALSE(is_refused(Inline(all.substr(0, kInlineValueBytesMax))));
  EXPECT_TRUE(is_refused(Inline(all.substr(0, kInlineValueBytesMax + 1))));
  EXPECT_FALSE(is_refused(Failed(all.substr(0, kFailureBytesMax))));
  EXPECT_TRUE(is_refused(Failed(all)));
}

TEST(ReplyRecord, AReplyComesBackAsItWasWritten) {
  for (const ValueView& result : {Inline("payload"), Inline(""), Stored(8), Failed("because")}) {
    for (const bool retained : {false, true}) {
      const ReplyRecord sent{12, 34, retained, result, retained ? std::string_view(kTwoIds) : std::string_view()};
      const Record bytes = Written(sent);
      const auto seen = ParseReplyRecord(bytes);
      ASSERT_TRUE(seen) << seen.error().message;
      EXPECT_EQ(seen->call, 12U);
      EXPECT_EQ(seen->lend, 34U);
      EXPECT_EQ(seen->arguments_retained, retained);
      EXPECT_EQ(seen->result.kind, result.kind);
      EXPECT_EQ(seen->result.bytes, result.bytes);
      EXPECT_EQ(seen->result.id, result.id);
      EXPECT_EQ(seen->references, sent.references);
      EXPECT_TRUE(seen->retained.empty());
    }
  }
}

TEST(ReplyRecord, AReplySaysWhichArgumentsItRetains) {
  const Record bytes = Written(ReplyRecord{12, 34, true, Inline("payload"), {}, kTwoIds});
  const auto seen = ParseReplyRecord(bytes);
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_TRUE(seen->arguments_retained);
  EXPECT_EQ(seen->retained, kTwoIds);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(ParseReplyRecord(std::span(bytes).first(size))) << size;
}

TEST(ReplyRecord, AListOfRetainedArgumentsThatNamesNoneIsRefused) {
  Record bytes = Written(ReplyRecord{12, 34, true, Inline("payload"), {}, kTwoIds});
  bytes.resize(bytes.size() - kTwoIds.size());
  std::memset(bytes.data() + bytes.size() - 4, 0, 4);
  EXPECT_FALSE(ParseReplyRecord(bytes));
}

TEST(ReplyRecord, EveryTruncationOfAReplyIsAProtocolError) {
  for (const ValueView& result : {Inline("payload"), Stored(8), Failed("because")}) {
    const Record bytes = Written(ReplyRecord{12, 34, true, result, kTwoIds});
    for (size_t size = 0; size < bytes.size(); ++size) {
      const auto seen = ParseReplyRecord(std::span(bytes).first(size));
      ASSERT_FALSE(seen) << size;
      EXPECT_EQ(seen.error().code, ErrorCode::kProtocolError) << size;
    }
  }
}

TEST(LendRecord, ALendComesBackAndEveryOtherSizeIsAProtocolError) {
  std::byte bytes[9] = {};
  WriteLendRecord(0x1122334455667788, std::span<std::byte, 8>(bytes, 8));
  const auto lend = ParseLendRecord(std::span(bytes, 8));
  ASSERT_TRUE(lend);
  EXPECT_EQ(*lend, 0x1122334455667788U);
  for (const size_t size : {0U, 7U, 9U}) EXPECT_FALSE(ParseLendRecord(std::span(bytes, size))) << size;
}

TEST(Channel, TwoRingsDoNotOverlapAndHoldTheLargestRecord) {
  EXPECT_EQ(ChannelReplyRingOffset() % 128, 0U);
  EXPECT_GE(ChannelBytes(), ChannelReplyRingOffset() + RingBytes(kChannelRingBytes));
  CallRecord call;
  const std::string function(kNameBytesMax, 'f');
  const std::string value(kInlineCallBytesMax, 'v');
  call.function = function;
  call.arguments.assign(kCallArgumentsMax, Stored(1));
  call.arguments[0] = Inline(value);
  EXPECT_LE(CallRecordBytes(call), kRecordBytesMax) << "a ring takes records of up to a quarter of it";
  const std::string failure(kFailureBytesMax, 'f');
  ReplyRecord reply;
  reply.result = Failed(failure);
  EXPECT_LE(ReplyRecordBytes(reply), kRecordBytesMax);
}

}  // namespace
}  // namespace raylet
