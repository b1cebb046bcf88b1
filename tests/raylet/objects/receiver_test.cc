// An ObjectSender and an ObjectReceiver between two real stores.
#include <netinet/in.h>
#include <signal.h>

#include <random>

#include "base/frame.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "fbs/messages.h"
#include "tests/raylet/objects/transfer_machine.h"

namespace raylet::test {
namespace {

using Kind = TransferEvent::Kind;

class ObjectReceiverTest : public testing::Test {
 protected:
  Machine from_{"32M"};
  Machine to_{"32M"};
};

// The bytes that the sender writes for one object.
uint64_t StreamBytes(const ObjectSizes& sizes) {
  wire::PullHeaderT header;
  header.data_bytes = sizes.data_bytes;
  header.metadata_bytes = sizes.metadata_bytes;
  uint64_t bytes = sizeof(FrameHeader) + Encode(header).size();
  uint64_t offset = 0;
  do {
    bytes += sizeof(FrameHeader) + sizeof(wire::ChunkHeader) + ChunkBytesAt(sizes, offset);
    offset += ChunkBytesAt(sizes, offset);
  } while (offset < sizes.total());
  return bytes;
}

TEST_F(ObjectReceiverTest, ObjectsOfEverySizeComeAsTheyAre) {
  Link(from_, to_);
  const std::pair<size_t, size_t> sizes[] = {{0, 0},
                                             {1, 0},
                                             {0, 7},
                                             {1000, 24},
                                             {16384, 1},
                                             {kChunkBytes, 0},
                                             {kChunkBytes, 9},
                                             {kChunkBytes + 1, 0},
                                             {3 * kChunkBytes + 17, 70'000},
                                             {5'000'000, 0}};
  uint32_t seed = 0;
  for (const auto& [data_bytes, metadata_bytes] : sizes) {
    SCOPED_TRACE(StrCat(data_bytes, " and ", metadata_bytes));
    const Content data = RandomContent(data_bytes, ++seed), metadata = RandomContent(metadata_bytes, ++seed);
    const ObjectId object = from_.Put(data, metadata);
    const TransferEvent event = to_.Pull(object, from_.id);
    ASSERT_EQ(event.kind, Kind::kSealed) << event.why.message;
    EXPECT_EQ(event.object, object);
    to_.ExpectHolds(object, data, metadata);
  }
  to_.Run([&] { EXPECT_EQ(to_.receiver->counters().objects_received.value(), std::size(sizes)); });
}

TEST_F(ObjectReceiverTest, ManyAtATimeOverTcpAllCome) {
  const UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  ASSERT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  UniqueFd dialed(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(dialed.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  UniqueFd accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  from_.Run([&] { from_.sender->Serve(NodeId(), std::move(accepted)); });
  to_.Run([&] { to_.receiver->Connect(from_.id, std::move(dialed)); });

  std::mt19937 random(3);
  std::map<ObjectId, Content> objects;
  for (uint32_t i = 0; i < 60; ++i) {
    Content data = RandomContent(random() % 3 == 0 ? random() % 700'000 : random() % 3000, i);
    const ObjectId object = from_.Put(data);
    objects.emplace(object, std::move(data));
  }
  to_.Run([&] {
    for (const auto& [object, data] : objects)
      to_.receiver->Pull(++to_.last_pull, object, from_.id, static_cast<PullPriority>(random() % 3));
  });
  for (size_t i = 0; i < objects.size(); ++i) {
    const TransferEvent event = to_.Next();
    ASSERT_EQ(event.kind, Kind::kSealed) << event.why.message;
  }
  for (const auto& [object, data] : objects) to_.ExpectHolds(object, data);
  from_.Run([&] { EXPECT_EQ(from_.sender->pulls(), 0u); });
}

TEST_F(ObjectReceiverTest, ACutTransferGoesOnAtTheLastGoodChunk) {
  std::mt19937_64 random(5);
  const Content data = RandomContent(6 * kChunkBytes + 100, 1), metadata = RandomContent(300, 2);
  const ObjectSizes sizes{data.size(), metadata.size()};
  for (int i = 0; i < 12; ++i) {
    const uint64_t cut = random() % StreamBytes(sizes);
    SCOPED_TRACE(cut);
    const ObjectId object = from_.Put(data, metadata);
    uint64_t resumed_before = 0, resumed = 0, good_bytes = 0;
    to_.Run([&] { resumed_before = to_.receiver->counters().bytes_resumed.value(); });
    {
      Wire wire(from_, to_, cut);
      const TransferEvent ended = to_.Pull(object, from_.id);
      ASSERT_EQ(ended.kind, Kind::kEnded);
      EXPECT_EQ(ended.why.code, ErrorCode::kDisconnected);
      good_bytes = ended.good_bytes;
      EXPECT_GE(good_bytes + kChunkBytes + 500, std::min<uint64_t>(cut, sizes.total()));
      EXPECT_EQ(to_.Next().kind, Kind::kGone);
    }
    EXPECT_FALSE(to_.Has(object));
    Link(from_, to_);
    const TransferEvent event = to_.Pull(object, from_.id);
    ASSERT_EQ(event.kind, Kind::kSealed) << event.why.message;
    to_.ExpectHolds(object, data, metadata);
    to_.Run([&] {
      resumed = to_.receiver->counters().bytes_resumed.value();
      EXPECT_EQ(to_.receiver->kept_bytes(), 0u);
      to_.receiver->Disconnect(from_.id, {ErrorCode::kDisconnected, "the test is done"});
    });
    EXPECT_EQ(to_.Next().kind, Kind::kGone);
    EXPECT_EQ(resumed - resumed_before, good_bytes);
  }
}

TEST_F(ObjectReceiverTest, ABentByteIsNeverSealedAndTheObjectComesAgain) {
  std::mt19937_64 random(7);
  const Content data = RandomContent(kChunkBytes + 20'000, 1), metadata = RandomContent(50, 2);
  const uint64_t stream = StreamBytes({data.size(), metadata.size()});
  for (int i = 0; i < 40; ++i) {
    // Half of them in the first bytes, where the headers are.
    const uint64_t bent = i % 2 == 0 ? random() % 120 : random() % stream;
    SCOPED_TRACE(bent);
    const ObjectId object = from_.Put(data, metadata);
    TransferEvent event;
    {
      Wire wire(from_, to_, stream, bent);
      event = to_.Pull(object, from_.id);
      if (event.kind == Kind::kSealed) to_.ExpectHolds(object, data, metadata);  // a byte without a meaning
      to_.Run([&] { to_.receiver->Disconnect(from_.id, {ErrorCode::kDisconnected, "the transfer has ended"}); });
      while (event.kind != Kind::kGone) event = to_.Next();
    }
    Link(from_, to_);
    if (!to_.Has(object)) {
      event = to_.Pull(object, from_.id);
      ASSERT_EQ(event.kind, Kind::kSealed) << event.why.message;
    }
    to_.ExpectHolds(object, data, metadata);
    to_.Run([&] { to_.receiver->Disconnect(from_.id, {ErrorCode::kDisconnected, "the test is done"}); });
    EXPECT_EQ(to_.Next().kind, Kind::kGone);
  }
  to_.Run([&] { EXPECT_GT(to_.receiver->counters().chunks_corrupt.value(), 10u); });
}

TEST_F(ObjectReceiverTest, AnotherHolderGoesOnWhereTheFirstOneEnded) {
  Machine other{"32M"};
  const Content data = RandomContent(4 * kChunkBytes, 1);
  const ObjectId object = from_.Put(data);
  ASSERT_TRUE(other.store->CreateAndSeal(object, data, {}, {}));
  {
    Wire wire(from_, to_, 2 * kChunkBytes + 1000);
    EXPECT_EQ(to_.Pull(object, from_.id).good_bytes, 2 * kChunkBytes);
    EXPECT_EQ(to_.Next().kind, Kind::kGone);
  }
  from_.daemon->Kill();
  Link(other, to_);
  ASSERT_EQ(to_.Pull(object, other.id).kind, Kind::kSealed);
  to_.ExpectHolds(object, data);
  other.Run([&] { EXPECT_EQ(other.sender->counters().bytes_sent.value(), 2 * kChunkBytes); });
}

TEST_F(ObjectReceiverTest, AnObjectOfTheSameNameAndAnotherSizeIsNotPutTogetherWithTheFirst) {
  const Content data = RandomContent(4 * kChunkBytes, 1), other_data = RandomContent(4 * kChunkBytes + 1, 2);
  const ObjectId object = from_.Put(data);
  {
    Wire wire(from_, to_, 2 * kChunkBytes);
    EXPECT_EQ(to_.Pull(object, from_.id).good_bytes, kChunkBytes);
    EXPECT_EQ(to_.Next().kind, Kind::kGone);
  }
  ASSERT_TRUE(from_.store->Delete({&object, 1}));
  ASSERT_TRUE(from_.store->CreateAndSeal(object, other_data, {}, {}));
  Link(from_, to_);
  const TransferEvent refused = to_.Pull(object, from_.id);
  ASSERT_EQ(refused.kind, Kind::kEnded);
  EXPECT_EQ(refused.good_bytes, 0u);
  ASSERT_EQ(to_.Pull(object, from_.id).kind, Kind::kSealed);
  to_.ExpectHolds(object, other_data);
}

TEST_F(ObjectReceiverTest, AMissingObjectIsRefusedWithASentence) {
  Link(from_, to_);
  const ObjectId object = ObjectId::FromRandom();
  const TransferEvent refused = to_.Pull(object, from_.id);
  EXPECT_EQ(refused.why.code, ErrorCode::kNotFound);
  EXPECT_NE(refused.why.message.find(object.hex()), std::string::npos) << refused.why.message;
  const TransferEvent unknown = to_.Pull(object, NodeId::FromRandom());
  EXPECT_EQ(unknown.why.code, ErrorCode::kDisconnected);
}

TEST_F(ObjectReceiverTest, AFullStoreSaysSoAndTakesTheObjectOnceThereIsRoom) {
  Link(from_, to_);
  const Content data = RandomContent(10'000'000, 1);
  const ObjectId object = from_.Put(data);
  const ObjectId pinned = to_.Put(Content(25'000'000));
  auto pin = to_.store->Get(pinned, Deadline::AfterMs(0));
  ASSERT_TRUE(pin);
  const TransferEvent full = to_.Pull(object, from_.id);
  EXPECT_EQ(full.why.code, ErrorCode::kFull);
  EXPECT_NE(full.why.message.find("10000000"), std::string::npos) << full.why.message;
  pin->Release();
  ASSERT_EQ(to_.Pull(object, from_.id).kind, Kind::kSealed);
  to_.ExpectHolds(object, data);
}

TEST_F(ObjectReceiverTest, AnObjectLargerThanTheStoreIsRefusedForGood) {
  Machine small{"4M"};
  Link(from_, small);
  const TransferEvent refused = small.Pull(from_.Put(Content(5'000'000)), from_.id);
  EXPECT_EQ(refused.why.code, ErrorCode::kTooLarge);
  EXPECT_NE(refused.why.message.find("5000000"), std::string::npos) << refused.why.message;
}

TEST_F(ObjectReceiverTest, AnObjectSealedHereCountsAsPulledAndAnUnsealedOneDoesNot) {
  Link(from_, to_);
  const Content data = RandomContent(100'000, 1);
  const ObjectId object = from_.Put(data);
  auto writer = to_.store->Create(object, data.size(), {}, {});
  ASSERT_TRUE(writer);
  EXPECT_EQ(to_.Pull(object, from_.id).why.code, ErrorCode::kAlreadyExists);
  std::copy(data.begin(), data.end(), writer->data().begin());
  ASSERT_TRUE(std::move(*writer).Seal());
  EXPECT_EQ(to_.Pull(object, from_.id).kind, Kind::kSealed);
}

TEST_F(ObjectReceiverTest, AStoppedTransferLeavesNothingBehind) {
  const ObjectId object = from_.Put(RandomContent(4 * kChunkBytes, 1));
  const ObjectId after = from_.Put(RandomContent(2 * kChunkBytes, 2));
  const auto nothing_is_left = [&] { return !to_.store->Describe(object)->has_value(); };
  {
    // Ended early, and kept until it is stopped.
    Wire wire(from_, to_, 2 * kChunkBytes + 100);
    EXPECT_EQ(to_.Pull(object, from_.id).good_bytes, kChunkBytes);
    EXPECT_EQ(to_.Next().kind, Kind::kGone);
  }
  EXPECT_FALSE(nothing_is_left());
  to_.Run([&] { to_.receiver->Stop(object); });
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), nothing_is_left));
  // A pull under way is stopped: its further bytes are dropped, and the next object on the connection comes whole.
  Link(from_, to_);
  to_.Run([&] {
    to_.receiver->Pull(++to_.last_pull, object, from_.id, PullPriority::kGet);
    to_.receiver->Pull(++to_.last_pull, after, from_.id, PullPriority::kGet);
    to_.receiver->Stop(object);
  });
  const TransferEvent event = to_.Next();
  EXPECT_EQ(event.object, after);
  EXPECT_EQ(event.kind, Kind::kSealed);
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), nothing_is_left));
}

TEST_F(ObjectReceiverTest, TheStoreDropsTheUnsealedPartsOfAReceiverThatDied) {
  const ObjectId object = from_.Put(RandomContent(4 * kChunkBytes, 1));
  {
    Wire wire(from_, to_, 2 * kChunkBytes);
    EXPECT_EQ(to_.Pull(object, from_.id).kind, Kind::kEnded);
  }
  ASSERT_TRUE(to_.store->Describe(object)->has_value());
  to_.StopTransfers();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return !to_.store->Describe(object)->has_value(); }));
}

