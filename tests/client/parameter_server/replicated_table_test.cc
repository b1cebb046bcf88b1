// Shards of tables that are killed, with checkpoints and with replicas.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/checkpoint.h"
#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace replicated_table_test {

using parameter_server_test::MessageOf;
using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;
using Users = ps::Table<uint64_t, float>;
using Words = ps::Table<std::string, float>;

const std::vector<uint64_t> kKeys = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

// A task: adds 1 to each element of all rows, in each round. Returns how many pushes counted.
uint64_t AddToAll(const Users& users, int rounds) {
  const std::vector<float> gradients(kKeys.size() * users.row_size(), -1);
  uint64_t counted = 0;
  for (int round = 0; round < rounds; ++round) {
    users.Pull(kKeys);
    counted += users.Push(kKeys, gradients);
  }
  return counted;
}
RAY_REMOTE(AddToAll);

class KilledTableTest : public parameter_server_test::OnPrivateDaemons {
 protected:
  std::string Path() const { return folder_.File("rows"); }
  template <class Table>
  static void KillShard(const Table& table, size_t shard) {
    ASSERT_EQ(::kill(static_cast<pid_t>(table.Stats()[shard].pid), SIGKILL), 0);
  }

 private:
  raylet::test::RunFolder folder_;
};

TEST_F(KilledTableTest, AShardComesBackFromItsCheckpointAndSaysWhatItLost) {
  const auto users =
      Users::Create(2, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path(), .every = 10}});
  AddToAll(users, 12);
  ASSERT_TRUE(Eventually(60s, [&] {
    ps::internal::CheckpointOf head;
    return ps::internal::ReadCheckpointHead(ps::internal::CheckpointPath(Path(), 0, 2), head) && head.version == 10;
  }));
  KillShard(users, 0);
  EXPECT_EQ(users.Size(), kKeys.size());
  const auto stats = users.Stats();
  EXPECT_EQ(stats[0].restarts, 1U);
  EXPECT_EQ(stats[0].updates_lost, 2U);
  EXPECT_EQ(stats[0].pushes, 12U);
  EXPECT_EQ(stats[1].updates_lost, 0U);
  const auto rows = users.Pull(kKeys);
  size_t old = 0;
  for (size_t i = 0; i < kKeys.size(); ++i) {
    EXPECT_TRUE(rows[i][0] == 10 || rows[i][0] == 12) << rows[i][0];
    old += rows[i][0] == 10;
  }
  EXPECT_EQ(old, stats[0].rows);
  EXPECT_EQ(AddToAll(users, 1), 1U);
}

TEST_F(KilledTableTest, AShardWithAReplicaLosesNothing) {
  const auto words = Words::Create(1, {.optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}, .replicas = 1},
                                   ps::Initializer::Constant(7), {.min_count = 2});
  for (int k = 0; k < 3; ++k) words.Push({"often", std::to_string(k)}, std::vector<float>{-4, -4});
  EXPECT_EQ(words.Pull({"often"})[0][0], 7 + 4 + 6) << "the first one was dropped by the filter";
  words.Pull({"0"});
  KillShard(words, 0);
  EXPECT_EQ(words.Pull({"often"})[0][0], 7 + 4 + 6);
  words.Push({"often", "0", "1"}, std::vector<float>{-4, -1, -1});
  const auto rows = words.Pull({"often", "0", "1", "2"});
  EXPECT_EQ(rows[0][0], 7 + 4 + 6 + 7) << "the momentum was lost";
  EXPECT_EQ(rows[1][0], 8) << "the filter's count was lost";
  EXPECT_EQ(rows[2][0], 8);
  EXPECT_EQ(rows[3][0], 7);
  EXPECT_EQ(words.Erase({"often"}), 1U);
  KillShard(words, 0);
  EXPECT_EQ(words.Pull({"1"})[0][0], 8);
  EXPECT_EQ(words.Stats()[0].updates_lost, 0U);
  EXPECT_EQ(words.Stats()[0].restarts, 2U);
  EXPECT_EQ(words.Stats()[0].rows, 3U) << "an erased row came back";
}

TEST_F(KilledTableTest, EachPushCountsOnceWhileShardsAndReplicasAreKilled) {
  const auto users = Users::Create(2, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .replicas = 1});
  constexpr int kRounds = 200;
  std::vector<ray::ObjectRef<uint64_t>> working;
  for (int i = 0; i < 2; ++i) working.push_back(ray::Task(AddToAll).Remote(users, kRounds));
  for (const uint64_t pushes : {20, 150}) {
    ASSERT_TRUE(Eventually(60s, [&] { return users.Stats()[1].pushes >= pushes; }));
    KillShard(users, 1);
    const int64_t replica = users.Stats()[0].replica_pid;
    ASSERT_GT(replica, 0);
    ASSERT_EQ(::kill(static_cast<pid_t>(replica), SIGKILL), 0);
    ASSERT_TRUE(Eventually(60s, [&] {
      const int64_t now = users.Stats()[0].replica_pid;
      return (now != 0 && now != replica) || users.Stats()[0].pushes == 2 * kRounds;
    }));
  }
  for (const auto& counted : ray::Get(working, 60'000)) EXPECT_EQ(*counted, static_cast<uint64_t>(kRounds));
  EXPECT_EQ(users.Pull(kKeys).Copy(), std::vector<float>(2 * kKeys.size(), 2 * kRounds));
  EXPECT_EQ(users.Stats()[1].restarts, 2U);
}

TEST_F(KilledTableTest, AReplicaThatDiedTakesAllThoughNobodyPushes) {
  const auto users = Users::Create(2, {.optimizer = ps::Sgd{.rate = 1}, .replicas = 1});
  AddToAll(users, 3);
  const int64_t replica = users.Stats()[0].replica_pid;
  ASSERT_EQ(::kill(static_cast<pid_t>(replica), SIGKILL), 0);
  ASSERT_TRUE(Eventually(60s, [&] { return users.Stats()[0].replica_pid != replica; }));
  KillShard(users, 0);
  EXPECT_EQ(users.Pull(kKeys).Copy(), std::vector<float>(2 * kKeys.size(), 3));
}

TEST_F(KilledTableTest, CallsToAShardThatIsDeadForGoodFailAtOnceWithTheCause) {
  const auto users = Users::Create(2, {.replicas = 1});
  AddToAll(users, 1);
  const auto stats = users.Stats();
  ASSERT_EQ(::kill(static_cast<pid_t>(stats[0].replica_pid), SIGKILL), 0);
  ASSERT_EQ(::kill(static_cast<pid_t>(stats[0].pid), SIGKILL), 0);
  const std::vector<std::function<void()>> calls = {[&] { users.Pull(kKeys); }, [&] { AddToAll(users, 1); },
                                                    [&] { users.Size(); }};
  for (const auto& call : calls) {
    const auto begun = std::chrono::steady_clock::now();
    const std::string message = MessageOf(call);
    EXPECT_NE(message.find("the rows of shard 0 are lost"), std::string::npos) << message;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 40s) << "it waited for the deadline";
  }
}

TEST_F(KilledTableTest, WithoutEitherADeadShardIsAnError) {
  const auto users = Users::Create(2);
  users.Pull(kKeys);
  KillShard(users, 0);
  EXPECT_THROW(users.Pull(kKeys), ray::internal::RayActorException);
}

}  // namespace replicated_table_test
