#include "raylet/peers/peer_table.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"
#include "tests/harness/node_number.h"

namespace raylet {
namespace {

using std::chrono::seconds;

class PeerTableTest : public ::testing::Test {
 protected:
  static PeerIdentity Identity(uint8_t node, uint64_t epoch = 1) {
    PeerIdentity identity;
    identity.node = test::NodeNumber(node);
    identity.epoch = epoch;
    identity.machine = MachineNumber{2000u + node};
    identity.address = "10.0.0." + std::to_string(node) + ":6379";
    return identity;
  }
  // A session that the other side knows, on a connection of that number.
  Peer& Connect(const PeerIdentity& identity, ConnectionId connection) {
    Peer& peer = table_.Begin(identity);
    const PeerSession theirs(limits_, 1'000'000 + identity.node.data()[0], clock_.Now());
    peer.session->Attach(theirs.Greeting(), clock_.Now());
    peer.connection = connection;
    return peer;
  }
  void Lose(Peer& peer) {
    peer.connection = 0;
    peer.session->Detach();
  }
  void Die(const PeerIdentity& identity, const std::string& why) {
    Peer& peer = *table_.WithSession(identity.node);
    const auto session = table_.EndSession(peer);
    session->End({ErrorCode::kTimedOut, why});
    table_.Died(peer, *session, {ErrorCode::kTimedOut, why});
  }
  std::vector<PeerStatus> Status() const {
    return table_.Status([](ConnectionId id) { return std::pair<uint64_t, uint64_t>(id * 10, id); });
  }

  test::ManualClock clock_;
  PeerSessionLimits limits_;
  std::vector<uint64_t> numbers_{0, 0, 41, 42, 43};  // the first ones that `random` gives
  size_t drawn_ = 0;
  PeerTable table_{limits_, clock_, [this] { return drawn_ < numbers_.size() ? numbers_[drawn_++] : 100 + drawn_++; }};
};

TEST_F(PeerTableTest, ASessionLivesFromItsFirstConnectionOn) {
  const Peer& peer = table_.Begin(Identity(1));
  EXPECT_TRUE(table_.WithSession(test::NodeNumber(1)) == &peer);
  EXPECT_FALSE(table_.Lives(test::NodeNumber(1))) << "the other side does not know of it yet";
  EXPECT_TRUE(Status().empty());
  Connect(Identity(1), 5);
  EXPECT_TRUE(table_.Lives(test::NodeNumber(1)));
  EXPECT_TRUE(table_.InTouch(test::NodeNumber(1)));
  EXPECT_FALSE(table_.Lives(test::NodeNumber(2)));
}

TEST_F(PeerTableTest, ASessionSurvivesItsConnectionAndKeepsItsNumber) {
  Peer& peer = Connect(Identity(1), 5);
  EXPECT_EQ(peer.session->number(), 41u) << "a session's number is never 0";
  Lose(peer);
  EXPECT_TRUE(table_.Lives(test::NodeNumber(1)));
  EXPECT_FALSE(table_.InTouch(test::NodeNumber(1)));
  EXPECT_EQ(table_.Begin(Identity(1)).session->number(), 41u);
}

TEST_F(PeerTableTest, ASilentPeerLivesAndIsOutOfTouch) {
  Peer& peer = Connect(Identity(1), 5);
  clock_.Advance(limits_.silent_after + seconds(1));
  peer.session->Tick(clock_.Now());
  EXPECT_TRUE(table_.Lives(test::NodeNumber(1)));
  EXPECT_FALSE(table_.InTouch(test::NodeNumber(1)));
}

TEST_F(PeerTableTest, ADeadSessionIsReplacedByANewOne) {
  Peer& peer = Connect(Identity(1), 5);
  clock_.Advance(limits_.dead_after + seconds(1));
  peer.session->Tick(clock_.Now());
  EXPECT_FALSE(table_.Lives(test::NodeNumber(1)));
  EXPECT_EQ(table_.Begin(Identity(1, 2)).session->number(), 42u);
  EXPECT_EQ(table_.WithSession(test::NodeNumber(1))->identity.epoch, 2u);
}

TEST_F(PeerTableTest, RefusesASecondRayletWithTheNodeIdOfOneThatAnswers) {
  Peer& peer = Connect(Identity(1, 1), 5);
  EXPECT_TRUE(table_.Admit(Identity(1, 1))) << "the same raylet, over another connection";
  const auto refused = table_.Admit(Identity(1, 2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists);
  Lose(peer);
  EXPECT_TRUE(table_.Admit(Identity(1, 2))) << "the first one does not answer: it may have started again";
}

TEST_F(PeerTableTest, RefusesARayletThatNumbersItsProcessesAsALivingOne) {
  PeerIdentity alike = Identity(2);
  alike.machine = Identity(1).machine;
  EXPECT_TRUE(table_.Admit(alike));
  Lose(Connect(Identity(1), 5));
  EXPECT_FALSE(table_.Admit(alike)) << "the living one may be connected again";
  Die(Identity(1), "silence");
  EXPECT_TRUE(table_.Admit(alike));
}

TEST_F(PeerTableTest, ARayletDisplacesThoseWithoutAConnectionAtItsAddress) {
  Lose(Connect(Identity(1), 5));
  PeerIdentity newcomer = Identity(2);
  EXPECT_TRUE(table_.DisplacedBy(newcomer).empty());
  newcomer.address = Identity(1).address;
  EXPECT_EQ(table_.DisplacedBy(newcomer), std::vector{test::NodeNumber(1)});
  EXPECT_TRUE(table_.DisplacedBy(Identity(1)).empty()) << "nobody displaces himself";
  Connect(Identity(1), 6);
  EXPECT_TRUE(table_.DisplacedBy(newcomer).empty()) << "a connected raylet serves there";
}

TEST_F(PeerTableTest, TheStatusKeepsWhatADeadPeerHadAndWhyItDied) {
  Peer& peer = Connect(Identity(1), 5);
  peer.bytes_sent = 1;
  ASSERT_TRUE(peer.session->Send(40, Bytes(8)));
  EXPECT_EQ(Status().at(0).bytes_sent, 51u) << "those of its connection, too";
  EXPECT_EQ(Status().at(0).unacked_messages, 1u);
  Die(Identity(1), "silence");
  const auto status = Status();
  ASSERT_EQ(status.size(), 1u);
  EXPECT_EQ(status[0].state, NodeState::kDead);
  EXPECT_FALSE(status[0].connected);
  EXPECT_EQ(status[0].why_dead, "silence");
  EXPECT_EQ(status[0].counters.connections, 1u);
  EXPECT_EQ(status[0].unacked_messages, 0u);
  EXPECT_EQ(status[0].bytes_sent, 1u);
}

TEST_F(PeerTableTest, ForgetsTheOldestOfManyDead) {
  for (uint8_t node = 1; node <= kDeadPeersKept + 2; ++node) Connect(Identity(node), node);
  // In the opposite order of their ids.
  for (uint8_t node = kDeadPeersKept + 2; node >= 2; --node) Die(Identity(node), "silence");
  table_.ForgetOldDead();
  EXPECT_EQ(Status().size(), kDeadPeersKept + 1) << "the living one is not among those counted";
  EXPECT_TRUE(table_.Find(test::NodeNumber(kDeadPeersKept + 2)) == nullptr);
  EXPECT_TRUE(table_.Find(test::NodeNumber(2)) != nullptr);
  EXPECT_TRUE(table_.Lives(test::NodeNumber(1)));
}

}  // namespace
}  // namespace raylet
