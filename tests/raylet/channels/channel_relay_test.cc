// Two ChannelRelays, A with the caller and B with the actor's worker, joined by queues that the test empties; real
// rings and eventfds on both sides.
#include "raylet/channels/channel_relay.h"

#include <gtest/gtest.h>
#include <uv.h>

#include <deque>
#include <random>

namespace raylet::test {
namespace {

constexpr ProcessId kCaller = ProcessIdOf(MachineNumber{7}, 1);
constexpr WorkerId kWorker = 3;
constexpr ChannelId kChannel = 5;
constexpr uint32_t kStoreClient = 11;

UniqueFd NewDoorbell() {
  auto fd = CreateMemfd("doorbell", sizeof(Doorbell), /*reserve=*/false);
  EXPECT_TRUE(fd);
  return *std::move(fd);
}

// A process's end of its channel.
struct Process {
  Process(RelayEnd::Descriptors descriptors, bool caller) : bell(Bell::OfEvent(std::move(descriptors.bell))) {
    auto mapped = Mapping::Map(descriptors.channel.get(), ChannelBytes(), Mapping::Access::kReadWrite);
    EXPECT_TRUE(mapped);
    memory = *std::move(mapped);
    const std::span<std::byte> all(memory.data(), memory.size());
    const auto calls = all.first(RingBytes(kChannelRingBytes));
    const auto replies = all.subspan(ChannelReplyRingOffset(), RingBytes(kChannelRingBytes));
    out = *RingProducer::Attach(caller ? calls : replies);
    in = *RingConsumer::Attach(caller ? replies : calls);
  }
  bool Write(CallRecordType type, std::span<const std::byte> bytes) {
    if (!out.TryPush(static_cast<uint32_t>(type), bytes)) return false;
    bell.Ring();
    return true;
  }
  bool Call(uint64_t number, size_t argument_bytes = 10, ProcessId owner = kCaller) {
    const std::string argument(argument_bytes, 'a');
    CallRecord record;
    record.call = number;
    std::atomic<uint64_t> counter{number};
    record.result_id = NewObjectId(owner, counter);
    record.function = "f";
    record.arguments = {{ValueView::Kind::kInline, argument, {}}};
    Bytes bytes(CallRecordBytes(record));
    WriteCallRecord(record, bytes);
    return Write(CallRecordType::kCall, bytes);
  }
  bool Reply(uint64_t number, const ObjectId& stored = {}) {
    ReplyRecord record;
    record.call = number;
    if (!stored.IsNil()) {
      record.result.kind = ValueView::Kind::kStored;
      record.result.id = stored;
    }
    Bytes bytes(ReplyRecordBytes(record));
    WriteReplyRecord(record, bytes);
    return Write(CallRecordType::kReply, bytes);
  }
  struct Taken {
    CallRecordType type;
    uint64_t call = 0;  // of a call or a reply
    std::string text;
    ObjectId result;  // of a call
  };
  std::optional<Taken> Take() {
    const auto record = in.Peek();
    EXPECT_TRUE(record);
    if (!record->has_value()) return {};
    Taken taken{static_cast<CallRecordType>((*record)->type), 0, {}, {}};
    if (taken.type == CallRecordType::kCall) {
      CallRecord call;
      EXPECT_TRUE(ParseCallRecord((*record)->bytes, call));
      taken.call = call.call;
      taken.result = call.result_id;
    } else if (taken.type == CallRecordType::kReply) {
      taken.call = ParseReplyRecord((*record)->bytes)->call;
    } else {
      taken.text.assign(reinterpret_cast<const char*>((*record)->bytes.data()), (*record)->bytes.size());
    }
    in.Pop();
    return taken;
  }

  Mapping memory;
  RingProducer out;
  RingConsumer in;
  Bell bell;
};

class Side final : public ChannelRelay::Events {
 public:
  explicit Side(Loop& loop) : relay(loop, *this) {}

