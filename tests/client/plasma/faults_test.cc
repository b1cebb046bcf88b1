// What goes wrong around a StoreClient: dead daemons, dead clients, forks, writes where only reading is allowed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "tests/client/plasma/connecting_fixture.h"
#include "tests/harness/own_time.h"

namespace raylet::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::BytesOf;
using test::Eventually;
using test::TextOf;

class StoreFaultsTest : public test::ConnectingTest {
 protected:
  // Whatever the client has said before.
  static void AwaitHeard(StoreClient& client) {
    const auto nothing = ObjectId::FromRandom();
    EXPECT_TRUE(client.Delete({&nothing, 1}));
  }
  static ObjectId Put(StoreClient& client, std::string_view data) {
    const auto id = ObjectId::FromRandom();
    EXPECT_TRUE(client.CreateAndSeal(id, BytesOf(data), {}, {}));
    return id;
  }
};

TEST_F(StoreFaultsTest, NoDaemonIsSaidWithTheCommandThatStartsIt) {
  const auto client = StoreClient::Connect(socket() + "-not", "test", Deadline::AfterMs(0), false);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kNotRunning);
  EXPECT_NE(client.error().message.find("plasma_store -m 1G -s " + socket() + "-not"), std::string::npos);
}

TEST_F(StoreFaultsTest, BlockedGetAndVerbsSayThatTheDaemonDied) {
  const auto client = Connect();
  const auto there = Put(*client, "still readable");
  const auto kept = client->Get(there, Deadline::AfterMs(0));
  ASSERT_TRUE(kept);
  std::optional<test::OwnTime> since_death;
  std::thread killer([&] {
    ::usleep(50'000);
    store().Kill();
    since_death.emplace();
  });
  const auto view = client->Get(ObjectId::FromRandom(), Deadline::After(seconds(20)));
  killer.join();
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kDisconnected);
  EXPECT_NE(view.error().message.find(socket()), std::string::npos);
  EXPECT_LT(since_death->Elapsed(), milliseconds(200));
  EXPECT_TRUE(client->Disconnected());
  EXPECT_EQ(client->Create(ObjectId::FromRandom(), 1, {}, {}).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(client->Delete({&there, 1}).error().code, ErrorCode::kDisconnected);
  // A get says so, too, rather than show what only a dead store has.
  EXPECT_EQ(client->Get(there, Deadline::AfterMs(0)).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(TextOf(kept->data()), "still readable");
}

TEST_F(StoreFaultsTest, CreateThatWaitsForRoomSaysThatTheDaemonDied) {
  const auto client = Connect();
  auto writer = client->Create(ObjectId::FromRandom(), 50 << 20, {}, {});
  ASSERT_TRUE(writer);
  std::thread killer([&] {
    ::usleep(50'000);
    store().Kill();
  });
  CreateOptions options;
  options.timeout_ms = -1;
  EXPECT_EQ(client->Create(ObjectId::FromRandom(), 50 << 20, {}, options).error().code, ErrorCode::kDisconnected);
  killer.join();
}

TEST_F(StoreFaultsTest, WriterThatOutlivesItsClientIsAbortedAndHarmsNoOtherObject) {
  const auto other = Connect();
  auto client = Connect();
  constexpr size_t kBytes = 40 << 20;
  auto writer = client->Create(ObjectId::FromRandom(), kBytes, {}, {});
  ASSERT_TRUE(writer);
  client.reset();
  ASSERT_TRUE(Eventually(seconds(30), [&] { return other->List()->empty(); }));
  const std::string good(kBytes, 'g');
  const auto id = Put(*other, good);
  std::memset(writer->data().data(), 'b', kBytes);
  EXPECT_TRUE(TextOf(other->Get(id, Deadline::AfterMs(0))->data()) == good);
  const auto sealed = std::move(*writer).Seal();
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, ErrorCode::kDisconnected);
}

// A socket may take a part of a message.
TEST_F(StoreFaultsTest, AStoppedDaemonHearsEachDeleteLater) {
  const auto client = Connect();
  std::vector<ObjectId> ids(3000);
  for (ObjectId& id : ids) id = Put(*client, "x");
  std::vector<ObjectId> others(3000, ObjectId::FromRandom());
  store().Signal(SIGSTOP);
  size_t told = 0;
  while (client->DeleteAsync(others, Deadline::AfterMs(0))) ++told;
  EXPECT_GT(told, 1u);
  EXPECT_EQ(client->DeleteAsync(ids, Deadline::AfterMs(0)).error().code, ErrorCode::kTimedOut);
  EXPECT_FALSE(client->Disconnected());
  store().Signal(SIGCONT);
  ASSERT_TRUE(client->DeleteAsync(ids));
  AwaitHeard(*client);
  EXPECT_FALSE(*client->Contains(ids.front()) || *client->Contains(ids.back()));
}

TEST_F(StoreFaultsTest, SealThatAStoppedDaemonDoesNotAnswerLeavesNoObject) {
  const auto client = Connect(milliseconds(1500));
  for (const bool with_view : {false, true}) {
    auto writer = client->Create(ObjectId::FromRandom(), 1'000, {}, {});
    ASSERT_TRUE(writer);
    const ObjectId id = writer->id();
    store().Signal(SIGSTOP);
    const ErrorCode sealed =
        with_view ? std::move(*writer).SealAndView().error().code : std::move(*writer).Seal().error().code;
    EXPECT_EQ(sealed, ErrorCode::kTimedOut);
    store().Signal(SIGCONT);
    AwaitHeard(*client);
    EXPECT_FALSE(client->Describe(id)->has_value());
  }
}

// The daemon hears of the create, finds no room and lets it wait, and then hears that nobody wants it.
TEST_F(StoreFaultsTest, CreateThatAStoppedDaemonDoesNotAnswerDoesNotWaitForRoom) {
  const auto client = Connect(milliseconds(1500));
  CreateOptions options;
  options.timeout_ms = 300;
  const auto in_vain = [&](const auto& create) {
    std::vector<ObjectWriter> all;
    for (uint64_t bytes = 32 << 20; bytes >= 4096; bytes /= 2)
      while (auto writer = client->Create(ObjectId::FromRandom(), bytes, {}, {})) all.push_back(*std::move(writer));
    store().Signal(SIGSTOP);
    const auto created = create();
    store().Signal(SIGCONT);
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, ErrorCode::kTimedOut);
    AwaitHeard(*client);
    all.clear();
    AwaitHeard(*client);
    EXPECT_TRUE(client->List()->empty());
  };
  in_vain([&] { return client->Create(ObjectId::FromRandom(), 60 << 20, {}, options); });
  const std::string text(10'000, 'x');
  in_vain([&] { return client->CreateAndSeal(ObjectId::FromRandom(), BytesOf(text), {}, options); });
}

TEST_F(StoreFaultsTest, KilledClientLeavesNothingBehind) {
  const auto client = Connect();
  const auto pinned = Put(*client, "pinned by the victim");
  const auto unsealed = ObjectId::FromRandom();
  int pipe_fds[2] = {};
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const pid_t victim = ::fork();
  if (victim == 0) {
    auto own = StoreClient::Connect(socket(), "victim", Deadline::After(seconds(30)), false);
    if (!own) ::_exit(1);
    auto view = (*own)->Get(pinned, Deadline::AfterMs(0));
    auto writer = (*own)->Create(unsealed, 1 << 20, {}, {});
    if (!view || !writer || ::write(pipe_fds[1], "r", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char ready = 0;
  ASSERT_EQ(::read(pipe_fds[0], &ready, 1), 1);
  ASSERT_TRUE(client->Describe(unsealed)->has_value());
  ::kill(victim, SIGKILL);
  ASSERT_EQ(::waitpid(victim, nullptr, 0), victim);
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !client->Describe(unsealed)->has_value(); }));
  EXPECT_TRUE(Eventually(seconds(30), [&] {
    const auto evicted = client->Evict(64 << 20);
    return evicted && client->List()->empty();
  }));
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
}

TEST_F(StoreFaultsTest, WritingThroughAViewIsAFaultAndTheObjectStays) {
  const auto client = Connect();
  const auto id = Put(*client, "immutable");
  const auto view = client->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would report it and exit
    *const_cast<volatile std::byte*>(view->data().data()) = std::byte{'X'};
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  EXPECT_EQ(TextOf(view->data()), "immutable");
}

TEST_F(StoreFaultsTest, ForkedChildIsRefusedAndHarmsNothingOfItsParent) {
  const auto client = Connect();
  const auto id = Put(*client, "the parent's");
  auto view = std::make_unique<PinnedObject>(*client->Get(id, Deadline::AfterMs(0)));
  auto writer = client->Create(ObjectId::FromRandom(), 10, {}, {});
  ASSERT_TRUE(writer);
  const auto unsealed = writer->id();
  const pid_t child = ::fork();
  if (child == 0) {
    bool refused = client->Get(id, Deadline::AfterMs(0)).error().code == ErrorCode::kForked;
    refused = refused && client->TryGet(id).error().code == ErrorCode::kForked;
    refused = refused && client->Contains(id).error().code == ErrorCode::kForked;
    refused = refused && client->List().error().code == ErrorCode::kForked;
    refused = refused && client->Create(ObjectId::FromRandom(), 1, {}, {}).error().code == ErrorCode::kForked;
    refused = refused && client->DeleteAsync({&id, 1}).error().code == ErrorCode::kForked;
    view.reset();                                         // must not release the parent's pin
    { const ObjectWriter dropped = *std::move(writer); }  // nor abort its object
    // A connection of its own works.
    const auto own = StoreClient::Connect(socket(), "child", Deadline::After(seconds(30)), false);
    const bool works = own && (*own)->Get(id, Deadline::AfterMs(0)).has_value();
    ::_exit(refused && works ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*client->Evict(64 << 20), 0u);  // still pinned
  EXPECT_EQ(TextOf(view->data()), "the parent's");
  ASSERT_TRUE(std::move(*writer).Seal());
  EXPECT_TRUE(*client->Contains(unsealed));
}

TEST_F(StoreFaultsTest, LivingChildDoesNotKeepAnEndedClientAlive) {
  const auto observer = Connect();
  auto client = Connect();
  const auto id = ObjectId::FromRandom();
  CreateOptions owned;
  owned.owned = true;
  ASSERT_TRUE(client->CreateAndSeal(id, BytesOf("goes with its owner"), {}, owned));
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  client.reset();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !*observer->Contains(id); }));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(StoreFaultsTest, StoppedDaemonDoesNotStopGetsOfWhatIsThere) {
  const auto client = Connect();
  const auto id = Put(*client, "there");
  store().Signal(SIGSTOP);
  const auto view = client->Get(id, Deadline::AfterMs(0));
  EXPECT_TRUE(view);
  EXPECT_EQ(client->Get(ObjectId::FromRandom(), Deadline::AfterMs(120)).error().code, ErrorCode::kTimedOut);
  store().Signal(SIGCONT);
}

// As when the machine was suspended. The client goes on first, and the answer is still to come.
TEST_F(StoreFaultsTest, ACallOutlivesAStallOfTheStoreAndItsClientThatIsLongerThanItsPatience) {
  constexpr milliseconds kPatience{2'000};
  int ready_pipe[2] = {}, go_pipe[2] = {};
  ASSERT_EQ(::pipe(ready_pipe), 0);
  ASSERT_EQ(::pipe(go_pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto own = StoreClient::Connect(socket(), "child", Deadline::After(seconds(30)), false, 0, kPatience);
    char go = 0;
    if (!own || ::write(ready_pipe[1], "r", 1) != 1 || ::read(go_pipe[0], &go, 1) != 1) ::_exit(1);
    const auto nothing = ObjectId::FromRandom();
    ::_exit((*own)->Delete({&nothing, 1}) ? 0 : 2);
  }
  char ready = 0;
  ASSERT_EQ(::read(ready_pipe[0], &ready, 1), 1);
  store().Signal(SIGSTOP);
  ASSERT_EQ(::write(go_pipe[1], "g", 1), 1);
  std::this_thread::sleep_for(milliseconds(200));  // a call that begins later has the easier test
  ::kill(child, SIGSTOP);
  std::this_thread::sleep_for(kPatience + milliseconds(200));
  ::kill(child, SIGCONT);
  std::this_thread::sleep_for(milliseconds(100));  // in which the client looks at its clock
  store().Signal(SIGCONT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  for (const int fd : {ready_pipe[0], ready_pipe[1], go_pipe[0], go_pipe[1]}) ::close(fd);
}

}  // namespace
}  // namespace raylet::client
