// A relay leads to one incarnation of an actor, which answers while its lease holds.
#include "tests/raylet/channels/relay_sides.h"

namespace raylet::test {
namespace {

TEST_F(ChannelRelayTest, ARelayIsOpenedToAnIncarnation) {
  wire::OpenRelayRequestT to_none;
  to_none.relay = 1;
  to_none.actor = std::make_unique<wire::Id20>(ToWire(actor_));
  to_none.caller = kCaller;
  Frame frame;
  frame.header.type = static_cast<uint16_t>(wire::ChannelMessage::OpenRelay);
  frame.body = Encode(to_none);
  EXPECT_EQ(b_.relay.OnMessage(a_.id, frame).error().code, ErrorCode::kProtocolError);
}

TEST_F(ChannelRelayTest, NoReplyOfAReplacedIncarnationReachesTheCaller) {
  Process caller = Open();
  ASSERT_TRUE(caller.Call(1));
  ASSERT_TRUE(caller.Call(2));
  Settle();
  ASSERT_TRUE(b_.worker->Reply(1));
  Settle();
  a_.relay.Cut(kCaller, actor_, kIncarnation - 1);
  EXPECT_TRUE(a_.relay.IsOpen(kCaller, actor_)) << "this one leads to a later incarnation";
  a_.relay.Cut(kCaller, actor_, kIncarnation);
  EXPECT_FALSE(a_.relay.IsOpen(kCaller, actor_));
  const ObjectId stored = Stored(2);
  ASSERT_TRUE(b_.worker->Reply(2, stored));
  Settle();
  EXPECT_EQ(caller.Take()->call, 1u) << "it came before";
  EXPECT_FALSE(caller.Take());
  EXPECT_EQ(a_.undelivered, std::vector<ObjectId>{stored});
  EXPECT_EQ(b_.caller_gone, 1) << "the worker is told to let go";
  b_.relay.ChannelReleased(kWorker, kChannel);
  EXPECT_EQ(a_.relay.open() + b_.relay.open(), 0u);
}

TEST_F(ChannelRelayTest, RepliesWaitWhileTheLeaseDoesNotHold) {
  Process caller = Open();
  for (uint64_t call = 1; call <= 3; ++call) ASSERT_TRUE(caller.Call(call));
  Settle();
  ASSERT_TRUE(b_.worker->Reply(1));
  Settle();
  b_.lease_holds = false;
  ASSERT_TRUE(b_.worker->Reply(2));
  ASSERT_TRUE(b_.worker->Reply(3));
  for (int turns = 0; turns < 20; ++turns) {
    uv_run(loop_.raw(), UV_RUN_ONCE);  // it looks again now and then
    Settle();
  }
  EXPECT_EQ(caller.Take()->call, 1u);
  EXPECT_FALSE(caller.Take());
  b_.lease_holds = true;
  std::optional<Process::Taken> taken;
  while (!(taken = caller.Take())) {
    uv_run(loop_.raw(), UV_RUN_ONCE);
    Settle();
  }
  EXPECT_EQ(taken->call, 2u);
  EXPECT_EQ(caller.Take()->call, 3u);
}

TEST_F(ChannelRelayTest, RepliesThatWaitForALeaseAreDroppedWithTheirWorker) {
  Process caller = Open();
  for (uint64_t call = 1; call <= 3; ++call) ASSERT_TRUE(caller.Call(call));
  Settle();
  b_.lease_holds = false;
  const ObjectId stored = Stored(2);
  ASSERT_TRUE(b_.worker->Reply(1));
  ASSERT_TRUE(b_.worker->Reply(2, stored));
  Settle();
  b_.relay.WorkerGone(kWorker, kStoreClient);
  Settle();
  EXPECT_EQ(a_.ended, 1);
  EXPECT_TRUE(a_.ended_why.empty());
  EXPECT_FALSE(caller.Take());
  EXPECT_EQ(a_.undelivered, std::vector<ObjectId>{stored});
  ASSERT_EQ(b_.untold.size(), 1u) << "the third call may have left a result";
  EXPECT_EQ(a_.relay.open() + b_.relay.open(), 0u);
}

}  // namespace
}  // namespace raylet::test
