// Calls and replies through two relays, and the ends of either side.
#include <random>

#include "tests/raylet/channels/relay_sides.h"

namespace raylet::test {
namespace {

TEST_F(ChannelRelayTest, CallsAndRepliesCrossInOrderAndManyInOneMessage) {
  Process caller = Open();
  for (uint64_t call = 1; call <= 1000; ++call) ASSERT_TRUE(caller.Call(call, call % 50));
  Turn();
  EXPECT_EQ(a_.said.size(), 1u);
  Settle();
  for (uint64_t call = 1; call <= 1000; ++call) {
    const auto taken = b_.worker->Take();
    ASSERT_TRUE(taken);
    ASSERT_EQ(taken->call, call);
    ASSERT_TRUE(b_.worker->Reply(call));
  }
  EXPECT_FALSE(b_.worker->Take());
  Settle();
  for (uint64_t call = 1; call <= 1000; ++call) ASSERT_EQ(caller.Take()->call, call);
  EXPECT_FALSE(caller.Take());
  EXPECT_EQ(a_.relay.open() + b_.relay.open(), 2u);
}

TEST_F(ChannelRelayTest, CallsWrittenBeforeTheOtherSideHasHeardOfThemWait) {
  auto opened = a_.relay.Open(b_.id, actor_, kIncarnation, kCaller, a_.doorbell);
  ASSERT_TRUE(opened);
  Process caller(*std::move(opened), /*caller=*/true);
  ASSERT_TRUE(caller.Call(1));
  Settle();
  EXPECT_EQ(b_.worker->Take()->call, 1u);
}

TEST_F(ChannelRelayTest, AWorkerThatTakesNothingHoldsItsCallerBackAndLosesNothing) {
  Process caller = Open();
  uint64_t sent = 0;
  for (int idle = 0; idle < 2; ++idle) {
    while (caller.Call(sent + 1, 60'000)) {
      ++sent;
      idle = 0;
    }
    Settle();
  }
  // Two rings, and what may be under way between them.
  EXPECT_GT(sent * 60'000, 2 * kChannelRingBytes);
  EXPECT_LT(sent * 60'000, 2 * kChannelRingBytes + kRelayWaitingBytesMax);
  for (uint64_t taken = 0; taken < sent;) {
    const auto call = b_.worker->Take();
    if (!call) {
      Settle();  // what waits is tried again without being asked
      continue;
    }
    ASSERT_EQ(call->call, ++taken);
  }
  ASSERT_TRUE(caller.Call(sent + 1));
  Settle();
  EXPECT_EQ(b_.worker->Take()->call, sent + 1);
}

TEST_F(ChannelRelayTest, RepliesThatAWorkerWroteBeforeItsEndComeBeforeItsEnd) {
  Process caller = Open();
  for (uint64_t call = 1; call <= 100; ++call) ASSERT_TRUE(b_.worker->Reply(call));
  b_.relay.WorkerGone(kWorker, kStoreClient);
  EXPECT_EQ(b_.relay.open(), 0u);
  Settle();
  for (uint64_t call = 1; call <= 100; ++call) ASSERT_EQ(caller.Take()->call, call);
  EXPECT_EQ(a_.ended, 1);
  EXPECT_EQ(a_.ended_why, "");
  EXPECT_FALSE(a_.relay.IsOpen(kCaller, actor_));
}

TEST_F(ChannelRelayTest, TheEndWaitsUntilTheCallerHasTakenEarlierReplies) {
  Process caller = Open();
  uint64_t replies = 0;
  for (int idle = 0; idle < 2; ++idle) {
    while (b_.worker->Reply(replies + 1)) {
      ++replies;
      idle = 0;
    }
    Settle();
  }
  b_.relay.WorkerGone(kWorker, kStoreClient);
  Settle();
  EXPECT_EQ(a_.ended, 0);
  for (uint64_t taken = 0; taken < replies;) {
    if (const auto reply = caller.Take()) {
      ASSERT_EQ(reply->call, ++taken);
    } else {
      Settle();
    }
  }
  while (a_.ended == 0) Settle();
  EXPECT_FALSE(caller.Take());
  EXPECT_EQ(a_.relay.open() + b_.relay.open(), 0u);
}

TEST_F(ChannelRelayTest, StoredResultsAreKeptHereAndKnownThere) {
  Process caller = Open();
  ASSERT_TRUE(b_.worker->Reply(1, Stored(1)));
  Settle();
  EXPECT_EQ(b_.stored_here.size(), 1u);
  EXPECT_EQ(a_.delivered_objects, b_.stored_here);
  EXPECT_EQ(caller.Take()->call, 1u);
}

TEST_F(ChannelRelayTest, AWorkerThatEndsDuringACallMayHaveSealedItsResult) {
  Process caller = Open();
  for (uint64_t call = 1; call <= 3; ++call) ASSERT_TRUE(caller.Call(call));
  Settle();
  const auto first = b_.worker->Take(), second = b_.worker->Take();
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(b_.worker->Reply(1, first->result));
  b_.relay.WorkerGone(kWorker, kStoreClient);
  Settle();
  EXPECT_EQ(b_.stored_here, std::vector{first->result});
  EXPECT_EQ(b_.untold, std::vector{second->result}) << "it never began the third one";
}

TEST_F(ChannelRelayTest, AWorkerThatEndsDuringTwoCallsMayHaveSealedBothResults) {
  b_.calls_at_once = 2;
  Process caller = Open();
  for (uint64_t call = 1; call <= 4; ++call) ASSERT_TRUE(caller.Call(call));
  Settle();
  std::vector<ObjectId> results;
  while (const auto call = b_.worker->Take()) results.push_back(call->result);
  ASSERT_EQ(results.size(), 4u);
  ASSERT_TRUE(b_.worker->Reply(2));  // the third call begins beside the first one
  b_.relay.WorkerGone(kWorker, kStoreClient);
  Settle();
  EXPECT_EQ(caller.Take()->call, 2u);
  EXPECT_EQ(b_.untold, (std::vector{results[0], results[2]}));
}

TEST_F(ChannelRelayTest, ResultsOfACallThatOutlivesItsCallerAreFreed) {
  Process caller = Open();
  ASSERT_TRUE(b_.worker->Reply(1, Stored(1)));
  Turn();  // on its way
  a_.relay.CallerGone(kCaller);
  Settle();
  EXPECT_EQ(b_.caller_gone, 1);
  EXPECT_EQ(a_.undelivered, b_.stored_here);
  // The worker was in the middle of another call.
  ASSERT_TRUE(b_.worker->Reply(2, Stored(2)));
  b_.relay.ChannelReleased(kWorker, kChannel);
  EXPECT_EQ(b_.relay.open(), 0u);
  Settle();
  EXPECT_EQ(b_.stored_here.size(), 2u);
  EXPECT_EQ(a_.undelivered, b_.stored_here);
  EXPECT_EQ(a_.ended, 0);
}

TEST_F(ChannelRelayTest, SecondRequestOfACallerReplacesTheFirst) {
  Process first = Open();
  Process second = Open();
  EXPECT_EQ(b_.caller_gone, 1);
  ASSERT_TRUE(first.Call(1));
  ASSERT_TRUE(second.Call(2));
  Settle();
  EXPECT_EQ(b_.worker->Take()->call, 2u);
}

TEST_F(ChannelRelayTest, ARefusedRelayEndsAtOnceAndSaysWhy) {
  b_.refuse = Result<void>(Fail(ErrorCode::kFull, "no descriptors are left"));
  const Process caller = Open();
  EXPECT_EQ(a_.ended, 1);
  EXPECT_EQ(a_.ended_why, "no descriptors are left");
  b_.refuse = Result<void>();
  const Process again = Open();
  EXPECT_EQ(a_.ended, 2);
  EXPECT_EQ(a_.ended_why, "");
}

void Lose(Side& side, const Side& lost, const Error& why) {
  side.relay.MachineLost(lost.id);
  EXPECT_EQ(side.relay.EndLost(lost.id, why, 10), 1u);
  EXPECT_EQ(side.relay.EndLost(lost.id, why, 10), 0u);
}

TEST_F(ChannelRelayTest, ALostMachineEndsARelayAfterTheRecordsThatCameBefore) {
  Process caller = Open();
  ASSERT_TRUE(b_.worker->Reply(1));
  Settle();
  Lose(a_, b_, {ErrorCode::kDisconnected, "it is silent"});
  EXPECT_EQ(a_.ended_why, "it is silent");
  EXPECT_EQ(caller.Take()->call, 1u);
  Lose(b_, a_, {ErrorCode::kDisconnected, "it is silent"});
  EXPECT_EQ(b_.caller_gone, 1);
  ASSERT_TRUE(b_.worker->Reply(2, Stored(2)));
  b_.relay.ChannelReleased(kWorker, kChannel);
  EXPECT_EQ(b_.stored_here.size(), 1u);
  EXPECT_TRUE(b_.said.empty());
  EXPECT_EQ(a_.relay.open() + b_.relay.open(), 0u);
}

TEST_F(ChannelRelayTest, RelaysToALostMachineEndSomeAtATimeAndCarryNothingMeanwhile) {
  const Error why{ErrorCode::kDisconnected, "it is silent"};
  std::vector<Process> callers;
  for (int i = 0; i < 5; ++i) {
    auto opened = a_.relay.Open(b_.id, ActorId::FromRandom(), kIncarnation, kCaller, a_.doorbell);
    ASSERT_TRUE(opened);
    callers.emplace_back(*std::move(opened), /*caller=*/true);
    Settle();
  }
  a_.relay.MachineLost(b_.id);
  ASSERT_TRUE(callers[0].Call(1));
  Turn();
  EXPECT_TRUE(a_.said.empty());
  EXPECT_EQ(a_.ended, 0);
  EXPECT_EQ(a_.relay.EndLost(b_.id, why, 2), 2u);
  EXPECT_EQ(a_.ended, 2);
  EXPECT_EQ(a_.relay.open(), 3u);
  EXPECT_EQ(a_.relay.EndLost(b_.id, why, 10), 3u);
  EXPECT_EQ(a_.relay.EndLost(b_.id, why, 10), 0u);
  EXPECT_EQ(a_.ended, 5);
  EXPECT_EQ(a_.relay.open(), 0u);
}

// A message about a result may be too much for a session that is behind, and end the session at once.
TEST_F(ChannelRelayTest, AMachineMayBeLostWhileItsLastReplyIsHandedOver) {
  Process caller = Open();
  ASSERT_TRUE(caller.Call(1));
  Settle();
  a_.on_stored_there = [&] { Lose(a_, b_, {ErrorCode::kDisconnected, "it does not keep up"}); };
  ASSERT_TRUE(b_.worker->Reply(1, Stored(1)));
  Settle();
  EXPECT_EQ(caller.Take()->call, 1u);
  EXPECT_EQ(a_.ended, 1);
  EXPECT_EQ(a_.relay.open(), 0u);
}

TEST_F(ChannelRelayTest, NonsenseOfEitherProcessIsToldToTheCaller) {
  Process caller = Open();
  ASSERT_TRUE(caller.Write(CallRecordType::kReply, {}));
  Settle();
  const auto told = caller.Take();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->type, CallRecordType::kRefused);
  EXPECT_NE(told->text.find("unknown type 2"), std::string::npos) << told->text;

  Process other = Open();
  ASSERT_TRUE(b_.worker->Reply(1));
  ASSERT_TRUE(b_.worker->Write(CallRecordType::kCall, {}));
  Settle();
  EXPECT_EQ(other.Take()->call, 1u);
  EXPECT_EQ(other.Take()->type, CallRecordType::kRefused);
}

TEST_F(ChannelRelayTest, AReplyMustNameAResultThatTheCallerOwns) {
  Process caller = Open();
  std::atomic<uint64_t> counter{1};
  ASSERT_TRUE(b_.worker->Reply(1, NewObjectId(kCaller + 1, counter)));
  Settle();
  EXPECT_TRUE(b_.stored_here.empty());
  EXPECT_EQ(caller.Take()->type, CallRecordType::kRefused);
}

TEST_F(ChannelRelayTest, ACallMustNameAResultThatItsCallerOwns) {
  Process caller = Open();
  ASSERT_TRUE(caller.Call(1));
  ASSERT_TRUE(caller.Call(2, 10, kCaller + 1));
  Settle();
  EXPECT_EQ(b_.worker->Take()->call, 1u);
  EXPECT_FALSE(b_.worker->Take());
  EXPECT_EQ(caller.Take()->type, CallRecordType::kRefused);
}

TEST_F(ChannelRelayTest, NonsenseOfAnotherRayletIsAnError) {
  const Process caller = Open();
  const auto say = [&](wire::ChannelMessage type, const auto& message) {
    Frame frame;
    frame.header.type = static_cast<uint16_t>(type);
    frame.body = Encode(message);
    return b_.relay.OnMessage(a_.id, frame);
  };
  wire::OpenRelayRequestT again;
  again.relay = 1;
  again.actor = std::make_unique<wire::Id20>(ToWire(actor_));
  again.caller = kCaller;
  again.incarnation = kIncarnation;
  EXPECT_FALSE(say(wire::ChannelMessage::OpenRelay, again));
  wire::RelayedRecordsT records;
  records.relay = 1;
  records.to_actor = true;
  records.records = {9, 0, 0, 0, 1, 0, 0, 0, 1};
  EXPECT_FALSE(say(wire::ChannelMessage::RelayRecords, records));
  wire::RelayCreditNoticeT credit;
  credit.relay = 1;
  credit.bytes = ~uint64_t{0};
  EXPECT_FALSE(say(wire::ChannelMessage::RelayCredit, credit));
  // A message about an unknown relay is ignored.
  wire::RelayNoticeT unknown;
  unknown.relay = 77;
  EXPECT_TRUE(say(wire::ChannelMessage::CloseRelay, unknown));
  EXPECT_FALSE(say(static_cast<wire::ChannelMessage>(39), unknown));
  // More than was ever allowed to be under way.
  records.records.assign(8 + 200'000, 0);
  const uint32_t size = 200'000;
  std::memcpy(records.records.data(), &size, 4);
  records.records[4] = 1;
  Result<void> last;
  for (int i = 0; i < 30 && last; ++i) last = say(wire::ChannelMessage::RelayRecords, records);
  EXPECT_FALSE(last);
}

// Messages, rings and ends come in any order. Calls and replies arrive in order, each stored result is kept or freed,
// and nothing is left.
TEST_F(ChannelRelayTest, CallsStayInOrderUnderRandomEvents) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::optional<Process> caller = Open();
    b_.stored_here.clear();
    a_.delivered_objects.clear();
    a_.undelivered.clear();
    uint64_t called = 0, taken = 0, replied = 0, heard = 0;
    const int ended_before = a_.ended;
    bool worker_lives = true;
    for (int step = 0; step < 300; ++step) {
      switch (random() % 12) {
        case 0:
        case 1:
        case 2:
          if (caller && caller->Call(called + 1, random() % 3 == 0 ? 50'000 : 20)) ++called;
          break;
        case 3:
        case 4:
          if (!worker_lives) break;
          if (const auto call = b_.worker->Take()) {
            ASSERT_EQ(call->call, ++taken);
          }
          break;
        case 5:
        case 6:
          if (worker_lives && replied < taken &&
              b_.worker->Reply(replied + 1, random() % 4 == 0 ? Stored(replied + 1) : ObjectId()))
            ++replied;
          break;
        case 7:
          if (!caller) break;
          if (const auto reply = caller->Take()) {
            ASSERT_EQ(reply->call, ++heard);
          }
          break;
        case 8: DeliverOne(a_); break;
        case 9: DeliverOne(b_); break;
        case 10: Turn(); break;
        default:
          if (random() % 60 == 0 && caller) {
            a_.relay.CallerGone(kCaller);
            caller.reset();
          } else if (random() % 60 == 0 && worker_lives) {
            worker_lives = false;
            b_.relay.WorkerGone(kWorker, kStoreClient);
          }
      }
    }
    Settle();
    if (caller && worker_lives) {
      while (heard < called) {
        if (const auto call = b_.worker->Take()) {
          ASSERT_EQ(call->call, ++taken);
        }
        if (replied < taken && b_.worker->Reply(replied + 1)) ++replied;
        if (const auto reply = caller->Take()) {
          ASSERT_EQ(reply->call, ++heard);
        }
        Settle();
      }
    }
    if (worker_lives) b_.relay.WorkerGone(kWorker, kStoreClient);
    for (int turns = 0; caller && a_.ended == ended_before; ++turns) {
      ASSERT_LT(turns, 10'000);
      if (const auto reply = caller->Take()) {
        ASSERT_EQ(reply->call, ++heard);
      }
      Settle();
    }
    if (caller) {
      while (const auto reply = caller->Take()) {
        ASSERT_EQ(reply->call, ++heard);
      }
      EXPECT_EQ(heard, replied);
    }
    Settle();
    EXPECT_EQ(a_.relay.open() + b_.relay.open(), 0u);
    EXPECT_EQ(a_.delivered_objects.size() + a_.undelivered.size(), b_.stored_here.size());
  }
}

}  // namespace
}  // namespace raylet::test
