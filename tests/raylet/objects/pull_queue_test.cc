#include "raylet/objects/pull_queue.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"
#include "tests/harness/node_number.h"

namespace raylet {
namespace {

using test::NodeNumber;

using std::chrono::milliseconds;
using std::chrono::seconds;

class PullQueueTest : public testing::Test {
 protected:
  ObjectId Object(ProcessId owner = 7) { return NewObjectId(owner, next_); }
  void Want(const ObjectId& object, Wanter wanter, PullPriority priority = PullPriority::kGet) {
    ASSERT_TRUE(queue_.Want(object, wanter, priority, Deadline::Never()));
  }
  // The decisions of one kind since the last call of Settle.
  void Settle() { decisions_ = queue_.TakeDecisions(); }
  template <class Decision>
  std::vector<Decision> Of() const {
    std::vector<Decision> found;
    for (const auto& decision : decisions_)
      if (const auto* one = std::get_if<Decision>(&decision)) found.push_back(*one);
    return found;
  }
  // The one pull that begins now.
  StartPull Started() {
    Settle();
    const auto started = Of<StartPull>();
    EXPECT_EQ(started.size(), 1u);
    return started.empty() ? StartPull() : started.front();
  }
  StartPull WantAndStart(const ObjectId& object, PullPriority priority = PullPriority::kGet) {
    Want(object, 1, priority);
    queue_.Located(object, {NodeNumber(2)}, 1000);
    return Started();
  }
  void Pass(Duration time) {
    for (const TimePoint end = clock_.Now() + time; clock_.Now() < end; queue_.Tick())
      clock_.Advance(milliseconds(500));
  }
  void Use(PullLimits limits) { queue_ = PullQueue(NodeNumber(1), limits, clock_); }

