#include "raylet/channels/relay_table.h"

#include <gtest/gtest.h>

#include "tests/harness/node_number.h"

namespace raylet {
namespace {

using test::NodeNumber;

class RelayTableTest : public ::testing::Test {
 protected:
  static ActorId Actor(uint8_t number) {
    ActorId id;
    id.mutable_data()[0] = number;
    return id;
  }
  Relay& AddOpened(RelayNumber number, ProcessId caller, uint8_t actor, size_t host = 1) {
    auto relay = std::make_unique<Relay>();
    relay->opened = true;
    relay->node = NodeNumber(host);
    relay->number = number;
    relay->caller = caller;
    relay->actor = Actor(actor);
    Relay& added = *relay;
    table_.AddOpened(std::move(relay));
    return added;
  }
  // Null where the table does not take it.
  Relay* AddHosted(RelayNumber number, ChannelId channel, size_t node = 1, WorkerId worker = 7) {
    auto relay = std::make_unique<Relay>();
    relay->node = NodeNumber(node);
    relay->number = number;
    relay->channel = channel;
    relay->worker = worker;
    Relay* const added = relay.get();
    return table_.AddHosted(std::move(relay)) ? added : nullptr;
  }

  RelayTable table_;
};

TEST_F(RelayTableTest, FindsAnOpenedRelayByItsCallerAndByItsNumber) {
  Relay& relay = AddOpened(1, /*caller=*/5, /*actor=*/3);
  AddOpened(2, /*caller=*/5, /*actor=*/4);
  EXPECT_EQ(table_.Opened(5, Actor(3)), &relay);
  EXPECT_EQ(table_.Opened(6, Actor(3)), nullptr);
  EXPECT_EQ(table_.Opened(NodeNumber(1), 1), &relay);
  EXPECT_EQ(table_.Opened(NodeNumber(2), 1), nullptr) << "another machine names a relay that is not its own";
  EXPECT_EQ(table_.Hosted(NodeNumber(1), 1), nullptr);
  EXPECT_EQ(table_.Take(relay).get(), &relay);
  EXPECT_EQ(table_.Opened(5, Actor(3)), nullptr);
  EXPECT_EQ(table_.Opened(NodeNumber(1), 1), nullptr);
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(RelayTableTest, EachMachineNumbersItsRelaysItself) {
  Relay* const first = AddHosted(1, /*channel=*/11, /*node=*/1);
  Relay* const second = AddHosted(1, /*channel=*/12, /*node=*/2);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(table_.Hosted(NodeNumber(1), 1), first);
  EXPECT_EQ(table_.Hosted(NodeNumber(2), 1), second);
  EXPECT_EQ(AddHosted(1, /*channel=*/13, /*node=*/1), nullptr) << "this machine has used the number";
  EXPECT_EQ(table_.Hosted(NodeNumber(1), 1), first);
  EXPECT_EQ(table_.HostedFor(NodeNumber(1)), 1u);
  EXPECT_EQ(table_.HostedFor(NodeNumber(3)), 0u);
}

TEST_F(RelayTableTest, OnlyItsWorkerLetsGoOfAClosingRelay) {
  Relay& relay = *AddHosted(1, /*channel=*/11, /*node=*/1, /*worker=*/7);
  EXPECT_EQ(table_.Closing(7, 11), nullptr) << "its caller lives";
  table_.StartClosing(relay);
  EXPECT_EQ(table_.Hosted(NodeNumber(1), 1), nullptr);
  EXPECT_EQ(table_.Closing(7, 11), &relay);
  EXPECT_EQ(table_.Closing(8, 11), nullptr);
  EXPECT_EQ(table_.Take(relay).get(), &relay);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(RelayTableTest, AClosingRelayLeavesItsNumberToTheNextOne) {
  Relay& closing = *AddHosted(1, /*channel=*/11);
  table_.StartClosing(closing);
  Relay* const next = AddHosted(1, /*channel=*/12);
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(table_.Take(closing).get(), &closing) << "not the hosted one of the same number";
  EXPECT_EQ(table_.Hosted(NodeNumber(1), 1), next);
}

TEST_F(RelayTableTest, EachLooksAtRelaysInAllStates) {
  AddOpened(1, 5, 3);
  AddHosted(1, 11);
  table_.StartClosing(*AddHosted(2, 12));
  AddHosted(3, 13, /*node=*/2);
  EXPECT_EQ(table_.Each([](const Relay& relay) { return relay.node == NodeNumber(1); }).size(), 3u);
  EXPECT_EQ(table_.size(), 4u);
}

}  // namespace
}  // namespace raylet
