// Shards with replicas: processes are killed, and no update is lost.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"

namespace replicated_test {

using parameter_server_test::Add;
using parameter_server_test::AddMany;
using parameter_server_test::FloatServer;
using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;

class ReplicatedServerTest : public OnPrivateDaemons {
 protected:
  static void KillShard(const FloatServer& server, size_t shard) {
    ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[shard].pid), SIGKILL), 0);
  }
};

TEST_F(ReplicatedServerTest, AKilledShardComesBackWithAllUpdatesAndItsOptimisersState) {
  const auto server = FloatServer::Create(
      std::vector<float>(100, 7), {.shards = 2, .optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}, .replicas = 1});
  for (int k = 0; k < 3; ++k) Add(server, 4);  // 4, 6, 7
  const auto before = server.Get();
  EXPECT_EQ(before[0], 7 + 17);
  KillShard(server, 0);
  const auto after = server.Get();
  EXPECT_EQ(after.Copy(), before.Copy());
  EXPECT_EQ(after.versions(), before.versions());
  Add(server, 4);  // 7.5
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(100, 7 + 17 + 7.5F));
  const auto stats = server.Stats();
  EXPECT_EQ(stats[0].restarts, 1U);
  EXPECT_EQ(stats[0].updates_lost, 0U);
  EXPECT_EQ(stats[1].restarts, 0U);
}

// Asynchronous: a worker whose call the dead process had answered or not sends it again, and it counts once.
TEST_F(ReplicatedServerTest, EachUpdateCountsOnceWhileShardsAreKilled) {
  const auto server = FloatServer::Create(100, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .replicas = 1});
  constexpr int kRounds = 300;
  std::vector<ray::ObjectRef<uint64_t>> working;
  for (uint64_t rank = 0; rank < 2; ++rank) working.push_back(ray::Task(AddMany).Remote(server, rank, kRounds));
  for (const uint64_t version : {20, 150, 300}) {
    ASSERT_TRUE(Eventually(60s, [&] { return server.Stats()[1].version >= version; }));
    KillShard(server, 1);
  }
  for (const auto& applied : ray::Get(working, 60'000)) EXPECT_EQ(*applied, static_cast<uint64_t>(kRounds));
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(100, 2 * kRounds));
  EXPECT_EQ(server.Stats()[1].restarts, 3U);
}

TEST_F(ReplicatedServerTest, ARoundUnderWayKeepsItsGradients) {
  const auto server = FloatServer::Create(
      100, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = ps::Synchronous{.workers = 2}, .replicas = 1});
  auto one = server.Worker(0);
  auto two = server.Worker(1);
  for (int round = 0; round < 3; ++round) {
    one.Get();
    EXPECT_TRUE(Add(one, 1).applied);
    KillShard(server, static_cast<size_t>(round % 2));
    two.Get();
    EXPECT_TRUE(Add(two, 2).applied);
  }
  EXPECT_EQ(one.Get().Copy(), std::vector<float>(100, 3 * (1 + 2)));
  for (const ps::ShardStats& shard : server.Stats()) EXPECT_EQ(shard.rounds_cut, 0U);
}

TEST_F(ReplicatedServerTest, AReplicaThatDiedTakesAllOnceItIsBack) {
  const auto server = FloatServer::Create(100, {.optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}, .replicas = 1});
  Add(server, 4);
  const auto replica = static_cast<pid_t>(server.Stats()[0].replica_pid);
  ASSERT_GT(replica, 0);
  ASSERT_EQ(::kill(replica, SIGKILL), 0);
  uint64_t updates = 1;
  ASSERT_TRUE(Eventually(60s, [&] {
    EXPECT_TRUE(Add(server, 4).applied);
    ++updates;
    const int64_t now = server.Stats()[0].replica_pid;
    return now != 0 && now != replica;
  }));
  const auto before = server.Get();
  KillShard(server, 0);
  EXPECT_EQ(server.Get().Copy(), before.Copy());
  EXPECT_EQ(server.Get().version(), updates);
  Add(server, 0);  // momentum goes on
  EXPECT_GT(server.Get()[0], before[0]);
}

TEST_F(ReplicatedServerTest, AShardThatDiesWithItsReplicaSaysSo) {
  const auto server = FloatServer::Create(100, {.replicas = 1, .deadline = 2s});
  ASSERT_TRUE(Eventually(60s, [&] { return MessageOf([&] { Add(server, 4); }) == "nothing was thrown"; }));
  const auto stats = server.Stats();
  ASSERT_EQ(::kill(static_cast<pid_t>(stats[0].replica_pid), SIGKILL), 0);
  ASSERT_EQ(::kill(static_cast<pid_t>(stats[0].pid), SIGKILL), 0);
  std::string message;
  EXPECT_TRUE(Eventually(60s, [&] {
    message = MessageOf([&] { server.Get(); });
    return message.find(
               "the shard and its replica died at once, and there is no checkpoint: the parameters of shard 0 "
               "are lost") != std::string::npos;
  })) << message;
}

TEST_F(ReplicatedServerTest, AReplicaThatDiedTakesAllThoughNobodyUpdates) {
  const auto server = FloatServer::Create(100, {.optimizer = ps::Sgd{.rate = 1}, .replicas = 1});
  Add(server, 4);
  const auto replica = static_cast<pid_t>(server.Stats()[0].replica_pid);
  ASSERT_EQ(::kill(replica, SIGKILL), 0);
  ASSERT_TRUE(Eventually(60s, [&] { return server.Stats()[0].replica_pid != replica; }));
  KillShard(server, 0);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(100, 4));
}

// One rank is two updates ahead of the other.
TEST_F(ReplicatedServerTest, TheClocksOfStaleGoOnWhereAShardStartsAgain) {
  const auto server = FloatServer::Create(100, {.policy = ps::Stale{.workers = 2, .staleness = 5}, .replicas = 1});
  auto worker = server.Worker(0);
  for (int round = 0; round < 2; ++round) Add(worker, 1);
  KillShard(server, 0);
  auto gradient = worker.NewGradient();
  gradient.Fill(0);
  EXPECT_EQ(worker.Update(std::move(gradient)).staleness, 2U);
}

TEST_F(ReplicatedServerTest, CallsToAShardThatIsDeadForGoodFailAtOnceWithTheCause) {
  const auto server = FloatServer::Create(100, {.replicas = 1});
  Add(server, 4);
  const auto stats = server.Stats();
  ASSERT_EQ(::kill(static_cast<pid_t>(stats[0].replica_pid), SIGKILL), 0);
  ASSERT_EQ(::kill(static_cast<pid_t>(stats[0].pid), SIGKILL), 0);
  const std::vector<std::function<void()>> calls = {[&] { server.Get(); }, [&] { Add(server, 1); },
                                                    [&] { server.Stats(); }, [&] { server.Save("/dev/null/model"); }};
  for (const auto& call : calls) {
    const auto begun = std::chrono::steady_clock::now();
    const std::string message = MessageOf(call);
    EXPECT_NE(message.find("the parameters of shard 0 are lost"), std::string::npos) << message;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 40s) << "it waited for the deadline";
  }
}

TEST_F(ReplicatedServerTest, MoreReplicasThanOneAreRefused) {
  EXPECT_EQ(MessageOf([] { FloatServer::Create(10, {.replicas = 2}); }),
            "2 replicas were asked for: a shard has none, or 1");
}

}  // namespace replicated_test
