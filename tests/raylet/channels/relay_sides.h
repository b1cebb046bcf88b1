// Two ChannelRelays, A with the caller and B with the actor's worker, joined by queues that the test empties; real
// rings and eventfds on both sides. Owned by a test; one thread.
#pragma once

#include <gtest/gtest.h>
#include <uv.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "raylet/channels/channel_relay.h"

namespace raylet::test {

constexpr ProcessId kCaller = ProcessIdOf(MachineNumber{7}, 1);
constexpr WorkerId kWorker = 3;
constexpr ChannelId kChannel = 5;
constexpr uint32_t kStoreClient = 11;
constexpr uint32_t kIncarnation = 2;
constexpr LeaseNumber kLease = 6;

inline UniqueFd NewDoorbell() {
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
  void OnRelayAsked(const NodeId& node, RelayNumber number, const ActorId& actor, uint32_t incarnation,
                    ProcessId caller) override {
    EXPECT_EQ(incarnation, kIncarnation);
    if (refuse) {
      relay.Refuse(node, number, *refuse);
      return;
    }
    auto hosted = relay.Host(node, number, actor, caller, kWorker, kChannel, kLease, doorbell);
    ASSERT_TRUE(hosted);
    worker.emplace(*std::move(hosted), /*caller=*/false);
  }
  bool MayAnswer(LeaseNumber lease) const override {
    EXPECT_EQ(lease, kLease);
    return lease_holds;
  }
  size_t CallsAtOnceOf(const ActorId&) const override { return calls_at_once; }
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
  void OnStoredThere(const NodeId& node, const ReplyRecord& reply, bool delivered) override {
    EXPECT_EQ(node, peer->id);
    if (on_stored_there) on_stored_there();
    (delivered ? delivered_objects : undelivered).push_back(reply.result.id);
  }

  const NodeId id = NodeId::FromRandom();
  const UniqueFd doorbell = NewDoorbell();
  Side* peer = nullptr;
  std::deque<Frame> said;
  std::optional<Result<void>> refuse;
  std::optional<Process> worker;
  bool lease_holds = true;
  size_t calls_at_once = 1;
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
    auto opened = a_.relay.Open(b_.id, actor_, kIncarnation, kCaller, a_.doorbell);
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

}  // namespace raylet::test