TEST_F(ObjectReceiverTest, AGetOvertakesTheArgumentsThatWereAskedForBefore) {
  Link(from_, to_);
  std::vector<ObjectId> arguments;
  for (uint32_t i = 0; i < 3; ++i) arguments.push_back(from_.Put(RandomContent(4 * kChunkBytes, i)));
  const ObjectId get = from_.Put(RandomContent(2 * kChunkBytes, 9));
  const ObjectId raised = arguments[2];
  to_.Run([&] {
    for (const ObjectId& object : arguments)
      to_.receiver->Pull(++to_.last_pull, object, from_.id, PullPriority::kArgument);
    to_.receiver->Raise(to_.last_pull, PullPriority::kWait);
    to_.receiver->Pull(++to_.last_pull, get, from_.id, PullPriority::kGet);
  });
  EXPECT_EQ(to_.Next().object, get);
  EXPECT_EQ(to_.Next().object, raised);
  EXPECT_EQ(to_.Next().object, arguments[0]);
  EXPECT_EQ(to_.Next().object, arguments[1]);
}

TEST_F(ObjectReceiverTest, ALostConnectionEndsItsTransfersAndNoOthers) {
  Machine other{"32M"};
  Link(other, to_);
  const ObjectId there = other.Put(RandomContent(1'000'000, 1));
  const ObjectId gone = from_.Put(RandomContent(1'000'000, 2));
  Wire wire(from_, to_, 300'000);
  to_.Run([&] {
    to_.receiver->Pull(1, gone, from_.id, PullPriority::kGet);
    to_.receiver->Pull(2, there, other.id, PullPriority::kGet);
  });
  int arrived = 0, ended = 0, closed = 0;
  for (int i = 0; i < 3; ++i) {
    const TransferEvent event = to_.Next();
    arrived += event.kind == Kind::kSealed && event.object == there ? 1 : 0;
    ended += event.kind == Kind::kEnded && event.object == gone ? 1 : 0;
    closed += event.kind == Kind::kGone ? 1 : 0;
  }
  EXPECT_TRUE(arrived == 1 && ended == 1 && closed == 1);
}

TEST(ObjectReceiverStalls, ASilentSenderAndAStuckReaderAreDropped) {
  Machine from("32M", {}, {.stall = std::chrono::milliseconds(30)});
  Machine to("32M", {.stall = std::chrono::milliseconds(30)});
  auto [silent, receives] = SocketPair();
  to.Run([&, &fd = receives] { to.receiver->Connect(from.id, std::move(fd)); });
  const TransferEvent ended = to.Pull(ObjectId::FromRandom(), from.id);
  EXPECT_EQ(ended.why.code, ErrorCode::kDisconnected);
  EXPECT_NE(ended.why.message.find("has sent nothing for 30 ms"), std::string::npos) << ended.why.message;
  EXPECT_EQ(to.Next().kind, Kind::kGone);

  auto [sends, deaf] = SocketPair();
  from.Run([&, &fd = sends] { from.sender->Serve(NodeId(), std::move(fd)); });
  wire::PullRequestT request;
  request.object = std::make_unique<wire::Id20>(ToWire(from.Put(Content(20'000'000))));
  std::vector<std::byte> frame;
  AppendFrame(frame, static_cast<uint16_t>(wire::BulkMessage::Pull), 1, Encode(request));
  ASSERT_EQ(*SendSome(deaf.get(), frame, {}), frame.size());
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    size_t left = 1;
    from.Run([&] { left = from.sender->connections(); });
    return left == 0;
  }));
}

