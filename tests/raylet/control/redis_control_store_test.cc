// Faults of a real Redis: it is killed, stopped, emptied, locked, changed by a faster client, or missing.
#include "raylet/control/redis_control_store.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/unix_socket.h"
#include "raylet/control/control_link.h"
#include "tests/harness/loop_thread.h"
#include "tests/harness/redis_server.h"

namespace raylet::test {
namespace {

constexpr int kPuts = 300;
constexpr RedisConnectionOptions kQuick{std::chrono::milliseconds(300), std::chrono::milliseconds(5),
                                        std::chrono::milliseconds(40)};

class RedisControlStoreTest : public ::testing::Test {
 protected:
  void TearDown() override {
    thread_.Run([this] { store_.reset(); });
  }
  void Connect(const ControlAddress& address) {
    thread_.Run([&] { store_.emplace(thread_.loop(), address, kQuick); });
  }
  ControlStore::State State() {
    ControlStore::State state;
    thread_.Run([&] { state = store_->state(); });
    return state;
  }
  bool ComesUp() {
    return Eventually(kPatience, [this] { return State().connected; });
  }
  Result<ControlStore::Renewal> Renew(int deadline_ms = 10'000) {
    return thread_.Await<ControlStore::Renewal>(
        [=, this](auto done) { store_->RenewNode(record_, Deadline::AfterMs(deadline_ms), done); });
  }
  Result<std::vector<NodeRecord>> List(int deadline_ms = 10'000) {
    return thread_.Await<std::vector<NodeRecord>>(
        [=, this](auto done) { store_->ListNodes(Deadline::AfterMs(deadline_ms), done); });
  }
  Result<KeyValue> Get(int deadline_ms = 10'000) {
    return thread_.Await<KeyValue>(
        [=, this](auto done) { store_->GetKey("key", Deadline::AfterMs(deadline_ms), done); });
  }
  template <class T>
  static void ExpectUnavailable(const Result<T>& result, const std::string& word) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kUnavailable) << result.error().message;
    EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  }

  static constexpr Duration kPatience = std::chrono::seconds(20);
  const NodeRecord record_{NodeId::FromRandom(), 1, MachineNumber{1}, "10.0.0.1:7000", "0.1.0"};
  LoopThread thread_;
  std::optional<RedisControlStore> store_;
};

