// Records that make no sense, and records that expire, with a clock that the test turns.
#include <gtest/gtest.h>

#include <deque>

#include "raylet/control/memory_control_store.h"
#include "tests/harness/manual_clock.h"

namespace raylet {
namespace {

class ControlExpiryTest : public ::testing::Test {
 protected:
  // Lets all answers come.
  void Turn() {
    while (!work_.empty()) {
      const auto work = std::move(work_.front());
      work_.pop_front();
      work();
    }
  }
  bool Renew(const NodeRecord& record, bool* fresh = nullptr) {
    bool fine = false;
    store_.RenewNode(record, Deadline::Never(), [&](Result<ControlStore::Renewal> renewed) {
      fine = renewed.has_value();
      if (fine && fresh != nullptr) *fresh = renewed->fresh;
    });
    EXPECT_FALSE(fine);
    Turn();
    return fine;
  }
  size_t Living() {
    size_t living = 0;
    store_.ListNodes(Deadline::Never(), [&](Result<std::vector<NodeRecord>> nodes) { living = nodes->size(); });
    Turn();
    return living;
  }

  test::ManualClock clock_;
  std::deque<std::function<void()>> work_;
  MemoryControlStore store_{clock_, [this](std::function<void()> work) { work_.push_back(std::move(work)); }};
  NodeId node_ = NodeId::FromRandom();
};

TEST_F(ControlExpiryTest, ALeaseThatIsNotRenewedRunsOutAndItsNodeIdIsFree) {
  bool fresh = false;
  ASSERT_TRUE(Renew({node_, 1, MachineNumber{1}, "a:1", ""}, &fresh));
  clock_.Advance(kNodeLease - std::chrono::seconds(1));
  ASSERT_TRUE(Renew({node_, 1, MachineNumber{1}, "a:1", ""}, &fresh));
  EXPECT_FALSE(fresh);
  clock_.Advance(kNodeLease - std::chrono::milliseconds(1));
  EXPECT_EQ(Living(), 1u);
  EXPECT_FALSE(Renew({node_, 2, MachineNumber{2}, "b:1", ""}));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(Living(), 0u);
  EXPECT_TRUE(Renew({node_, 2, MachineNumber{2}, "b:1", ""}, &fresh));
  EXPECT_TRUE(fresh);
}

TEST_F(ControlExpiryTest, ADeadActorIsRememberedForAWhile) {
  const ActorId actor = ActorId::FromRandom();
  const auto found = [&] {
    bool there = false;
    store_.FindActor(actor, Deadline::Never(),
                     [&](Result<ActorPlacement> placement) { there = placement.has_value(); });
    Turn();
    return there;
  };
  store_.PlaceActor({actor, node_, 1, wire::ActorState::Dead}, Deadline::Never(), [](Result<void>) {});
  EXPECT_TRUE(found());
  clock_.Advance(kDeathKept);
  EXPECT_FALSE(found());
}

TEST_F(ControlExpiryTest, CallsAreNotAnsweredOnceTheStoreIsGone) {
  auto store = std::make_unique<MemoryControlStore>(
      clock_, [this](std::function<void()> work) { work_.push_back(std::move(work)); });
  bool answered = false;
  store->ListNodes(Deadline::Never(), [&](const auto&) { answered = true; });
  store.reset();
  Turn();
  EXPECT_FALSE(answered);
}

TEST_F(ControlExpiryTest, AStoreThatIsAwaySaysSoAndComesBackWithAnotherConnection) {
  ASSERT_TRUE(Renew({node_, 1, MachineNumber{1}, "a:1", ""}));
  const uint64_t connection = store_.state().connection;
  store_.SetReachable(false);
  EXPECT_FALSE(Renew({node_, 1, MachineNumber{1}, "a:1", ""}));
  EXPECT_FALSE(store_.state().connected);
  store_.SetReachable(true);
  EXPECT_TRUE(Renew({node_, 1, MachineNumber{1}, "a:1", ""}));
  EXPECT_NE(store_.state().connection, connection);
}

TEST(ControlRecordsTest, EveryRecordComesBackAsItWas) {
  const NodeRecord node{NodeId::FromRandom(), ~uint64_t{0}, MachineNumber{~uint32_t{0}}, "[fe80::1%a b]:1", ""};
  EXPECT_EQ(*DecodeNode("c", EncodeRecord(node)), node);
  const MachineEntry base{NodeId::FromRandom(), 3};
  EXPECT_EQ(*DecodeMachineEntry("c", EncodeRecord(base)), base);
  const NameEntry entry{"", "", ActorId::FromRandom(), 0, NodeId::FromRandom()};
  EXPECT_EQ(*DecodeName("c", EncodeRecord(entry)), entry);
  const ActorPlacement placement{ActorId(), NodeId::FromRandom(), 5, wire::ActorState::Dead};
  EXPECT_EQ(*DecodeActor("c", EncodeRecord(placement)), placement);
  for (const std::string& value : {std::string(), std::string(" 5:\0\n", 5), std::string(kControlValueBytesMax, ' ')}) {
    const KeyValue pair{"", value, 9, false};
    EXPECT_EQ(*DecodeKeyValue("c", EncodeRecord(pair)), pair);
  }
  EXPECT_TRUE(DecodeKeyValue("c", EncodeRecord(KeyValue{"", "forgotten", 9, true}))->deleted);
}

TEST(ControlRecordsTest, NonsenseNamesItsCell) {
  const std::string id(40, 'a');
  for (const std::string& text :
       {std::string(), std::string("hello"), "raylet2 node " + id + " 1 1 1:a 1:b",
        "raylet1 name " + id + " 1 1 1:a 1:b", "raylet1 node " + id + " 1 1 1:a", "raylet1 node " + id + " 1 1 1:a 9:b",
        "raylet1 node " + id + " 1 1 -1:a 1:b", "raylet1 node " + id + " -1 1 1:a 1:b",
        "raylet1 node " + id + " 1 4294967296 1:a 1:b", "raylet1 node " + id + " 1 1 1:a 1:b more",
        "raylet1 node " + id + " 1 1 1:ab 1:b", "raylet1 node " + std::string(40, '0') + " 1 1 1:a 1:b",
        "raylet1 node " + id + " 1 1 99999999999999999999:a 1:b",
        "raylet1 node " + id + " 1 1 301:" + std::string(301, 'a') + " 1:b"}) {
    const auto node = DecodeNode("node:abc", text);
    ASSERT_FALSE(node) << text;
    EXPECT_EQ(node.error().code, ErrorCode::kProtocolError);
    EXPECT_NE(node.error().message.find("node:abc"), std::string::npos);
  }
  EXPECT_FALSE(DecodeActor("c", "raylet1 actor " + id + " 1 4"));
  EXPECT_FALSE(DecodeKeyValue("c", "raylet1 key 1 1 1:a"));
  EXPECT_FALSE(DecodeKeyValue("c", "raylet1 key 1 2 0:"));
}

TEST(ControlRulesTest, CellsOfOthersAreLeftAlone) {
  const CellText other = "written by another program";
  const NodeId node = NodeId::FromRandom();
  const ActorId actor = ActorId::FromRandom();
  const auto written = std::make_shared<uint64_t>(0);
  const NameEntry entry{"s", "n", actor, 1, node};
  for (const CellRule& rule :
       {control_rules::RenewNode({node, 1, MachineNumber{1}, "a:1", ""}), control_rules::RemoveNode(node, 1),
        control_rules::TakeMachineNumber(MachineNumber{1}, {node, 1}), control_rules::TakeName(entry, {}),
        control_rules::RestoreName(entry), control_rules::ReleaseName(entry),
        control_rules::PlaceActor({actor, node, 1, wire::ActorState::Alive}), control_rules::ForgetActor(actor, 1),
        control_rules::PutKey("k", "v", false, written), control_rules::DeleteKey("k", written),
        control_rules::RestoreKey({"k", "v", 1, false})}) {
    const auto change = rule(other);
    ASSERT_FALSE(change);
    EXPECT_EQ(change.error().code, ErrorCode::kProtocolError);
  }
}

}  // namespace
}  // namespace raylet
