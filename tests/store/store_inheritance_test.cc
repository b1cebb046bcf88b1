// The real plasma_store and the heirs of its clients, on real sockets.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/frame.h"
#include "base/unix_socket.h"
#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

using wire::StoreMessage;

// Together more notices than the store queues for one client: 16 MiB.
#ifdef RAYLET_SANITIZED
constexpr int kRounds = 3;
#else
constexpr int kRounds = 30;
#endif
constexpr size_t kBytesPerWrite = size_t{64} << 10;
constexpr uint32_t kObjectsPerRound = 30'000;  // as many as a small store's index holds

ObjectId NumberedId(uint32_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  id.mutable_data()[ObjectId::kSize - 1] = 1;  // none of IdOf's
  return id;
}

class StoreInheritanceTest : public StoreDaemonTest {
 protected:
  // At least one owned object without data. The reply to the last one says that all are there.
  static void MakeOwned(RawClient& client, uint32_t count) {
    std::vector<std::byte> frames;  // many in one write: a million small ones would take long
    for (uint32_t i = 0; i < count; ++i) {
      wire::CreateAndSealRequestT request;
      request.id = std::make_unique<wire::Id20>(ToWire(NumberedId(i)));
      request.owned = true;
      const uint64_t wanted = i + 1 == count ? 1 : 0;
      AppendFrame(frames, static_cast<uint16_t>(StoreMessage::CreateAndSeal), wanted, Encode(request));
      if (frames.size() < kBytesPerWrite && wanted == 0) continue;
      for (std::span<const std::byte> left(frames); !left.empty();) {
        const auto sent = SendSome(client.connection.fd(), left, {});
        ASSERT_TRUE(sent) << sent.error().message;
        left = left.subspan(*sent);
        pollfd writable{client.connection.fd(), POLLOUT, 0};
        ASSERT_TRUE(left.empty() || ::poll(&writable, 1, 20'000) == 1) << "the store reads nothing";
      }
      frames.clear();
    }
    ASSERT_EQ(RawClient::CodeOf(client.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  }
  static wire::InheritedNoticeT NextNotice(RawClient& heir) {
    const auto frame = heir.Next();
    if (!frame || frame->header.type != static_cast<uint16_t>(StoreMessage::Inherited)) {
      ADD_FAILURE() << (frame ? "another message" : "no notice");
      wire::InheritedNoticeT none;
      none.last = true;
      return none;
    }
    EXPECT_EQ(frame->header.request_id, 0u);
    return *Parse<wire::InheritedNoticeT>(frame->body);
  }
  // The sizes of the notices of one sequence, which names the objects 0 to `count` once each.
  static std::vector<size_t> ReadSequence(RawClient& heir, uint32_t client, uint32_t count) {
    std::vector<size_t> sizes;
    std::vector<bool> seen(count);
    size_t objects = 0;
    for (bool last = false; !last;) {
      const auto notice = NextNotice(heir);
      EXPECT_EQ(notice.client, client);
      for (const auto& id : notice.ids) {
        uint32_t number = 0;
        std::memcpy(&number, id.bytes()->data(), sizeof number);
        EXPECT_TRUE(number < count && !seen[number]) << number;
        if (number < count) seen[number] = true;
      }
      sizes.push_back(notice.ids.size());
      objects += notice.ids.size();
      last = notice.last;
    }
    EXPECT_EQ(objects, count);
    return sizes;
  }
  static uint64_t OwnedBytes(const RawClient& observer, uint32_t client) {
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{kClientRowsMax}; ++i) {
      const ClientRow& row = observer.header().clients[i];
      if (row.number.load() == client) return row.owned_bytes;
    }
    return 0;
  }
  // A reply that comes next says that no notice waits before it.
  static void ExpectNothingWaits(RawClient& client) { EXPECT_EQ(client.Delete(255), ErrorCode::kNotFound); }
};

TEST_F(StoreInheritanceTest, AKilledClientsObjectsAreItsHeirsAndTheHeirIsTold) {
  RawClient heir = Connect(), observer = Connect();
  const pid_t child = ::fork();
  if (child == 0) {
    RawClient client = Connect(heir.number);
    wire::CreateAndSealRequestT request;
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(1)));
    request.data.resize(100);
    request.owned = true;
    client.Send(StoreMessage::CreateAndSeal, request);
    (void)client.Next();
    client.Create(2, 4096);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  const auto notice = NextNotice(heir);
  EXPECT_EQ(notice.client, observer.number + 1);
  ASSERT_EQ(notice.ids.size(), 1u);
  EXPECT_EQ(FromWire<ObjectId>(notice.ids[0]), IdOf(1));
  EXPECT_TRUE(notice.last);
  EXPECT_EQ(observer.counters().unsealed_bytes, 0u);
  EXPECT_EQ(observer.counters().sealed_bytes, 100u);
  EXPECT_EQ(OwnedBytes(observer, heir.number), 100u);
  EXPECT_EQ(heir.Delete(1), ErrorCode::kOk);
  EXPECT_EQ(OwnedBytes(observer, heir.number), 0u);
}

TEST_F(StoreInheritanceTest, EachEndedClientGivesOneSequenceAlsoWhenItOwnedNothing) {
  RawClient heir = Connect();
  constexpr uint32_t kObjects = 25'000;
  {
    RawClient client = Connect(heir.number);
    MakeOwned(client, kObjects);
    client.connection = FrameConnection();
    EXPECT_EQ(ReadSequence(heir, client.number, kObjects), (std::vector<size_t>{10'000, 10'000, 5'000}));
  }
  for (int i = 0; i < 2; ++i) {
    RawClient client = Connect(heir.number);
    client.connection = FrameConnection();
    EXPECT_EQ(ReadSequence(heir, client.number, 0), std::vector<size_t>{0});
  }
  ExpectNothingWaits(heir);
  EXPECT_EQ(heir.counters().sealed_count, kObjects);
  RawClient stranger = Connect();
  stranger.connection = FrameConnection();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return heir.counters().clients == 1; }));
  ExpectNothingWaits(heir);
}

TEST_F(StoreInheritanceTest, AnHeirThatIsNotConnectedIsNone) {
  ASSERT_TRUE(daemon_->Terminate());
  auto daemon = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_, "--log-level", "info"});
  ASSERT_TRUE(daemon) << daemon.error().message;
  daemon_.emplace(std::move(*daemon));
  RawClient observer = Connect();
  uint32_t next = observer.number + 1;
  for (const uint32_t named : {uint32_t{4711}, next + 1}) {  // nobody, and the second client itself
    RawClient client = Connect(named);
    EXPECT_EQ(client.number, next++);
    MakeOwned(client, 10);
    EXPECT_EQ(observer.counters().sealed_count, 10u);
    client.connection = FrameConnection();
    EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return observer.counters().sealed_count == 0; }));
    const std::string logged = "names client " + std::to_string(named) + " as its heir";
    EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] {
      return daemon_->Output().find(logged) != std::string::npos;
    })) << daemon_->Output();
  }
  ExpectNothingWaits(observer);
}