TEST_F(RedisControlStoreTest, ALeaseRunsOutInRedisAndItsNameIsSwept) {
  RedisServer server;
  Connect(server.address());
  ASSERT_TRUE(Renew());
  const std::string key = "raylet:node:" + record_.id.hex();
  const int64_t left_ms = server.Ask({"PTTL", key}).integer;
  EXPECT_GT(left_ms, 5'000);
  EXPECT_LE(left_ms, 10'000);
  EXPECT_EQ(server.Ask({"SCARD", "raylet:index:node"}).integer, 1);
  server.Ask({"PEXPIRE", key, "1"});
  EXPECT_TRUE(Eventually(kPatience, [&] { return List()->empty(); }));
  EXPECT_TRUE(Eventually(kPatience, [&] { return server.Ask({"SCARD", "raylet:index:node"}).integer == 0; }));
  EXPECT_TRUE(Renew()->fresh);
}

TEST_F(RedisControlStoreTest, FindsAKilledRedisThatStartsAgain) {
  RedisServer server;  // keeps nothing on disk
  Connect(server.address());
  const auto first = Renew();
  ASSERT_TRUE(first) << first.error().message;
  server.Kill();
  ExpectUnavailable(Renew(50), "did not answer in time");
  EXPECT_TRUE(Eventually(kPatience, [this] { return !State().connected && !State().problem.empty(); }));
  // A call that waits is made when Redis is back.
  std::promise<Result<ControlStore::Renewal>> renewed;
  thread_.Run([&] {
    store_->RenewNode(record_, Deadline::AfterMs(30'000),
                      [&](Result<ControlStore::Renewal> result) { renewed.set_value(result); });
  });
  server.Start();
  const auto second = renewed.get_future().get();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->fresh);
  EXPECT_NE(second->connection, first->connection);
}

TEST_F(RedisControlStoreTest, ARedisWithItsFileRemembersButTheConnectionIsNew) {
  RedisServer server({"--appendonly", "yes"});
  Connect(server.address());
  const auto first = Renew();
  ASSERT_TRUE(first);
  server.Kill();
  server.Start();
  const auto second = Renew();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(second->fresh);
  EXPECT_NE(second->connection, first->connection);
}

TEST_F(RedisControlStoreTest, CallsToAStoppedRedisEndAtTheirDeadlines) {
  RedisServer server;
  Connect(server.address());
  ASSERT_TRUE(Renew());
  server.Stop();
  ExpectUnavailable(Renew(30), "did not answer in time");
  ExpectUnavailable(List(30), "did not answer in time");
  ExpectUnavailable(Get(30), "did not answer in time");
  // The loop goes on, and gives up a connection on which nothing comes.
  EXPECT_TRUE(Eventually(kPatience, [this] { return !State().connected; }));
  server.Continue();
  const auto renewed = Renew();
  ASSERT_TRUE(renewed) << renewed.error().message;
  EXPECT_FALSE(renewed->fresh);
  EXPECT_EQ(State().waiting, 0u);
}

TEST_F(RedisControlStoreTest, TwoStoresThatWriteAtOnceLoseNoWrite) {
  RedisServer server;
  Connect(server.address());
  LoopThread other_thread;
  std::optional<RedisControlStore> other;
  other_thread.Run([&] { other.emplace(other_thread.loop(), server.address(), kQuick); });
  ASSERT_TRUE(thread_.Await<void>([&](auto done) { store_->MarkRestored(Deadline::AfterMs(30'000), done); }));
  // Each put makes a version: one that another store overwrote unseen would be missing at the end.
  const auto put = [](ControlStore& store, const std::string& who, Done<void> all) {
    const auto left = std::make_shared<int>(kPuts);
    for (int i = 0; i < kPuts; ++i) {
      store.PutKey(StrCat("key", i % 7), StrCat(who, i), false, Deadline::AfterMs(20'000),
                   [left, all](Result<uint64_t> written) {
                     ASSERT_TRUE(written) << written.error().message;
                     if (--*left == 0) all({});
                   });
    }
  };
  std::promise<void> ours;
  thread_.Run([&] { put(*store_, "ours", [&](Result<void>) { ours.set_value(); }); });
  const auto theirs = other_thread.Await<void>([&](auto done) { put(*other, "theirs", done); });
  ASSERT_TRUE(theirs) << theirs.error().message;
  ours.get_future().wait();
  uint64_t versions = 0;
  for (int i = 0; i < 7; ++i) {
    const auto pair = thread_.Await<KeyValue>(
        [&, i](auto done) { store_->GetKey(StrCat("key", i), Deadline::AfterMs(30'000), done); });
    ASSERT_TRUE(pair);
    versions += pair->version;
  }
  EXPECT_EQ(versions, 2u * kPuts);
  other_thread.Run([&] { other.reset(); });
}

TEST_F(RedisControlStoreTest, ThousandsOfItemsAreThereAgainAfterAFlush) {
  constexpr int kActors = 3'000;
  RedisServer server;
  Connect(server.address());
  const SteadyClock clock;
  std::optional<ControlLink> link;
  thread_.Run([&] {
    ControlLinkOptions options;
    options.renew_every = std::chrono::milliseconds(20);
    options.store_is_new = true;
    link.emplace(thread_.loop(), clock, *store_, record_, options);
  });
  ASSERT_TRUE(thread_.Await<void>([&](auto done) { link->Join(Deadline::AfterMs(30'000), done); }));
  thread_.Run([&] {
    for (int i = 0; i < kActors; ++i) link->PlaceActor({ActorId::FromRandom(), record_.id, 1, wire::ActorState::Alive});
  });
  const auto all_there = [&] { return server.Ask({"DBSIZE"}).integer >= kActors; };
  EXPECT_TRUE(Eventually(kPatience, all_there));
  server.Ask({"FLUSHALL"});
  EXPECT_TRUE(Eventually(kPatience, all_there));
  thread_.Run([&] { link.reset(); });
}

TEST_F(RedisControlStoreTest, APasswordIsSentAndAWrongOneIsReported) {
  RedisServer server({"--requirepass", "a b%c"});
  ControlAddress address = server.address();
  Connect(address);
  auto renewed = Renew();
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, ErrorCode::kNotAllowed) << renewed.error().message;
  EXPECT_NE(renewed.error().message.find("--control"), std::string::npos);
  address.password = "wrong";
  Connect(address);
  renewed = Renew();
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, ErrorCode::kNotAllowed) << renewed.error().message;
  EXPECT_EQ(renewed.error().message.find("wrong"), std::string::npos);
  address.password = "a b%c";
  Connect(address);
  EXPECT_TRUE(Renew());
}

TEST_F(RedisControlStoreTest, AUserWithoutACommandThatWeNeedIsToldWhich) {
  RedisServer server;
  server.Ask({"ACL", "SETUSER", "raylet", "on", ">secret", "~raylet:*", "+@all", "-exec"});
  ControlAddress address = server.address();
  address.user = "raylet";
  address.password = "secret";
  Connect(address);
  const auto renewed = Renew();
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, ErrorCode::kNotAllowed) << renewed.error().message;
  EXPECT_NE(renewed.error().message.find("exec"), std::string::npos) << renewed.error().message;
}

TEST_F(RedisControlStoreTest, AFullRedisIsReported) {
  RedisServer server({"--maxmemory", "1"});
  Connect(server.address());
  const auto renewed = Renew();
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, ErrorCode::kFull) << renewed.error().message;
  EXPECT_TRUE(List());
}

TEST_F(RedisControlStoreTest, CellsThatNoRayletWroteAreNamedAndHideNoOthers) {
  RedisServer server;
  Connect(server.address());
  ASSERT_TRUE(Renew());
  server.Ask({"SET", "raylet:node:other", "hello"});
  server.Ask({"SADD", "raylet:index:node", "other"});
  EXPECT_EQ(List()->size(), 1u);
  server.Ask({"SET", "raylet:key:key", "hello"});
  const auto pair = Get();
  ASSERT_FALSE(pair);
  EXPECT_EQ(pair.error().code, ErrorCode::kProtocolError);
  EXPECT_NE(pair.error().message.find("key:key"), std::string::npos);
  server.Ask({"DEL", "raylet:index:node"});
  server.Ask({"SET", "raylet:index:node", "a text"});
  EXPECT_FALSE(List());  // WRONGTYPE
  EXPECT_FALSE(Renew());
  server.Ask({"DEL", "raylet:index:node"});
  EXPECT_TRUE(Renew());
}

TEST_F(RedisControlStoreTest, MissingRedisIsReportedWithTheCommandThatStartsIt) {
  RunFolder folder;
  ControlAddress address;
  address.path = folder.File("nobody");
  Connect(address);
  ExpectUnavailable(Renew(50), "redis-server");
  EXPECT_EQ(State().address, "unix://" + address.path);
}

// Speakers that are no Redis: each connection gets these bytes, whatever it sends.
TEST_F(RedisControlStoreTest, ServerThatIsNoRedisIsSurvived) {
  RunFolder folder;
  ControlAddress address;
  address.path = folder.File("speaker");
  const auto listening = ListenUnix(address.path, 16);
  ASSERT_TRUE(listening);
  Connect(address);
  const std::string huge = "*3000\r\n*100000\r\n*100000\r\n*100000\r\n*100000\r\n";
  for (const std::string& said :
       {std::string("SSH-2.0-OpenSSH\r\n"), std::string("+OK POP3 ready\r\n+OK\r\n+OK\r\n"), huge,
        std::string("$99999999999999999999\r\n"), std::string("*-5\r\n"), std::string("\0\0\0\0", 4),
        std::string("-ERR max number of clients reached\r\n"), std::string(":1\r\n:1\r\n:1\r\n")}) {
    UniqueFd fd;
    ASSERT_TRUE(Eventually(kPatience, [&] {
      fd = std::move(*AcceptUnix(listening->get()));
      return static_cast<bool>(fd);
    }));
    ASSERT_TRUE(SendSome(fd.get(), std::as_bytes(std::span(said)), {}));
    EXPECT_TRUE(Eventually(kPatience, [&] { return PeerClosed(fd.get()); })) << said;
    EXPECT_FALSE(State().connected);
  }
}

}  // namespace
}  // namespace raylet::test
