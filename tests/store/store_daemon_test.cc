// The real plasma_store on real sockets, with a client as small as the wire allows.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/frame_connection.h"
#include "base/shm_segment.h"
#include "base/unix_socket.h"
#include "base/waiter.h"
#include "fbs/messages.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

using wire::StoreMessage;

Deadline Soon() { return Deadline::AfterMs(20000); }

ObjectId IdOf(uint8_t number) {
  ObjectId id;
  id.mutable_data()[0] = number;
  return id;
}

// One connection. Replies are read in the order in which they come.
struct RawClient {
  FrameConnection connection;
  Mapping index, pins;
  uint32_t number = 0;
  uint64_t next_request = 1;

  template <class Message>
  uint64_t Send(StoreMessage type, const Message& message) {
    const uint64_t request = next_request++;
    EXPECT_TRUE(connection.Send(static_cast<uint16_t>(type), request, Encode(message), Soon()));
    return request;
  }
  void SendRaw(uint16_t type, std::span<const std::byte> body) {
    (void)connection.Send(type, next_request++, body, Soon());
  }
  // Nothing when the daemon closed the connection.
  std::optional<Frame> Next(Deadline deadline = Soon()) {
    auto frame = connection.Receive(deadline);
    if (!frame) return std::nullopt;
    return std::move(*frame);
  }
  template <class Message>
  Message Reply() {
    const auto frame = Next();
    if (!frame) {
      ADD_FAILURE() << "no reply";
      return {};
    }
    auto message = Parse<Message>(frame->body);
    if (!message) {
      ADD_FAILURE() << message.error().message;
      return {};
    }
    return std::move(*message);
  }
  void Hello(uint16_t version_min = kStoreProtocolMin, uint16_t version_max = kStoreProtocolMax) {
    wire::StoreHelloT hello;
    hello.magic = kStoreMagic;
    hello.version_min = version_min;
    hello.version_max = version_max;
    hello.build = "test";
    hello.name = "raw";
    Send(StoreMessage::Hello, hello);
  }
  uint64_t SendCreate(uint8_t id, uint64_t bytes, int64_t timeout_ms = 0) {
    wire::CreateRequestT request;
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(id)));
    request.data_bytes = bytes;
    request.timeout_ms = timeout_ms;
    return Send(StoreMessage::Create, request);
  }
  ErrorCode Create(uint8_t id, uint64_t bytes) {
    SendCreate(id, bytes);
    return CodeOf(Reply<wire::CreateReplyT>());
  }
  ErrorCode ById(StoreMessage type, uint8_t id) {
    wire::IdRequestT request;
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(id)));
    Send(type, request);
    return CodeOf(Reply<wire::StatusReplyT>());
  }
  ErrorCode Seal(uint8_t id) { return ById(StoreMessage::Seal, id); }
  ErrorCode Delete(uint8_t id) {
    wire::IdsRequestT request;
    request.ids.push_back(ToWire(IdOf(id)));
    Send(StoreMessage::Delete, request);
    return static_cast<ErrorCode>(Reply<wire::DeleteReplyT>().codes.at(0));
  }
  template <class Message>
  static ErrorCode CodeOf(const Message& message) {
    return message.status ? static_cast<ErrorCode>(message.status->code) : ErrorCode::kProtocolError;
  }
  const IndexHeader& header() const { return *index.As<IndexHeader>(); }
  const IndexCounters& counters() const { return header().counters; }
  void PinSealed(uint8_t id) {
    for (uint64_t i = 0; i < header().entry_count; ++i) {
      const IndexEntry& entry = header().entries[static_cast<std::ptrdiff_t>(i)];
      if (StateOf(entry.word.load()) != EntryState::kSealed || (entry.id_words[0].load() & 0xff) != id) continue;
      pins.As<PinPage>()->slots[0].store(static_cast<uint32_t>(i) + 1);
      pins.As<PinPage>()->slots_high_water.store(1);
      return;
    }
    ADD_FAILURE() << "not sealed";
  }
};