TEST_F(StoreInheritanceTest, AnHeirThatWentFirstInheritsNothing) {
  RawClient observer = Connect(), heir = Connect();
  RawClient client = Connect(heir.number);
  MakeOwned(client, 10);
  heir.connection = FrameConnection();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return observer.counters().clients == 2; }));
  EXPECT_EQ(observer.counters().sealed_count, 10u);
  client.connection = FrameConnection();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return observer.counters().clients == 1; }));
  EXPECT_EQ(observer.counters().sealed_count, 0u);
}

TEST_F(StoreInheritanceTest, AnHeirThatReadsLateHearsOfEveryObject) {
  RawClient heir = Connect(), observer = Connect();
  std::vector<uint32_t> ended;
  for (int round = 0; round < kRounds; ++round) {
    RawClient client = Connect(heir.number);
    MakeOwned(client, kObjectsPerRound);
    ended.push_back(client.number);
    client.connection = FrameConnection();
    ASSERT_TRUE(Eventually(std::chrono::seconds(20), [&] { return observer.counters().clients == 2; }));
    for (uint32_t first = 0; first < kObjectsPerRound; first += 10'000) {
      wire::IdsRequestT request;  // the next round uses the ids again
      for (uint32_t i = first; i < first + 10'000; ++i) request.ids.push_back(ToWire(NumberedId(i)));
      observer.Send(StoreMessage::Delete, request);
      ASSERT_EQ(observer.Reply<wire::DeleteReplyT>().codes, std::vector<uint16_t>(10'000, 0));
    }
  }
  for (const uint32_t client : ended)
    EXPECT_EQ(ReadSequence(heir, client, kObjectsPerRound), std::vector<size_t>(kObjectsPerRound / 10'000, 10'000));
  ExpectNothingWaits(heir);
}

}  // namespace
}  // namespace raylet::test