TEST_F(ObjectReceiverTest, NonsenseEndsOneConnectionAndDisturbsNoOther) {
  Link(from_, to_);
  const auto closes_after = [&](uint16_t type, std::span<const std::byte> body) {
    auto [sends, stranger] = SocketPair();
    from_.Run([&, &fd = sends] { from_.sender->Serve(NodeId(), std::move(fd)); });
    std::vector<std::byte> frame;
    AppendFrame(frame, type, 1, body);
    EXPECT_TRUE(SendSome(stranger.get(), frame, {}));
    return Eventually(std::chrono::seconds(30), [&, &fd = stranger] { return PeerClosed(fd.get()); });
  };
  EXPECT_TRUE(closes_after(99, {}));
  EXPECT_TRUE(closes_after(static_cast<uint16_t>(wire::BulkMessage::PullHeader), {}));
  EXPECT_TRUE(closes_after(static_cast<uint16_t>(wire::BulkMessage::Pull), RandomContent(100, 1)));
  EXPECT_TRUE(closes_after(static_cast<uint16_t>(wire::BulkMessage::Pull), Content(kBulkMessageBytesMax + 1)));
  EXPECT_EQ(to_.Pull(from_.Put(RandomContent(1000, 1)), from_.id).kind, Kind::kSealed);
}