class StoreDaemonTest : public testing::Test {
 protected:
  void Start() {
    auto daemon = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_});
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(std::move(*daemon));
  }
  void SetUp() override { Start(); }
  RawClient Raw() {
    RawClient client;
    auto connection = FrameConnection::Connect(socket_, Soon(), false);
    EXPECT_TRUE(connection) << connection.error().message;
    if (connection) client.connection = std::move(*connection);
    return client;
  }
  RawClient Connect() {
    RawClient client = Raw();
    client.Hello();
    const auto reply = client.Reply<wire::StoreHelloReplyT>();
    EXPECT_EQ(client.connection.fds().size(), 4u);
    client.number = reply.client;
    if (client.connection.fds().size() != 4) return client;
    auto index = Mapping::Map(client.connection.fds()[2].get(), reply.index_bytes, Mapping::Access::kReadOnly);
    auto pins = Mapping::Map(client.connection.fds()[3].get(), reply.pins_bytes, Mapping::Access::kReadWrite);
    EXPECT_TRUE(index && pins && CheckIndexSegment(index->data(), index->size()));
    client.index = std::move(*index);
    client.pins = std::move(*pins);
    EXPECT_FALSE(Mapping::Map(client.connection.fds()[0].get(), 4096, Mapping::Access::kReadWrite)) << "read-only";
    EXPECT_FALSE(Mapping::Map(client.connection.fds()[2].get(), 4096, Mapping::Access::kReadWrite)) << "read-only";
    return client;
  }
  std::string IndexFile() const { return "/dev/shm/" + IndexSegmentName(socket_); }

  RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  std::optional<DaemonProcess> daemon_;
};

constexpr uint64_t kHalf = 8 << 20;

TEST_F(StoreDaemonTest, AnotherVersionIsToldBothRangesAndClosed) {
  RawClient client = Raw();
  client.Hello(7, 9);
  const auto reply = client.Reply<wire::StoreHelloReplyT>();
  EXPECT_EQ(RawClient::CodeOf(reply), ErrorCode::kVersionMismatch);
  EXPECT_NE(reply.status->message.find("7 to 9"), std::string::npos);
  EXPECT_NE(reply.status->message.find("1 to 1"), std::string::npos);
  EXPECT_FALSE(client.Next());
}

TEST_F(StoreDaemonTest, NonsenseClosesThatConnectionAndTouchesNobodyElse) {
  RawClient good = Connect();
  ASSERT_EQ(good.Create(1, 100), ErrorCode::kOk);
  const std::vector<std::byte> garbage(100, std::byte{0xee});
  for (const auto type : {StoreMessage::Create, StoreMessage::Seal, StoreMessage::Abort, StoreMessage::CreateAndSeal,
                          StoreMessage::Delete, StoreMessage::Evict, StoreMessage::Watch, StoreMessage::SetOwner,
                          StoreMessage::Hello, StoreMessage::HelloReply, StoreMessage::None}) {
    RawClient bad = Connect();
    bad.SendRaw(static_cast<uint16_t>(type), garbage);
    EXPECT_FALSE(bad.Next()) << "type " << static_cast<int>(type);
  }
  RawClient unknown = Connect();
  unknown.SendRaw(60000, {});
  EXPECT_FALSE(unknown.Next());
  RawClient silent = Raw();
  silent.SendRaw(static_cast<uint16_t>(StoreMessage::Seal), {});
  EXPECT_FALSE(silent.Next()) << "a request before the Hello";
  RawClient giant = Connect();
  FrameHeader header;
  header.body_bytes = 0x7fffffff;
  (void)SendSome(giant.connection.fd(), std::as_bytes(std::span(&header, 1)), {});
  EXPECT_FALSE(giant.Next());
  {
    RawClient truncated = Connect();
    header.body_bytes = 1000;
    (void)SendSome(truncated.connection.fd(), std::as_bytes(std::span(&header, 1)), {});
  }
  EXPECT_EQ(good.Seal(1), ErrorCode::kOk);
  EXPECT_TRUE(daemon_->Running());
}

