// Messages that wait for a machine whose session has no room: their order, their bound and their end.
#include <gtest/gtest.h>

#include "raylet/node/peer_outboxes.h"
#include "tests/harness/node_number.h"

namespace raylet::test {
namespace {

const NodeId kPeer = NodeNumber(1);
const NodeId kOtherPeer = NodeNumber(2);
constexpr size_t kBytesMax = 100;

class PeerOutboxesTest : public testing::Test {
 protected:
  Result<void> Send(const NodeId& node, uint16_t type) {
    if (node == kPeer && room_ == 0) return Fail(ErrorCode::kFull, "no room");
    if (node == kPeer) --room_;
    if (lost_) return Fail(ErrorCode::kNotFound, "no session");
    sent_.push_back(type);
    return {};
  }

  size_t room_ = 0;  // messages that the session with kPeer takes
  bool lost_ = false;
  std::vector<uint16_t> sent_;
  PeerOutboxes outboxes_{
      [this](const NodeId& node, uint16_t type, std::span<const std::byte>) { return Send(node, type); }, kBytesMax};
};

TEST_F(PeerOutboxesTest, SendsAtOnceWhereThereIsRoom) {
  room_ = 1;
  EXPECT_TRUE(outboxes_.Post(kPeer, 60, Bytes(10)));
  EXPECT_EQ(sent_, std::vector<uint16_t>{60});
  EXPECT_EQ(outboxes_.WaitingBytes(kPeer), 0u);
}

TEST_F(PeerOutboxesTest, KeepsTheOrderWhenRoomComes) {
  EXPECT_TRUE(outboxes_.Post(kPeer, 60, Bytes(10)));
  room_ = 1;  // not for the second one: the first waits
  EXPECT_TRUE(outboxes_.Post(kPeer, 61, Bytes(10)));
  EXPECT_TRUE(sent_.empty());
  outboxes_.Room(kPeer);
  EXPECT_EQ(sent_, std::vector<uint16_t>{60});
  EXPECT_EQ(outboxes_.WaitingBytes(kPeer), 10u);
  room_ = 5;
  outboxes_.Room(kPeer);
  EXPECT_EQ(sent_, (std::vector<uint16_t>{60, 61}));
  EXPECT_TRUE(outboxes_.Post(kPeer, 62, Bytes(10)));
  EXPECT_EQ(sent_, (std::vector<uint16_t>{60, 61, 62}));
}

TEST_F(PeerOutboxesTest, HoldsUpNoOtherMachine) {
  EXPECT_TRUE(outboxes_.Post(kPeer, 60, Bytes(10)));
  EXPECT_TRUE(outboxes_.Post(kOtherPeer, 61, Bytes(10)));
  EXPECT_EQ(sent_, std::vector<uint16_t>{61});
}

TEST_F(PeerOutboxesTest, SaysThatAMachineIsTooFarBehind) {
  EXPECT_TRUE(outboxes_.Post(kPeer, 60, Bytes(kBytesMax)));
  const auto posted = outboxes_.Post(kPeer, 61, Bytes(1));
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error().code, ErrorCode::kSlowConsumer);
  EXPECT_NE(posted.error().message.find("101"), std::string::npos) << posted.error().message;
}

TEST_F(PeerOutboxesTest, DropsWhatWaitsForALostMachine) {
  EXPECT_TRUE(outboxes_.Post(kPeer, 60, Bytes(kBytesMax)));
  outboxes_.Drop(kPeer);
  EXPECT_EQ(outboxes_.WaitingBytes(kPeer), 0u);
  room_ = 5;
  outboxes_.Room(kPeer);
  EXPECT_TRUE(sent_.empty());
}

TEST_F(PeerOutboxesTest, KeepsNothingForAMachineWithoutASession) {
  room_ = 1;
  lost_ = true;
  EXPECT_TRUE(outboxes_.Post(kPeer, 60, Bytes(10)));
  EXPECT_EQ(outboxes_.WaitingBytes(kPeer), 0u);
}

}  // namespace
}  // namespace raylet::test
