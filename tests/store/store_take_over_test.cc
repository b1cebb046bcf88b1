// A real plasma_store that hands everything over to another one.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/frame_connection.h"
#include "base/unix_socket.h"
#include "client/plasma/store_client.h"
#include "fbs/messages.h"
#include "fbs/segment_layout.h"
#include "store/kept.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

namespace fs = std::filesystem;
using client::StoreClient;
using test::DaemonProcess;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr std::chrono::seconds kPatience{60};

class StoreTakeOverTest : public testing::Test {
 protected:
  static std::vector<std::byte> BytesOf(uint64_t number, size_t size) {
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + number);
    return bytes;
  }
  static Deadline Soon() { return Deadline::After(kPatience); }
  void Start(std::vector<std::string> more = {}) {
    std::vector<std::string> flags = {"-m", "16M", "-s", socket_};
    flags.insert(flags.end(), more.begin(), more.end());
    auto daemon = DaemonProcess::Start("plasma_store", flags);
    ASSERT_TRUE(daemon) << daemon.error().message;
    older_.emplace(*std::move(daemon));
  }
  void TakeOver(std::vector<std::string> more = {}) {
    std::vector<std::string> flags = {"--take-over", socket_};
    flags.insert(flags.end(), more.begin(), more.end());
    auto daemon = DaemonProcess::Start("plasma_store", flags);
    ASSERT_TRUE(daemon) << daemon.error().message;
    newer_.emplace(*std::move(daemon));
  }
  std::string Refusal(std::vector<std::string> more) const {
    std::vector<std::string> flags = {"--take-over", socket_};
    flags.insert(flags.end(), more.begin(), more.end());
    auto daemon = DaemonProcess::StartPlain("plasma_store", flags);
    if (!daemon) return daemon.error().message;
    const auto end = daemon->Wait(Soon());
    EXPECT_TRUE(end && end->exit_code > 0);
    return daemon->Output();
  }
  std::shared_ptr<StoreClient> Connect() {
    auto client = StoreClient::Connect(socket_, "test", Deadline::AfterMs(20'000), false);
    EXPECT_TRUE(client) << client.error().message;
    return client.value_or(nullptr);
  }
  void Put(StoreClient& client, size_t size, bool owned = false) {
    const uint64_t number = objects_.size();
    const ObjectId id = ObjectId::FromRandom();
    const auto put = client.CreateAndSeal(id, BytesOf(number, size), {}, {.owned = owned, .timeout_ms = 60'000});
    ASSERT_TRUE(put) << put.error().message;
    objects_[number] = {id, size};
  }
  void ExpectAllAreThere(StoreClient& client) {
    for (const auto& [number, object] : objects_) {
      const auto view = client.Get(object.first, Soon());
      ASSERT_TRUE(view) << "object " << number << ": " << view.error().message;
      const auto expected = BytesOf(number, object.second);
      ASSERT_EQ(view->data().size(), expected.size());
      ASSERT_EQ(std::memcmp(view->data().data(), expected.data(), expected.size()), 0) << "object " << number;
    }
  }
  // The first exchange of a newer store.
  Result<wire::TakeOverReplyT> Ask(uint32_t layout, FrameConnection& connection) const {
    auto connected = FrameConnection::Connect(socket_, Soon(), false);
    if (!connected) return Fail(connected.error());
    connection = *std::move(connected);
    wire::TakeOverRequestT request;
    request.magic = kStoreMagic;
    request.layout_version = layout;
    request.build = "9.9";
    const auto frame =
        connection.Greet(static_cast<uint16_t>(wire::StoreMessage::TakeOver), 1, Encode(request), Soon());
    if (!frame) return Fail(frame.error());
    return Parse<wire::TakeOverReplyT>(frame->body);
  }

  test::RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  std::optional<DaemonProcess> older_, newer_;
  std::map<uint64_t, std::pair<ObjectId, size_t>> objects_;
};

TEST_F(StoreTakeOverTest, ObjectsPinsAndWaitsGoOnInTheNewerStore) {
  Start();
  const auto client = Connect(), other = Connect();
  for (const size_t size : {0, 10, 1000, 5000, 70'000, 1 << 20, 3 << 20}) {
    ASSERT_NO_FATAL_FAILURE(Put(*client, size));
    ASSERT_NO_FATAL_FAILURE(Put(*other, size, /*owned=*/true));
  }
  const auto held = client->Get(objects_[10].first, Soon());
  ASSERT_TRUE(held);
  const ObjectId awaited = ObjectId::FromRandom();
  Result<client::PinnedObject> got = Fail(ErrorCode::kTimedOut, "");
  std::thread waiter([&] { got = other->Get(awaited, Soon()); });

  ASSERT_NO_FATAL_FAILURE(TakeOver());
  const auto end = older_->Wait(Soon());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 0) << older_->Output();
  EXPECT_NE(older_->Output().find("another one has taken " + socket_ + " over"), std::string::npos);
  EXPECT_NE(newer_->Output().find("again, with 14 objects"), std::string::npos) << newer_->Output();
  ExpectAllAreThere(*client);
  ExpectAllAreThere(*Connect());
  const auto sealed = client->CreateAndSeal(awaited, BytesOf(1, 100), {}, {});
  ASSERT_TRUE(sealed) << sealed.error().message;
  waiter.join();
  ASSERT_TRUE(got) << got.error().message;
  // Everything that nobody holds is evicted, and its memory written anew.
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(client->CreateAndSeal(ObjectId::FromRandom(), BytesOf(99, kMiB / 2), {}, {.timeout_ms = 60'000}));
  const auto expected = BytesOf(10, objects_[10].second);
  EXPECT_EQ(std::memcmp(held->data().data(), expected.data(), expected.size()), 0);
}

TEST_F(StoreTakeOverTest, NewerStoreSurvivesDeathsAndCleansUp) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*client, kMiB));
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  const pid_t keeper = newer_->pid(), server = newer_->server_pid();
  ::kill(server, SIGKILL);
  ExpectAllAreThere(*client);
  pid_t next = 0;
  ASSERT_TRUE(test::Eventually(kPatience, [&] {
    next = newer_->server_pid();
    return next != server && next != keeper;
  }));
  ::kill(keeper, SIGKILL);
  ASSERT_TRUE(newer_->Wait(Soon()));
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1000));
  const std::string children = "/proc/" + std::to_string(next) + "/task/" + std::to_string(next) + "/children";
  ASSERT_TRUE(test::Eventually(kPatience, [&] {
    pid_t child = 0;
    std::ifstream(children) >> child;
    return child > 0;
  })) << "the server makes another keeper";
  ExpectAllAreThere(*client);
  ::kill(next, SIGTERM);
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return !fs::exists(socket_); }));
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return !fs::exists("/dev/shm/" + IndexSegmentName(socket_)); }));
}