TEST_F(StoreDaemonTest, AClientKilledInTheMiddleOfACreateLeavesNothing) {
  RawClient watcher = Connect();
  const pid_t child = ::fork();
  if (child == 0) {
    RawClient client = Connect();
    client.Create(1, kHalf);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(Eventually(std::chrono::milliseconds(1000), [&] { return watcher.counters().clients == 1; }));
  EXPECT_EQ(watcher.counters().unsealed_bytes, 0u);
  EXPECT_EQ(watcher.Create(1, kHalf), ErrorCode::kOk);
}

TEST_F(StoreDaemonTest, BlockedCreatesAreServedInOrderAndRefusedWithTheNumbers) {
  RawClient client = Connect();
  ASSERT_EQ(client.Create(1, kHalf), ErrorCode::kOk);  // unsealed: cannot be evicted
  ASSERT_EQ(client.Create(2, kHalf), ErrorCode::kOk);
  RawClient other = Connect();
  const uint64_t first = other.SendCreate(3, kHalf, -1);
  const uint64_t second = other.SendCreate(4, kHalf, -1);
  other.SendCreate(5, 1000, 50);
  auto refused = other.Reply<wire::CreateReplyT>();
  EXPECT_EQ(RawClient::CodeOf(refused), ErrorCode::kFull);
  EXPECT_EQ(refused.status->need_bytes, 1000u);
  EXPECT_EQ(refused.status->free_bytes, 0u);
  EXPECT_NE(refused.status->message.find("StoreFull"), std::string::npos);
  EXPECT_EQ(client.ById(StoreMessage::Abort, 2), ErrorCode::kOk);
  EXPECT_EQ(other.Next()->header.request_id, first);
  EXPECT_EQ(client.Seal(1), ErrorCode::kOk);  // now it can be evicted
  EXPECT_EQ(other.Next()->header.request_id, second);
  EXPECT_EQ(client.Create(6, uint64_t{17} << 20), ErrorCode::kTooLarge);
}

TEST_F(StoreDaemonTest, OfRacingCreatorsExactlyOneWins) {
  std::atomic<int> won{0}, lost{0};
  std::vector<std::thread> threads;
  std::vector<RawClient> clients;  // they stay: what a client left unsealed goes with it
  for (int i = 0; i < 4; ++i) clients.push_back(Connect());
  for (RawClient& client : clients)
    threads.emplace_back([&won, &lost, &client] {
      for (uint8_t id = 1; id < 50; ++id) {
        const ErrorCode code = client.Create(id, 64);
        won += code == ErrorCode::kOk;
        lost += code == ErrorCode::kAlreadyExists;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, 49);
  EXPECT_EQ(lost, 3 * 49);
}

TEST_F(StoreDaemonTest, ASealWakesWhoParksOnItsBucketAndTellsWhoWatchesIt) {
  RawClient waiter = Connect(), creator = Connect(), watcher = Connect();
  ASSERT_EQ(creator.Create(1, 64), ErrorCode::kOk);
  wire::IdsRequestT watch;
  watch.ids = {ToWire(IdOf(1)), ToWire(IdOf(2))};
  watcher.Send(StoreMessage::Watch, watch);
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  waiter.pins.As<PinPage>()->waiting.store(1);
  const std::atomic<uint32_t>& bucket = waiter.header().buckets[BucketOf(IdOf(1))];
  const uint32_t seen = bucket.load();
  std::thread parked([&] {
    while (bucket.load() == seen) ASSERT_TRUE(FutexWait(&bucket, seen, std::chrono::seconds(20))) << "nobody woke us";
  });
  EXPECT_EQ(creator.Seal(1), ErrorCode::kOk);
  parked.join();
  EXPECT_EQ(FromWire<ObjectId>(*watcher.Reply<wire::SealedNoticeT>().id), IdOf(1));
  // Sealed already: at once.
  watch.ids = {ToWire(IdOf(1))};
  watcher.Send(StoreMessage::Watch, watch);
  EXPECT_EQ(RawClient::CodeOf(watcher.Reply<wire::StatusReplyT>()), ErrorCode::kOk);
  EXPECT_EQ(FromWire<ObjectId>(*watcher.Reply<wire::SealedNoticeT>().id), IdOf(1));
}

TEST_F(StoreDaemonTest, ADeletedObjectGoesAtItsLastRelease) {
  RawClient client = Connect(), reader = Connect();
  ASSERT_EQ(client.Create(1, 4096), ErrorCode::kOk);
  ASSERT_EQ(client.Seal(1), ErrorCode::kOk);
  reader.PinSealed(1);
  EXPECT_EQ(client.Delete(1), ErrorCode::kOk);
  EXPECT_EQ(client.counters().dying_bytes, 4096u);
  reader.pins.As<PinPage>()->slots[0].store(0);
  EXPECT_TRUE(Eventually(std::chrono::seconds(10), [&] { return client.counters().dying_bytes == 0; }));
}

TEST_F(StoreDaemonTest, AnAbortedIdCanBeUsedAgain) {
  RawClient client = Connect();
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(client.Create(1, 4096), ErrorCode::kOk);
    ASSERT_EQ(client.ById(StoreMessage::Abort, 1), ErrorCode::kOk);
  }
  EXPECT_EQ(client.ById(StoreMessage::Abort, 1), ErrorCode::kNotFound);
}

TEST_F(StoreDaemonTest, SigtermLeavesNothingBehind) {
  struct stat status {};
  ASSERT_EQ(::stat(socket_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(std::filesystem::exists(IndexFile()));
  const auto end = daemon_->Terminate();
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(socket_));
  EXPECT_FALSE(std::filesystem::exists(IndexFile()));
}

TEST_F(StoreDaemonTest, TheEndOfItsLifelineStopsIt) {
  daemon_->CloseLifeline();
  const auto end = daemon_->Wait(Soon());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(IndexFile()));
}

TEST_F(StoreDaemonTest, AfterAKillTheNextOneReplacesWhatWasLeft) {
  daemon_->Kill();
  EXPECT_TRUE(std::filesystem::exists(IndexFile()));
  Start();
  RawClient client = Connect();
  EXPECT_EQ(client.Create(1, 64), ErrorCode::kOk);
  ASSERT_TRUE(daemon_->Terminate());
  EXPECT_FALSE(std::filesystem::exists(IndexFile()));
}

TEST_F(StoreDaemonTest, ASecondOneOnTheSameAddressIsRefusedAndNamesTheFirst) {
  const auto second = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(std::to_string(daemon_->pid())), std::string::npos) << second.error().message;
  RawClient client = Connect();
  EXPECT_EQ(client.Create(1, 64), ErrorCode::kOk) << "the first one goes on";
}

// The undefined-behaviour sanitizer looks at memory through a pipe of its own, and takes the lack of a descriptor for a
// bad object: at the limit it ends the daemon. So this is shown by the builds without it.
#ifndef __SANITIZE_ADDRESS__
TEST_F(StoreDaemonTest, AtTheDescriptorLimitItTurnsClientsAwayAndServesTheOthers) {
  ASSERT_TRUE(daemon_->Terminate());
  ProcessOptions options;
  options.descriptors_max = 32;
  auto daemon = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_}, options);
  ASSERT_TRUE(daemon) << daemon.error().message;
  daemon_.emplace(std::move(*daemon));
  RawClient first = Connect();
  {
    std::vector<RawClient> many;
    for (int i = 0; i < 40; ++i) many.push_back(Raw());
    EXPECT_EQ(first.Create(1, 64), ErrorCode::kOk);
    EXPECT_TRUE(Eventually(std::chrono::seconds(10),
                           [&] { return daemon_->Output().find("turned away") != std::string::npos; }));
  }
  EXPECT_TRUE(Eventually(std::chrono::seconds(10), [&] {
    RawClient late = Raw();
    late.Hello();
    const auto frame = late.Next();
    return frame && frame->header.type == static_cast<uint16_t>(StoreMessage::HelloReply);
  }));
}

