#include "raylet/channels/relay_end.h"

#include <gtest/gtest.h>

#include "tests/raylet/channels/relay_sides.h"

namespace raylet {
namespace {

struct Read {
  uint32_t type = 0;
  std::string text;
  bool operator==(const Read&) const = default;
};

RelayRecord Record(uint32_t type, const std::string& text) { return {type, std::as_bytes(std::span(text))}; }

Read Copy(const RelayRecord& record) {
  return {record.type, {reinterpret_cast<const char*>(record.bytes.data()), record.bytes.size()}};
}

Result<std::vector<Read>> ReadAll(std::span<const uint8_t> records) {
  std::vector<Read> all;
  RAYLET_RETURN_IF_ERROR(EachRelayRecord(records, [&](const RelayRecord& record) -> Result<void> {
    all.push_back(Copy(record));
    return {};
  }));
  return all;
}

TEST(RelayRecords, AreReadAsTheyWereAppended) {
  std::vector<uint8_t> records;
  EXPECT_TRUE(ReadAll(records)->empty());
  AppendRelayRecord(records, Record(1, "call"));
  AppendRelayRecord(records, Record(2, ""));
  AppendRelayRecord(records, Record(~0u, std::string(1000, 'x')));
  const auto read = ReadAll(records);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (std::vector<Read>{{1, "call"}, {2, ""}, {~0u, std::string(1000, 'x')}}));
}

TEST(RelayRecords, ACutRecordIsRefused) {
  std::vector<uint8_t> records;
  AppendRelayRecord(records, Record(1, "call"));
  for (size_t bytes = 1; bytes < records.size(); ++bytes) {
    const auto read = ReadAll(std::span(records).first(bytes));
    ASSERT_FALSE(read) << bytes;
    EXPECT_EQ(read.error().code, ErrorCode::kProtocolError);
  }
}

TEST(RelayRecords, ARecordThatFitsNoRingIsRefused) {
  std::vector<uint8_t> records;
  AppendRelayRecord(records, Record(1, std::string(kRelayRecordBytesMax, 'x')));
  EXPECT_TRUE(ReadAll(records));
  records.clear();
  AppendRelayRecord(records, Record(1, std::string(kRelayRecordBytesMax + 1, 'x')));
  EXPECT_EQ(ReadAll(records).error().code, ErrorCode::kProtocolError);
}

TEST(RelayRecords, AnErrorEndsTheReading) {
  std::vector<uint8_t> records;
  for (int i = 0; i < 3; ++i) AppendRelayRecord(records, Record(1, "call"));
  int seen = 0;
  const auto read = EachRelayRecord(records, [&](const RelayRecord&) -> Result<void> {
    return ++seen == 2 ? Result<void>(Fail(ErrorCode::kFull, "enough")) : Result<void>();
  });
  EXPECT_EQ(read.error().code, ErrorCode::kFull);
  EXPECT_EQ(seen, 2);
}

// The raylet's end of a worker's channel, and the worker's own.
class RelayEndTest : public testing::Test {
 protected:
  RelayEndTest() {
    const UniqueFd doorbell = test::NewDoorbell();
    RelayEnd::Descriptors descriptors;
    auto end = RelayEnd::Make(
        loop_, RelayEnd::Process::kWorker, "relay-end-test", doorbell, [] {}, descriptors);
    EXPECT_TRUE(end);
    end_ = *std::move(end);
    worker_.emplace(std::move(descriptors), /*caller=*/false);
  }
  size_t Flush() {
    size_t handed = 0;
    end_->Flush([&](const RelayRecord&) { ++handed; });
    return handed;
  }
  // How many records lie in the worker's ring, which is empty afterwards.
  size_t TakeAll() {
    size_t taken = 0;
    for (;; ++taken) {
      const auto record = worker_->in.Peek();
      EXPECT_TRUE(record);
      if (!record || !record->has_value()) return taken;
      worker_->in.Pop();
    }
  }

  Loop loop_;
  std::unique_ptr<RelayEnd> end_;
  std::optional<test::Process> worker_;
};

TEST_F(RelayEndTest, RecordsWaitInOrderWhileTheRingIsFull) {
  const std::string large(kRelayRecordBytesMax / 2, 'x');
  size_t pushed = 0;
  while (!end_->waits()) {
    ASSERT_TRUE(end_->Push(Record(static_cast<uint32_t>(++pushed), large)));
    Flush();
  }
  ASSERT_TRUE(end_->Push(Record(static_cast<uint32_t>(++pushed), large)));
  EXPECT_EQ(Flush(), 0u);
  uint32_t expected = 0;
  while (expected < pushed) {
    const auto record = worker_->in.Peek();
    ASSERT_TRUE(record);
    if (!record->has_value()) {
      ASSERT_GT(Flush(), 0u);
      continue;
    }
    EXPECT_EQ((*record)->type, ++expected);
    worker_->in.Pop();
  }
  EXPECT_FALSE(end_->waits());
}

TEST_F(RelayEndTest, TakesNoMoreThanItsBoundForAProcessThatTakesNothing) {
  const std::string large(kRelayRecordBytesMax - 8, 'x');
  size_t bytes = 0;
  Result<void> pushed;
  while ((pushed = end_->Push(Record(1, large)))) bytes += large.size() + 8;
  EXPECT_EQ(pushed.error().code, ErrorCode::kProtocolError);
  EXPECT_GT(bytes, kRelayWindowBytes - kRelayRecordBytesMax);
  EXPECT_LE(bytes, kRelayWaitingBytesMax);
  Flush();
  TakeAll();
  EXPECT_TRUE(end_->Push(Record(1, large))) << "what was handed over counts no more";
}

TEST_F(RelayEndTest, DropsOnlyWhatWasNeverHandedOver) {
  ASSERT_TRUE(end_->Push(Record(1, "handed")));
  EXPECT_EQ(Flush(), 1u);
  ASSERT_TRUE(end_->Push(Record(2, "kept")));
  std::vector<Read> dropped;
  end_->Drop([&](const RelayRecord& record) { dropped.push_back(Copy(record)); });
  EXPECT_EQ(dropped, (std::vector<Read>{{2, "kept"}}));
  EXPECT_FALSE(end_->waits());
  EXPECT_EQ(Flush(), 0u);
  EXPECT_EQ(TakeAll(), 1u);
}

}  // namespace
}  // namespace raylet
