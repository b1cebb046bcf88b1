// What one client may make plasma_store keep is bounded, and whoever goes past a bound troubles nobody else.
#include <sys/resource.h>
#include <sys/stat.h>

#include "store/client_session.h"
#include "store/create_queue.h"
#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

using wire::StoreMessage;

ObjectId IdOfNumber(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

class StoreBoundsTest : public StoreDaemonTest {
 protected:
  static wire::IdsRequestT Ids(uint64_t first, uint64_t count) {
    wire::IdsRequestT request;
    for (uint64_t i = 0; i < count; ++i) request.ids.push_back(ToWire(IdOfNumber(first + i)));
    return request;
  }
};

TEST_F(StoreBoundsTest, WatchedIdsAreBoundedForEachClient) {
  RawClient watcher = Connect(), other = Connect();
  constexpr uint64_t kPiece = 16384;
  constexpr uint64_t kMax = kWatchedIdsPerClientMax;
  for (uint64_t first = 0; first < kMax; first += kPiece) {
    watcher.Send(StoreMessage::Watch, Ids(first, kPiece));
    ASSERT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  }
  EXPECT_EQ(watcher.counters().watched_ids.load(), kMax);
  watcher.Send(StoreMessage::Watch, Ids(kMax, 1));
  const auto refused = watcher.Reply<wire::StatusReplyT>();
  EXPECT_EQ(RawClient::CodeOf(refused), ErrorCode::kFull);
  EXPECT_NE(refused.status->message.find("the limit is 131072: unwatch some"), std::string::npos)
      << refused.status->message;

  // A notice makes room for another.
  ASSERT_EQ(other.Create(7, 64), ErrorCode::kOk);
  ASSERT_EQ(other.Seal(7), ErrorCode::kOk);
  EXPECT_EQ(FromWire<ObjectId>(*watcher.Reply<wire::SealedNoticeT>().id), IdOf(7));
  watcher.Send(StoreMessage::Watch, Ids(kMax, 1));
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);

  // Whoever wants no reply hears of a refusal all the same, and stays connected.
  ASSERT_TRUE(watcher.connection.Send(static_cast<uint16_t>(StoreMessage::Watch), 0, Encode(Ids(kMax + 1, 1)), Soon()));
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kFull);
  other.Send(StoreMessage::Watch, Ids(kMax, kPiece));
  EXPECT_EQ(RawClient::CodeOf(other.Reply<wire::StatusReplyT>()), ErrorCode::kOk) << "the bound is each client's own";

  // So does an end of watches. What is not watched is no error.
  watcher.Send(StoreMessage::Unwatch, Ids(1000, kPiece));
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  watcher.Send(StoreMessage::Unwatch, Ids(1000, kPiece));
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  EXPECT_EQ(watcher.counters().watched_ids.load(), kMax) << kPiece << " fewer here, as many more there";
  watcher.Send(StoreMessage::Watch, Ids(1000, kPiece));
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);

  // And the end of a client.
  watcher.connection = FrameConnection();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return other.counters().watched_ids.load() == kPiece; }));
}

TEST_F(StoreBoundsTest, AnEndedWatchGivesNoNotice) {
  RawClient watcher = Connect(), other = Connect();
  wire::IdsRequestT both;
  both.ids = {ToWire(IdOf(1)), ToWire(IdOf(2))};
  watcher.Send(StoreMessage::Watch, both);
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  wire::IdsRequestT one;
  one.ids = {ToWire(IdOf(1))};
  watcher.Send(StoreMessage::Unwatch, one);
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  for (const uint8_t id : {uint8_t{1}, uint8_t{2}}) {
    ASSERT_EQ(other.Create(id, 64), ErrorCode::kOk);
    ASSERT_EQ(other.Seal(id), ErrorCode::kOk);
  }
  EXPECT_EQ(FromWire<ObjectId>(*watcher.Reply<wire::SealedNoticeT>().id), IdOf(2));
}