TEST_F(StoreTakeOverTest, SpilledObjectsGoOnWithTheSameFolder) {
  const std::string disk = folder_.File("disk");
  Start({"-e", "file://" + disk});
  const auto client = Connect();
  for (int i = 0; i < 30; ++i) ASSERT_NO_FATAL_FAILURE(Put(*client, kMiB));
  const std::string refused = Refusal({});
  EXPECT_NE(refused.find("objects of it lie in " + disk + ": say the same --spill-dir or -e"), std::string::npos)
      << refused;
  ExpectAllAreThere(*client);
  ASSERT_NO_FATAL_FAILURE(TakeOver({"-e", "file://" + disk}));
  ExpectAllAreThere(*client);
}

TEST_F(StoreTakeOverTest, AnotherLayoutIsRefusedByName) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1000));
  FrameConnection connection;
  const auto reply = Ask(kLayoutVersion + 1, connection);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(static_cast<ErrorCode>(reply->status->code), ErrorCode::kVersionMismatch);
  EXPECT_TRUE(connection.fds().empty());
  const std::string& said = reply->status->message;
  EXPECT_NE(said.find("layout " + std::to_string(kLayoutVersion) + " of plasma_store"), std::string::npos) << said;
  EXPECT_NE(said.find("plasma_store 9.9 knows layout " + std::to_string(kLayoutVersion + 1)), std::string::npos)
      << said;
  ExpectAllAreThere(*client);
}

// An older release that does not look at the newer one's layout.
TEST_F(StoreTakeOverTest, AnOlderStoresLayoutIsRefusedByName) {
  const auto listening = ListenUnix(socket_, 8);
  ASSERT_TRUE(listening) << listening.error().message;
  std::thread older([&] {
    const auto readable = WaitReadable(listening->get(), Soon());
    auto accepted = AcceptUnix(listening->get());
    ASSERT_TRUE(readable && accepted && *accepted);
    FrameConnection connection(*std::move(accepted));
    ASSERT_TRUE(connection.Receive(Soon()));
    wire::TakeOverReplyT reply;
    reply.status = OkStatus();
    reply.layout_version = 1;
    reply.build = "0.0.1";
    reply.capacity_bytes = 16 * kMiB;
    ASSERT_TRUE(connection.Send(static_cast<uint16_t>(wire::StoreMessage::TakeOverReply), 1, Encode(reply), Soon()));
  });
  const std::string refused = Refusal({});
  older.join();
  EXPECT_NE(refused.find("layout 1 of plasma_store 0.0.1"), std::string::npos) << refused;
}

TEST_F(StoreTakeOverTest, OtherSettingsAreRefusedAndTheOlderStoreServesOn) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1000));
  EXPECT_NE(Refusal({"-m", "32M"}).find("it has 16777216 bytes, and -m says 33554432"), std::string::npos);
  EXPECT_NE(Refusal({"--isolation=strict"}).find("it runs with --isolation=user"), std::string::npos);
  EXPECT_NE(Refusal({"-s", folder_.File("other")}).find("leave -s out"), std::string::npos);
  EXPECT_NE(Refusal({"--spill-dir", folder_.File("disk")}).find("it does not spill"), std::string::npos);
  ExpectAllAreThere(*client);
  EXPECT_TRUE(older_->Running());
}

TEST_F(StoreTakeOverTest, NewerStoreThatDiesHalfwayLeavesTheOlderOneServing) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Put(*client, kMiB));
  for (const bool takes : {false, true}) {
    FrameConnection connection;
    const auto reply = Ask(kLayoutVersion, connection);
    ASSERT_TRUE(reply) << reply.error().message;
    ASSERT_EQ(connection.fds().size(), 1u);
    const UniqueFd channel = std::move(connection.fds().front());
    if (!takes) continue;
    ASSERT_TRUE(SendKept(channel.get(), {KeepWhat::kTake}));
    std::vector<UniqueFd> fds;
    ASSERT_TRUE(WaitReadable(channel.get(), Soon()).value_or(false));
    const auto first = ReceiveKept(channel.get(), fds);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->what, KeepWhat::kMemory);
    EXPECT_EQ(fds.size(), 3u);
  }
  ExpectAllAreThere(*client);
  ASSERT_NO_FATAL_FAILURE(Put(*client, 1000));
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  ExpectAllAreThere(*client);
}

TEST_F(StoreTakeOverTest, NobodyToTakeOverIsAnError) {
  EXPECT_NE(Refusal({}).find("cannot take over the store at " + socket_), std::string::npos);
}

}  // namespace
}  // namespace raylet::store