  void TellPeer(const NodeId& node, wire::ChannelMessage type, Bytes body) override {
    EXPECT_EQ(node, peer->id);
    Frame frame;
    frame.header.type = static_cast<uint16_t>(type);
    frame.body = std::move(body);
    said.push_back(std::move(frame));
  }
  void OnRelayAsked(const NodeId& node, RelayNumber number, const ActorId& actor, ProcessId caller) override {
    if (refuse) {
      relay.Refuse(node, number, *refuse);
      return;
    }
    auto hosted = relay.Host(node, number, actor, caller, kWorker, kChannel, doorbell);
    ASSERT_TRUE(hosted);
    worker.emplace(*std::move(hosted), /*caller=*/false);
  }
  void OnRelayEnded(ProcessId caller, const ActorId&, const Error* why) override {
    EXPECT_EQ(caller, kCaller);
    ++ended;
    ended_why = why == nullptr ? "" : why->message;
  }
  void OnCallerGone(WorkerId worker_id, ChannelId channel, ProcessId caller, const ActorId&) override {
    EXPECT_EQ(worker_id, kWorker);
    EXPECT_EQ(channel, kChannel);
    EXPECT_EQ(caller, kCaller);
    ++caller_gone;
  }
  void OnUntold(uint32_t store_client, const ObjectId& object) override {
    EXPECT_EQ(store_client, kStoreClient);
    untold.push_back(object);
  }
  void OnStoredHere(ProcessId caller, const ObjectId& object) override {
    EXPECT_EQ(caller, kCaller);
    stored_here.push_back(object);
  }
  void OnStoredThere(const NodeId& node, const ObjectId& object, bool delivered) override {
    EXPECT_EQ(node, peer->id);
    if (on_stored_there) on_stored_there();
    (delivered ? delivered_objects : undelivered).push_back(object);
  }

  const NodeId id = NodeId::FromRandom();
  const UniqueFd doorbell = NewDoorbell();
  Side* peer = nullptr;
  std::deque<Frame> said;
  std::optional<Result<void>> refuse;
  std::optional<Process> worker;
  int ended = 0, caller_gone = 0;
  std::string ended_why;
  std::function<void()> on_stored_there;
  std::vector<ObjectId> stored_here, untold, delivered_objects, undelivered;
  ChannelRelay relay;
};

class ChannelRelayTest : public ::testing::Test {
 protected:
  ChannelRelayTest() {
    a_.peer = &b_;
    b_.peer = &a_;
  }
  // The descriptors that were rung are heard.
  void Turn() {
    for (int i = 0; i < 2; ++i) uv_run(loop_.raw(), UV_RUN_NOWAIT);
  }
  bool DeliverOne(Side& from) {
    if (from.said.empty()) return false;
    const Frame frame = std::move(from.said.front());
    from.said.pop_front();
    const auto taken = from.peer->relay.OnMessage(from.id, frame);
    EXPECT_TRUE(taken) << taken.error().message;
    return true;
  }
  void Settle() {
    for (int quiet = 0; quiet < 2; ++quiet) {
      Turn();
      while (DeliverOne(a_) || DeliverOne(b_)) quiet = 0;
    }
  }
  Process Open() {
    auto opened = a_.relay.Open(b_.id, actor_, kCaller, a_.doorbell);
    EXPECT_TRUE(opened);
    Process caller(*std::move(opened), /*caller=*/true);
    Settle();
    return caller;
  }
  ObjectId Stored(uint64_t number) {
    std::atomic<uint64_t> counter{number};
    return NewObjectId(kCaller, counter);
  }

  Loop loop_;
  const ActorId actor_ = ActorId::FromRandom();
  Side a_{loop_}, b_{loop_};
};

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
  auto opened = a_.relay.Open(b_.id, actor_, kCaller, a_.doorbell);
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

TEST_F(ChannelRelayTest, ALostMachineEndsARelayAfterTheRecordsThatCameBefore) {
  Process caller = Open();
  ASSERT_TRUE(b_.worker->Reply(1));
  Settle();
  a_.relay.NodeGone(b_.id, {ErrorCode::kDisconnected, "it is silent"});
  EXPECT_EQ(a_.ended_why, "it is silent");
  EXPECT_EQ(caller.Take()->call, 1u);
  b_.relay.NodeGone(a_.id, {ErrorCode::kDisconnected, "it is silent"});
  EXPECT_EQ(b_.caller_gone, 1);
  ASSERT_TRUE(b_.worker->Reply(2, Stored(2)));
  b_.relay.ChannelReleased(kWorker, kChannel);
  EXPECT_EQ(b_.stored_here.size(), 1u);
  EXPECT_TRUE(b_.said.empty());
  EXPECT_EQ(a_.relay.open() + b_.relay.open(), 0u);
}

// A message about a result may be too much for a session that is behind, and end the session at once.
TEST_F(ChannelRelayTest, AMachineMayBeLostWhileItsLastReplyIsHandedOver) {
  Process caller = Open();
  ASSERT_TRUE(caller.Call(1));
  Settle();
  a_.on_stored_there = [&] { a_.relay.NodeGone(b_.id, {ErrorCode::kDisconnected, "it does not keep up"}); };
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