#endif

void ExpectRefusedWith(std::vector<std::string> arguments, int exit_code, const std::string& words) {
  auto process = DaemonProcess::StartPlain("plasma_store", std::move(arguments));
  ASSERT_TRUE(process);
  const auto end = process->Wait(Soon());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, exit_code) << process->Output();
  EXPECT_NE(process->Output().find(words), std::string::npos) << process->Output();
}

TEST(StoreStart, WhatCannotWorkIsSaidAtOnce) {
  const RunFolder folder;
  const std::string socket = folder.File("store");
  ExpectRefusedWith({"-m", "many", "-s", socket}, 2, "no amount of memory");
  ExpectRefusedWith({"-m", "0", "-s", socket}, 2, "no amount of memory");
  ExpectRefusedWith({"-s", socket}, 2, "--memory");
  ExpectRefusedWith({"-m", "1M", "-s", socket, "--no-such-flag"}, 2, "--no-such-flag");
  ExpectRefusedWith({"-m", "1M", "-s", socket, "-e", "somewhere"}, 2, "not there yet");
  ExpectRefusedWith({"-m", "1M", "-s", folder.File(std::string(120, 'x'))}, 2, "107");
  ExpectRefusedWith({"-m", "1M", "-s", folder.File("absent/store")}, 1, "absent");
  ExpectRefusedWith({"-m", "900000G", "-s", socket}, 1, "left");
  ExpectRefusedWith({"--help"}, 0, "Example");
  ExpectRefusedWith({"--version"}, 0, "plasma_store 0.");
  EXPECT_FALSE(std::filesystem::exists(socket));
}

}  // namespace
}  // namespace raylet::test