TEST_F(StoreBoundsTest, ObjectsOfAnEndedClientAreDeletedAndNotThoseOfOthersWithTheSameIds) {
  RawClient dying = Connect(), owner = Connect();
  const auto create_for_owner = [&](RawClient& client, uint8_t id) {
    wire::CreateAndSealRequestT request;
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(id)));
    request.data.resize(100);
    request.owned = true;
    request.owner = owner.number;
    client.Send(StoreMessage::CreateAndSeal, request);
    return RawClient::CodeOf(client.Reply<wire::StatusReplyT>());
  };
  ASSERT_EQ(create_for_owner(dying, 1), ErrorCode::kOk);
  ASSERT_EQ(create_for_owner(owner, 2), ErrorCode::kOk);
  wire::DeleteMadeByRequestT request;
  request.ids = {ToWire(IdOf(1)), ToWire(IdOf(2)), ToWire(IdOf(3))};
  request.client = dying.number;
  owner.Send(StoreMessage::DeleteMadeBy, request);
  EXPECT_EQ(RawClient::CodeOf(owner.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  ASSERT_EQ(create_for_owner(dying, 3), ErrorCode::kOk) << "it lives, and its last words count";
  EXPECT_EQ(owner.counters().sealed_count.load(), 3u);
  dying.connection = FrameConnection();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return owner.counters().sealed_bytes.load() == 100; }));

  // Once it has gone: at once.
  RawClient again = Connect();
  request.client = again.number;
  ASSERT_EQ(create_for_owner(again, 1), ErrorCode::kOk);
  again.connection = FrameConnection();
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return owner.counters().clients.load() == 1; }));
  EXPECT_EQ(owner.counters().sealed_count.load(), 2u);
  owner.Send(StoreMessage::DeleteMadeBy, request);
  EXPECT_EQ(RawClient::CodeOf(owner.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  EXPECT_EQ(owner.counters().sealed_count.load(), 1u);
}

TEST_F(StoreBoundsTest, BlockedCreatesAreBoundedForEachClient) {
  RawClient holder = Connect(), greedy = Connect(), modest = Connect();
  ASSERT_EQ(holder.Create(1, 8 << 20), ErrorCode::kOk);
  ASSERT_EQ(holder.Create(2, 8 << 20), ErrorCode::kOk);  // unsealed: nothing can be evicted
  std::vector<uint64_t> blocked;
  for (uint8_t i = 0; i < store::kBlockedCreatesPerClientMax; ++i)
    blocked.push_back(greedy.SendCreate(static_cast<uint8_t>(10 + i), 4096, -1));
  const uint64_t one_more = greedy.SendCreate(100, 4096, -1);
  const auto refused = greedy.Next();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->header.request_id, one_more) << "the only one that is answered";
  const auto reply = Parse<wire::CreateReplyT>(refused->body);
  EXPECT_EQ(RawClient::CodeOf(*reply), ErrorCode::kFull);
  EXPECT_NE(reply->status->message.find("has 64 creates that wait for room, the limit"), std::string::npos)
      << reply->status->message;
  const uint64_t behind = modest.SendCreate(101, 4096, -1);
  EXPECT_EQ(holder.ById(StoreMessage::Abort, 1), ErrorCode::kOk);
  for (const uint64_t request : blocked) EXPECT_EQ(greedy.Next()->header.request_id, request);
  EXPECT_EQ(modest.Next()->header.request_id, behind);
}

TEST_F(StoreBoundsTest, ACreateThatCannotBeServedHoldsUpNoOtherAndKeepsItsPlace) {
  RawClient holder = Connect(), large = Connect(), small = Connect();
  ASSERT_EQ(holder.Create(1, 6 << 20), ErrorCode::kOk);
  ASSERT_EQ(holder.Create(2, 8 << 20), ErrorCode::kOk);  // unsealed: nothing can be evicted
  const uint64_t waits = large.SendCreate(3, 7 << 20, -1);
  for (uint8_t id = 10; id < 14; ++id) {
    small.SendCreate(id, 64 << 10, -1);
    EXPECT_EQ(RawClient::CodeOf(small.Reply<wire::CreateReplyT>()), ErrorCode::kOk) << "it fits";
  }
  const uint64_t late = small.SendCreate(20, 7 << 20, -1);
  ASSERT_EQ(holder.ById(StoreMessage::Abort, 2), ErrorCode::kOk);
  const auto served = large.Next();
  ASSERT_TRUE(served);
  EXPECT_EQ(served->header.request_id, waits) << "it came first";
  ASSERT_EQ(large.ById(StoreMessage::Abort, 3), ErrorCode::kOk);
  const auto next = small.Next();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->header.request_id, late);
}