  test::ManualClock clock_;
  std::atomic<uint64_t> next_{1};
  PullQueue queue_{NodeNumber(1), PullLimits(), clock_};
  std::vector<PullDecision> decisions_;
};

TEST_F(PullQueueTest, ManyWantersShareOnePullAndAllAreTold) {
  const ObjectId object = Object();
  Want(object, 1);
  Want(object, 2, PullPriority::kArgument);
  Want(object, 3, PullPriority::kWait);
  Settle();
  EXPECT_EQ(Of<LocateObject>().size(), 1u);
  queue_.Located(object, {NodeNumber(2), NodeNumber(3)}, 1000);
  const StartPull start = Started();
  EXPECT_EQ(start.priority, PullPriority::kGet);
  Want(object, 4);
  queue_.PullSealed(start.pull, object);
  Settle();
  ASSERT_EQ(decisions_.size(), 1u);
  EXPECT_EQ(Of<TellSealed>().at(0).wanters, (std::vector<Wanter>{1, 2, 3, 4}));
  EXPECT_EQ(queue_.objects(), 0u);
  EXPECT_EQ(queue_.under_way().count(), 0u);
  EXPECT_EQ(queue_.under_way().counted_bytes(), 0u);
}

TEST_F(PullQueueTest, AnObjectWithoutACopyWaitsForItsOwnersRaylet) {
  const ObjectId object = Object();
  Want(object, 1);
  queue_.Located(object, {}, 0);
  Settle();
  EXPECT_TRUE(Of<StartPull>().empty());
  EXPECT_EQ(queue_.WhyWaiting(object), "has no copy on any machine yet");
  queue_.Located(object, {NodeNumber(5)}, 0);
  EXPECT_EQ(Started().from, NodeNumber(5));
}

TEST_F(PullQueueTest, GetsGoBeforeWaitsAndWaitsBeforeArguments) {
  PullLimits limits;
  limits.pulls_max = 1;
  limits.small_pulls_max = 1;
  Use(limits);
  const ObjectId first = Object(), argument = Object(), wait = Object(), get = Object();
  const StartPull under_way = WantAndStart(first);
  Want(argument, 1, PullPriority::kArgument);
  Want(wait, 1, PullPriority::kWait);
  Want(get, 1, PullPriority::kGet);
  for (const ObjectId& object : {argument, wait, get}) queue_.Located(object, {NodeNumber(2)}, 1);
  Settle();
  EXPECT_TRUE(Of<StartPull>().empty());
  StartPull last = under_way;
  for (const ObjectId& object : {get, wait, argument}) {
    queue_.PullSealed(last.pull, last.object);
    last = Started();
    EXPECT_EQ(last.object, object);
  }
}

TEST_F(PullQueueTest, AMoreUrgentWanterRaisesWaitingAndRunningPulls) {
  PullLimits limits;
  limits.pulls_max = 1;
  limits.small_pulls_max = 1;
  Use(limits);
  const ObjectId under_way = Object(), early = Object(), late = Object();
  const StartPull start = WantAndStart(under_way, PullPriority::kArgument);
  Want(early, 1, PullPriority::kArgument);
  Want(late, 1, PullPriority::kArgument);
  queue_.Located(early, {NodeNumber(2)}, 1);
  queue_.Located(late, {NodeNumber(2)}, 1);
  Want(late, 2, PullPriority::kGet);
  Want(under_way, 2, PullPriority::kWait);
  Settle();
  ASSERT_EQ(Of<RaisePull>().size(), 1u);
  EXPECT_EQ(Of<RaisePull>()[0].pull, start.pull);
  EXPECT_EQ(Of<RaisePull>()[0].priority, PullPriority::kWait);
  queue_.PullSealed(start.pull, under_way);
  EXPECT_EQ(Started().object, late);
}

TEST_F(PullQueueTest, AnObjectFallsBackWhenItsUrgentWanterLeaves) {
  PullLimits limits;
  limits.pulls_max = 1;
  limits.small_pulls_max = 1;
  Use(limits);
  const StartPull start = WantAndStart(Object());
  const ObjectId early = Object(), late = Object();
  Want(early, 1, PullPriority::kArgument);
  Want(late, 1, PullPriority::kArgument);
  queue_.Located(early, {NodeNumber(2)}, 1);
  queue_.Located(late, {NodeNumber(2)}, 1);
  Want(late, 2, PullPriority::kGet);
  queue_.WantNoLonger(late, 2);
  queue_.PullSealed(start.pull, start.object);
  EXPECT_EQ(Started().object, early);
}

TEST_F(PullQueueTest, BytesUnderWayAreBoundedAndALargerObjectGoesAlone) {
  PullLimits limits;
  limits.bytes_max = 1000;
  Use(limits);
  const ObjectId a = Object(), b = Object(), huge = Object(), small = Object();
  for (const ObjectId& object : {a, b, huge, small}) Want(object, 1);
  queue_.Located(a, {NodeNumber(2)}, 600);
  queue_.Located(b, {NodeNumber(2)}, 400);
  queue_.Located(huge, {NodeNumber(2)}, 5000);
  queue_.Located(small, {NodeNumber(2)}, 1);
  Settle();
  const auto started = Of<StartPull>();
  ASSERT_EQ(started.size(), 2u);
  queue_.PullSealed(started[0].pull, a);
  Settle();
  EXPECT_TRUE(Of<StartPull>().empty()) << "a small object passed the large one that was first";
  queue_.PullSealed(started[1].pull, b);
  const StartPull alone = Started();
  EXPECT_EQ(alone.object, huge);
  EXPECT_EQ(queue_.under_way().counted_bytes(), 5000u);
  queue_.PullSealed(alone.pull, huge);
  EXPECT_EQ(Started().object, small);
}

TEST_F(PullQueueTest, ASizeThatOnlyTheHolderKnowsCountsOnceItIsTold) {
  PullLimits limits;
  limits.bytes_max = 1000;
  limits.unknown_bytes = 10;
  Use(limits);
  const ObjectId a = Object(), b = Object();
  Want(a, 1);
  queue_.Located(a, {NodeNumber(2)}, 0);
  const StartPull start = Started();
  EXPECT_EQ(queue_.under_way().counted_bytes(), 10u);
  queue_.PullSized(start.pull, a, 999);
  EXPECT_EQ(queue_.under_way().counted_bytes(), 999u);
  Want(b, 1);
  queue_.Located(b, {NodeNumber(2)}, 2);
  Settle();
  EXPECT_TRUE(Of<StartPull>().empty());
}

TEST_F(PullQueueTest, ArgumentsLeaveRoomForGets) {
  PullLimits limits;
  limits.pulls_max = 8;
  limits.small_pulls_max = 8;
  Use(limits);
  for (int i = 0; i < 8; ++i) {
    const ObjectId object = Object();
    Want(object, 1, PullPriority::kArgument);
    queue_.Located(object, {NodeNumber(2)}, 1);
  }
  Settle();
  EXPECT_EQ(Of<StartPull>().size(), 6u);
  WantAndStart(Object(), PullPriority::kWait);
  WantAndStart(Object(), PullPriority::kGet);
}

TEST_F(PullQueueTest, TriesTheNextHolderAndThenLocatesAgain) {
  const ObjectId object = Object();
  Want(object, 1);
  queue_.Located(object, {NodeNumber(2), NodeNumber(3)}, 1000);
  const StartPull first = Started();
  queue_.PullEnded(first.pull, object, {ErrorCode::kDisconnected, "the link broke"}, 300);
  const StartPull second = Started();
  EXPECT_NE(second.from, first.from);
  EXPECT_NE(second.pull, first.pull);
  queue_.PullEnded(second.pull, object, {ErrorCode::kNotFound, "evicted"}, 300);
  Settle();
  EXPECT_TRUE(decisions_.empty()) << "it backs off before it asks again";
  clock_.Advance(queue_.NextTick() - clock_.Now());
  queue_.Tick();
  Settle();
  ASSERT_EQ(Of<LocateObject>().size(), 1u);
  EXPECT_EQ(Of<LocateObject>()[0].without, std::vector<NodeId>{second.from});
  // A late message of an ended pull changes nothing.
  queue_.PullEnded(first.pull, object, {ErrorCode::kTooLarge, "late"}, 0);
  queue_.PullSealed(second.pull, object);
  EXPECT_EQ(queue_.objects(), 1u);
}

TEST_F(PullQueueTest, ADeadNodeEndsItsPulls) {
  const ObjectId object = Object();
  Want(object, 1);
  queue_.Located(object, {NodeNumber(2), NodeNumber(3)}, 1000);
  const StartPull first = Started();
  queue_.MachineLost(first.from);
  const StartPull second = Started();
  EXPECT_NE(second.from, first.from);
  queue_.MachineLost(second.from);
  Settle();
  EXPECT_EQ(queue_.under_way().count(), 0u);
  EXPECT_LT(queue_.NextTick(), TimePoint::max());
}

TEST_F(PullQueueTest, FailuresBackOffLongerAndLongerUntilBytesCome) {
  PullLimits limits;
  limits.back_off_first = milliseconds(10);
  limits.back_off_max = milliseconds(50);
  Use(limits);
  const ObjectId object = Object();
  Want(object, 1);
  queue_.Located(object, {NodeNumber(2)}, 1000);
  const auto fail = [&](uint64_t good_bytes) {
    const StartPull start = Started();
    queue_.PullEnded(start.pull, object, {ErrorCode::kFull, "no room"}, good_bytes);
    const Duration waits = queue_.NextTick() - clock_.Now();
    clock_.Advance(waits);
    queue_.Tick();
    return waits;
  };
  EXPECT_EQ(fail(0), milliseconds(10));
  EXPECT_EQ(fail(0), milliseconds(20));
  EXPECT_EQ(fail(0), milliseconds(40));
  EXPECT_EQ(fail(0), milliseconds(50));
  EXPECT_EQ(fail(0), milliseconds(50));
  EXPECT_EQ(fail(500), milliseconds(10));
  EXPECT_EQ(fail(500), milliseconds(20));
}

TEST_F(PullQueueTest, AnObjectWhoseHoldersAreOutOfReachForLongIsLost) {
  PullLimits limits;
  limits.give_up_after = seconds(30);
  Use(limits);
  const ObjectId object = Object();
  Want(object, 1);
  const TimePoint begin = clock_.Now();
  while (clock_.Now() - begin < seconds(60)) {
    queue_.Located(object, {NodeNumber(2)}, 1000);  // its owner reaches it
    Settle();
    for (const StartPull& start : Of<StartPull>())
      queue_.PullEnded(start.pull, object, {ErrorCode::kDisconnected, "there is no session"}, 0);
    Settle();
    if (!Of<TellLost>().empty()) break;
    clock_.Advance(milliseconds(500));
    queue_.Tick();
  }
  ASSERT_EQ(Of<TellLost>().size(), 1u);
  EXPECT_NE(Of<TellLost>()[0].why.message.find("there is no session"), std::string::npos);
  EXPECT_GE(clock_.Now() - begin, seconds(30));
  EXPECT_LE(clock_.Now() - begin, seconds(35));
  EXPECT_EQ(queue_.objects(), 0u);
}

TEST_F(PullQueueTest, AHolderOutOfReachForLongDelaysNoFurtherObject) {
  PullLimits limits;
  limits.give_up_after = seconds(30);
  Use(limits);
  const auto unreached = [&](const ObjectId& object) {  // tried once
    Want(object, 1);
    queue_.Located(object, {NodeNumber(2)}, 1000);
    const StartPull start = Started();
    queue_.PullEnded(start.pull, object, {ErrorCode::kDisconnected, "there is no session"}, 0);
    Settle();
    return Of<TellLost>().size() == 1;
  };
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(unreached(Object()));
    queue_.WanterGone(1);
    Settle();
    Pass(seconds(5));
  }
  EXPECT_TRUE(unreached(Object()));
  // Another one has a copy, too.
  const ObjectId object = Object();
  Want(object, 1);
  queue_.Located(object, {NodeNumber(2), NodeNumber(3)}, 1000);
  for (int holders = 0; holders < 2; ++holders) {
    const StartPull start = Started();
    queue_.PullEnded(start.pull, object, {ErrorCode::kDisconnected, "there is no session"}, 0);
  }
  Settle();
  EXPECT_TRUE(Of<TellLost>().empty());
  queue_.WanterGone(1);
  // Once the node is heard, or nothing was tried for a while, patience begins anew.
  Pass(seconds(11));
  EXPECT_FALSE(unreached(Object()));
  queue_.WanterGone(1);
  for (int i = 0; i < 6; ++i) {
    Pass(seconds(4));
    EXPECT_FALSE(unreached(Object()));
    queue_.WanterGone(1);
  }
  const ObjectId there = Object();
  Want(there, 1);
  queue_.Located(there, {NodeNumber(2)}, 1000);
  queue_.PullEnded(Started().pull, there, {ErrorCode::kNotFound, "it has none"}, 0);
  queue_.WanterGone(1);
  Pass(seconds(7));
  EXPECT_FALSE(unreached(Object()));
  queue_.WanterGone(1);
  Pass(seconds(11));
  EXPECT_EQ(queue_.NextTick(), TimePoint::max()) << "all failures are forgotten";
}

TEST_F(PullQueueTest, AStallOfThisRayletDoesNotCountAsTimeInWhichAHolderIsOutOfReach) {
  PullLimits limits;
  limits.give_up_after = seconds(30);
  limits.back_off_max = seconds(2);
  Use(limits);
  const ObjectId object = Object();
  Want(object, 1);
  const auto fail = [&] {
    queue_.Located(object, {NodeNumber(2)}, 1000);
    Settle();
    for (const StartPull& start : Of<StartPull>())
      queue_.PullEnded(start.pull, object, {ErrorCode::kDisconnected, "there is no session"}, 0);
    Settle();
    return Of<TellLost>().size() == 1;
  };
  for (int i = 0; i < 25; ++i) {
    EXPECT_FALSE(fail());
    Pass(seconds(1));
  }
  clock_.Advance(seconds(9));  // nobody looks meanwhile
  queue_.Tick();
  EXPECT_FALSE(fail());
  Pass(seconds(4));
  EXPECT_TRUE(fail());
}

TEST_F(PullQueueTest, TheLastWanterThatCancelsStopsThePull) {
  const ObjectId object = Object();
  Want(object, 1);
  Want(object, 2);
  queue_.Located(object, {NodeNumber(2)}, 1000);
  const StartPull start = Started();
  queue_.WantNoLonger(object, 1);
  queue_.WantNoLonger(object, 1);
  Settle();
  EXPECT_TRUE(decisions_.empty());
  queue_.WanterGone(2);
  Settle();
  ASSERT_EQ(Of<StopPull>().size(), 1u);
  EXPECT_EQ(Of<StopPull>()[0].pull, start.pull);
  EXPECT_EQ(decisions_.size(), 1u) << "nobody is told";
  EXPECT_EQ(queue_.objects(), 0u);
  EXPECT_EQ(queue_.under_way().count(), 0u);
}

TEST_F(PullQueueTest, AWanterHearsAtItsDeadlineWhyItsObjectIsNotHere) {
  const ObjectId object = Object();
  ASSERT_TRUE(queue_.Want(object, 1, PullPriority::kGet, clock_.After(seconds(1))));
  Want(object, 2);
  queue_.Located(object, {NodeNumber(2)}, 1000);
  queue_.PullEnded(Started().pull, object, {ErrorCode::kFull, "StoreFull: need 1000 bytes"}, 0);
  clock_.Advance(seconds(1));
  queue_.Tick();
  Settle();
  ASSERT_EQ(Of<TellLost>().size(), 1u);
  EXPECT_EQ(Of<TellLost>()[0].wanter, 1u);
  EXPECT_EQ(Of<TellLost>()[0].why.code, ErrorCode::kTimedOut);
  EXPECT_NE(Of<TellLost>()[0].why.message.find("StoreFull: need 1000 bytes"), std::string::npos);
  EXPECT_EQ(queue_.objects(), 1u) << "the other wanter has no deadline";
}

TEST_F(PullQueueTest, AWanterThatWantsAgainHasItsLatestDeadline) {
  const ObjectId object = Object();
  ASSERT_TRUE(queue_.Want(object, 1, PullPriority::kGet, clock_.After(seconds(1))));
  ASSERT_TRUE(queue_.Want(object, 1, PullPriority::kGet, clock_.After(seconds(5))));
  clock_.Advance(seconds(2));
  queue_.Tick();
  Settle();
  EXPECT_TRUE(Of<TellLost>().empty());
  queue_.WanterGone(1);
  EXPECT_EQ(queue_.NextTick(), TimePoint::max());
}

TEST_F(PullQueueTest, TakesDecisionsInOrderAndNoMoreThanAskedFor) {
  std::vector<ObjectId> objects;
  for (int i = 0; i < 5; ++i) Want(objects.emplace_back(Object()), 1);
  std::vector<ObjectId> located;
  for (const size_t count : {2u, 2u, 1u}) {
    EXPECT_TRUE(queue_.has_decisions());
    decisions_ = queue_.TakeDecisions(2);
    EXPECT_EQ(decisions_.size(), count);
    for (const LocateObject& each : Of<LocateObject>()) located.push_back(each.object);
  }
  EXPECT_FALSE(queue_.has_decisions());
  EXPECT_EQ(located, objects);
}

TEST_F(PullQueueTest, LosesTheObjectsOfAGoneMachineBitByBitButNoneThatIsWantedAnew) {
  const Error gone{ErrorCode::kUnavailable, "the machine has gone"};
  std::vector<ObjectId> objects;
  for (int i = 0; i < 5; ++i) Want(objects.emplace_back(Object(ProcessIdOf(MachineNumber{9}, 4))), 1);
  Settle();
  queue_.MachineLost(NodeNumber(99), MachineNumber{9}, gone);
  // The machine is there again.
  queue_.WantNoLonger(objects[0], 1);
  Want(objects[0], 1);
  Want(objects[1], 2);  // its first wanter hears that it is lost
  size_t lost = 0;
  while (queue_.has_decisions()) {
    decisions_ = queue_.TakeDecisions(2);
    EXPECT_LE(decisions_.size(), 2u);
    lost += Of<TellLost>().size();
  }
  EXPECT_EQ(lost, 4u);
  EXPECT_TRUE(queue_.IsWanted(objects[0]));
  EXPECT_TRUE(queue_.IsWanted(objects[1]));
  EXPECT_EQ(queue_.objects(), 2u);
}

TEST_F(PullQueueTest, NoPullStartsFromAGoneMachineThoughManyObjectsAreStillToBeLookedThrough) {
  std::vector<ObjectId> objects;
  for (int i = 0; i < 1000; ++i) {
    Want(objects.emplace_back(Object()), 1);
    queue_.Located(objects.back(), {NodeNumber(2), NodeNumber(3)}, 1000);
  }
  queue_.MachineLost(NodeNumber(2));
  queue_.MachineLost(NodeNumber(4));
  size_t turns = 0;
  while (queue_.has_decisions()) {
    decisions_ = queue_.TakeDecisions(20);
    for (const StartPull& start : Of<StartPull>()) EXPECT_EQ(start.from, NodeNumber(3));
    ++turns;
  }
  EXPECT_GT(turns, 6u);  // 64 parts for each machine, 20 at a time
  EXPECT_GT(queue_.under_way().count(), 0u);
}

TEST_F(PullQueueTest, ALostObjectFailsForAllItsWanters) {
  const Error gone{ErrorCode::kUnavailable, "its owner has gone"};
  const ProcessId there = ProcessIdOf(MachineNumber{9}, 4), there_too = ProcessIdOf(MachineNumber{9}, 5), elsewhere = 4;
  const ObjectId a = Object(there), b = Object(there_too), c = Object(elsewhere), d = Object(there);
  for (const ObjectId& object : {a, b, c, d}) Want(object, 1);
  queue_.Lost(a, gone);
  EXPECT_EQ(queue_.objects(), 3u);
  queue_.MachineLost(NodeNumber(99), MachineNumber{9}, gone);
  Settle();
  EXPECT_EQ(Of<TellLost>().size(), 3u);
  EXPECT_EQ(queue_.objects(), 1u);
  queue_.Located(c, {NodeNumber(2)}, 1);
  queue_.PullEnded(Started().pull, c, {ErrorCode::kTooLarge, "larger than the store"}, 0);
  Settle();
  ASSERT_EQ(Of<TellLost>().size(), 1u);
  EXPECT_EQ(Of<TellLost>()[0].why.message, "larger than the store");
  EXPECT_EQ(queue_.objects(), 0u);
}

TEST_F(PullQueueTest, AnObjectThatIsMadeHereMeanwhileStopsItsPull) {
  const ObjectId object = Object();
  const StartPull start = WantAndStart(object);
  queue_.SealedHere(object);
  Settle();
  ASSERT_EQ(Of<StopPull>().size(), 1u);
  EXPECT_EQ(Of<StopPull>()[0].pull, start.pull);
  EXPECT_EQ(Of<TellSealed>().size(), 1u);
}

TEST_F(PullQueueTest, SeveralHoldersShareTheWork) {
  std::map<NodeId, int> from;
  for (int i = 0; i < 30; ++i) {
    const ObjectId object = Object();
    Want(object, 1);
    queue_.Located(object, {NodeNumber(2), NodeNumber(3), NodeNumber(4)}, 1);
    ++from[Started().from];
  }
  for (uint8_t node = 2; node <= 4; ++node) EXPECT_EQ(from[NodeNumber(node)], 10);
}

TEST_F(PullQueueTest, OneObjectTooManyIsRefusedWithTheLimit) {
  PullLimits limits;
  limits.objects_max = 1;
  Use(limits);
  const ObjectId object = Object();
  Want(object, 1);
  Want(object, 2);
  const auto refused = queue_.Want(Object(), 3, PullPriority::kGet, Deadline::Never());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
}

}  // namespace
}  // namespace raylet