TEST(ObjectSenderLimit, ASideThatAsksForTooMuchAtOnceIsDropped) {
  Machine from("16M", {}, {.pulls_per_connection_max = 3});
  const ObjectId object = from.Put(RandomContent(8'000'000, 1));
  auto [sends, greedy] = SocketPair();
  from.Run([&, &fd = sends] { from.sender->Serve(NodeId(), std::move(fd)); });
  wire::PullRequestT request;
  request.object = std::make_unique<wire::Id20>(ToWire(object));
  std::vector<std::byte> frames;
  for (uint64_t pull = 1; pull <= 4; ++pull)
    AppendFrame(frames, static_cast<uint16_t>(wire::BulkMessage::Pull), pull, Encode(request));
  ASSERT_TRUE(SendSome(greedy.get(), frames, {}));
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&, &fd = greedy] { return PeerClosed(fd.get()); }));
}

// The store stands still, so nothing comes back from its disk.
TEST(ObjectSender, SendsWhatIsInMemoryWhileItWaitsForSpilledObjects) {
  Machine from("16M", {}, {}, /*spills=*/true), to("32M");
  Link(from, to);
  const Content data = RandomContent(1'000'000, 1);
  std::vector<ObjectId> objects;
  for (int i = 0; i < 30; ++i) {
    objects.push_back(ObjectId::FromRandom());
    const auto put = from.store->CreateAndSeal(objects.back(), data, {}, {.owned = true, .timeout_ms = 20'000});
    ASSERT_TRUE(put) << put.error().message;
  }
  const ObjectId spilled = objects[0], stopped = objects[1], here = objects.back();
  for (const ObjectId& object : {spilled, stopped}) {
    bool on_disk = false;
    ASSERT_TRUE(from.store->TryGet(object, &on_disk));
    ASSERT_TRUE(on_disk);
  }
  from.daemon->Signal(SIGSTOP);
  for (const ObjectId& object : {spilled, stopped, here}) to.StartPull(object, from.id);
  const TransferEvent first = to.Next();
  EXPECT_EQ(first.kind, TransferEvent::Kind::kSealed);
  EXPECT_EQ(first.object, here);
  to.Run([&] { to.receiver->Stop(stopped); });
  from.daemon->Signal(SIGCONT);
  const TransferEvent second = to.Next();
  EXPECT_EQ(second.kind, TransferEvent::Kind::kSealed) << second.why.message;
  EXPECT_EQ(second.object, spilled);
  to.ExpectHolds(spilled, data);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] {
    size_t pulls = 1;
    from.Run([&] { pulls = from.sender->pulls(); });
    return pulls == 0;
  }));
  EXPECT_FALSE(to.Has(stopped));
}

}  // namespace
}  // namespace raylet::test