TEST_F(StoreBoundsTest, TheDataOfWaitingCreatesIsBounded) {
  RawClient holder = Connect(), greedy = Connect();
  ASSERT_EQ(holder.Create(1, 16 << 20), ErrorCode::kOk);
  wire::CreateAndSealRequestT request;
  request.data.resize(1000 << 10);
  request.timeout_ms = -1;
  for (uint8_t id = 10; id < 15; ++id) {
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(id)));
    greedy.Send(StoreMessage::CreateAndSeal, request);
  }
  const auto refused = greedy.Reply<wire::StatusReplyT>();
  EXPECT_EQ(RawClient::CodeOf(refused), ErrorCode::kFull);
  EXPECT_NE(refused.status->message.find("carry 4.0 MiB of data, the limit"), std::string::npos)
      << refused.status->message;
  EXPECT_EQ(holder.ById(StoreMessage::Abort, 1), ErrorCode::kOk);
  for (uint8_t id = 10; id < 14; ++id) EXPECT_EQ(RawClient::CodeOf(greedy.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
}

TEST_F(StoreBoundsTest, ConnectionsThatSayNothingKeepNobodyOut) {
  std::vector<RawClient> silent;
  const Deadline patience = Deadline::AfterMs(30'000);
  for (int i = 0; i < 600; ++i) {
    auto connection = FrameConnection::Connect(socket_, Soon(), /*retry=*/true);
    ASSERT_TRUE(connection) << connection.error().message;
    silent.emplace_back().connection = *std::move(connection);
    if (patience.Passed()) break;  // so slow a machine has closed the first of them anyway
  }
  RawClient client = Connect();
  EXPECT_EQ(client.Create(1, 64), ErrorCode::kOk);
  const auto refused = silent.front().Reply<wire::StoreHelloReplyT>();
  EXPECT_TRUE(RawClient::CodeOf(refused) == ErrorCode::kLimit || patience.Passed());
  EXPECT_NE(refused.status->message, "");
  EXPECT_FALSE(silent.front().Next()) << "closed";
}

TEST_F(StoreBoundsTest, AThousandIdleClientsAreServedAndTakeLittleMemoryEach) {
  constexpr uint64_t kClients = 1000;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  RawClient first = Connect();
  [[maybe_unused]] const uint64_t resident = daemon_->ResidentBytes();
  uint64_t pages_bytes = 0;
  std::vector<RawClient> idle;
  for (uint64_t i = 0; i < kClients; ++i) {
    RawClient& client = idle.emplace_back(Raw());
    client.Hello();
    const auto reply = client.Reply<wire::StoreHelloReplyT>();
    ASSERT_EQ(RawClient::CodeOf(reply), ErrorCode::kOk) << i << ": " << reply.status->message;
    ASSERT_EQ(client.connection.fds().size(), 4u);
    struct stat status {};
    ASSERT_EQ(::fstat(client.connection.fds()[3].get(), &status), 0);
    pages_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    client.connection.fds().clear();
  }
  EXPECT_LE(pages_bytes / kClients, 8u << 10);
#ifndef RAYLET_SANITIZED
  EXPECT_LE(daemon_->ResidentBytes(), resident + kClients * (24u << 10));
#endif
  EXPECT_EQ(first.counters().clients.load(), kClients + 1);
  EXPECT_EQ(first.Create(1, 64), ErrorCode::kOk);
}

TEST_F(StoreBoundsTest, AConnectionThatSaysNothingIsClosedAndHearsWhy) {
  RawClient silent = Raw(), client = Connect();
  const auto refused = silent.Reply<wire::StoreHelloReplyT>();
  ASSERT_TRUE(refused.status);
  EXPECT_EQ(RawClient::CodeOf(refused), ErrorCode::kTimedOut);
  EXPECT_EQ(refused.status->message, "this connection did not say hello within 5 s");
  EXPECT_FALSE(silent.Next()) << "closed";
  EXPECT_EQ(client.Create(1, 64), ErrorCode::kOk) << "a client that said hello stays";
}

TEST_F(StoreBoundsTest, AClientThatNeverReadsIsDroppedAndTheOthersGoOn) {
#ifdef RAYLET_SANITIZED
  constexpr uint64_t kGrowthMax = uint64_t{1} << 30;  // what was freed stays resident for a while
#else
  constexpr uint64_t kGrowthMax = uint64_t{48} << 20;  // the bound is 16 MiB
#endif
  RawClient good = Connect(), deaf = Connect();
  ASSERT_EQ(deaf.Create(1, 1 << 20), ErrorCode::kOk);
  const uint64_t resident = daemon_->ResidentBytes();
  wire::CreateRequestT exists;
  exists.id = std::make_unique<wire::Id20>(ToWire(IdOf(1)));
  exists.data_bytes = 1;
  const std::vector<std::byte> body = [&] {
    const auto encoded = Encode(exists);
    return std::vector<std::byte>(encoded.begin(), encoded.end());
  }();
  uint64_t requests = 0, resident_max = resident;
  while (deaf.connection.Send(static_cast<uint16_t>(StoreMessage::Create), 1, body, Soon())) {
    if (++requests % 8192 != 0) continue;
    ASSERT_EQ(good.Create(2, 4096), ErrorCode::kOk) << "after " << requests << " requests of the other";
    ASSERT_EQ(good.ById(StoreMessage::Abort, 2), ErrorCode::kOk);
    resident_max = std::max(resident_max, daemon_->ResidentBytes());
    ASSERT_LT(requests, 1'000'000u) << "it takes in whatever comes";
  }
  EXPECT_GT(requests, 8192u) << "a bound that a burst goes past would drop honest clients";
  EXPECT_LT(resident_max, resident + kGrowthMax);
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] {
    return daemon_->Output().find("the other side does not read: ") != std::string::npos &&
           good.counters().clients == 1;
  })) << daemon_->Output();
  EXPECT_EQ(good.counters().unsealed_bytes, 0u) << "what it was writing went with it";
  EXPECT_EQ(good.Create(1, 4096), ErrorCode::kOk);
}

}  // namespace
}  // namespace raylet::test
