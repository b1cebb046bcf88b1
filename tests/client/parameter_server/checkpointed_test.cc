// Saving, loading, and shards that are killed, with daemons and processes.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/checkpoint.h"
#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace checkpointed_test {

using parameter_server_test::Add;
using parameter_server_test::AddMany;
using parameter_server_test::FloatServer;
using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;

class CheckpointedServerTest : public OnPrivateDaemons {
 protected:
  std::string Path() const { return folder_.File("model"); }

 private:
  raylet::test::RunFolder folder_;
};

const ps::Options kMomentum{.shards = 2, .optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}};

TEST_F(CheckpointedServerTest, ASavedModelIsLoadedWithTheOptimisersState) {
  const auto one = FloatServer::Create(101, kMomentum);
  Add(one, 4);
  one.Save(Path());
  Add(one, 4);
  EXPECT_EQ(one.Get()[100], 4 + 6);
  const auto two = FloatServer::Create(101, kMomentum);
  two.Load(Path());
  EXPECT_EQ(two.Get().version(), 1U);
  EXPECT_EQ(two.Get()[100], 4);
  Add(two, 4);
  EXPECT_EQ(two.Get().Copy(), one.Get().Copy());
  const auto before = one.Get();
  one.Load(Path());
  EXPECT_EQ(one.Get()[0], 4);
  EXPECT_EQ(one.Get().version(), 3U) << "a reader would take it for what it has";
  EXPECT_EQ(before[0], 10);
}

TEST_F(CheckpointedServerTest, ABadFileIsRefusedAndChangesNothing) {
  const auto server = FloatServer::Create(101, kMomentum);
  Add(server, 4);
  server.Save(Path());
  Add(server, 4);
  const std::string file = ps::internal::CheckpointPath(Path(), 1, 2);
  std::filesystem::resize_file(file, 200);
  const std::string truncated = MessageOf([&] { server.Load(Path()); });
  EXPECT_NE(truncated.find("the checkpoint " + file +
                           " has 200 bytes, and 512 were expected: it is truncated or "
                           "damaged"),
            std::string::npos)
      << truncated;
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(101, 10));
  const auto other = FloatServer::Create(100, {.shards = 2});
  const std::string of_another = MessageOf([&] { other.Load(Path()); });
  EXPECT_NE(of_another.find("holds 51 floats of shard 0 of 2 with optimizer 0 and 1 arrays of its state, and 50 floats "
                            "of shard 0 of 2 with optimizer 0 and 0 arrays of its state were expected"),
            std::string::npos)
      << of_another;
  const std::string nowhere = MessageOf([&] { server.Save(Path() + "/none/model"); });
  EXPECT_NE(nowhere.find("cannot create the checkpoint " + Path() + "/none/model.shard-0-of-2.new: "),
            std::string::npos)
      << nowhere;
  EXPECT_EQ(MessageOf([] { FloatServer::Create(10, {.checkpoint = {.every = 5}}); }),
            "checkpoints after each 5 steps were asked for, and the path is empty: it takes the name of a file");
}

TEST_F(CheckpointedServerTest, UpdatesGoOnWhileFilesAreWritten) {
  const auto server = FloatServer::Create(
      size_t{1} << 20, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path(), .every = 1}});
  for (int k = 0; k < 20; ++k) {
    Add(server, 1);
    EXPECT_EQ(server.Get()[0], static_cast<float>(k + 1));
  }
  server.Save(Path());
  const auto other = FloatServer::Create(size_t{1} << 20, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}});
  other.Load(Path());
  EXPECT_EQ(other.Get().version(), 20U);
  EXPECT_EQ(other.Get().Copy(), std::vector<float>(size_t{1} << 20, 20));
}

TEST_F(CheckpointedServerTest, AKilledShardComesBackAndSaysWhatItLost) {
  const auto server = FloatServer::Create(
      100, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path(), .every = 10}});
  for (int k = 0; k < 12; ++k) Add(server, 1);
  const auto held = server.Get();
  ASSERT_TRUE(Eventually(60s, [&] {
    ps::internal::CheckpointOf head;
    return ps::internal::ReadCheckpointHead(ps::internal::CheckpointPath(Path(), 0, 2), head) && head.version == 10;
  }));
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[0].pid), SIGKILL), 0);
  const auto after = server.Get();
  EXPECT_EQ(after.versions(), (std::vector<uint64_t>{12, 12}));
  EXPECT_EQ(after[0], 10);
  EXPECT_EQ(after[99], 12);
  EXPECT_EQ(held.Copy(), std::vector<float>(100, 12)) << "a snapshot that is held changed";
  const auto stats = server.Stats();
  EXPECT_EQ(stats[0].restarts, 1U);
  EXPECT_EQ(stats[0].updates_lost, 2U);
  EXPECT_EQ(stats[1].restarts, 0U);
  EXPECT_TRUE(Add(server, 1).applied);
  EXPECT_EQ(server.Get()[0], 11);
}

// What a reader sees of a version without a call is no sign of life.
TEST_F(CheckpointedServerTest, AReaderOfAnUnchangedVersionHearsOfAKilledShard) {
  const auto server = FloatServer::Create(std::vector<float>(100, 7),
                                          {.optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path()}});
  Add(server, 1);
  server.Save(Path());
  auto snapshot = server.Get();
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[0].pid), SIGKILL), 0);
  ASSERT_TRUE(Eventually(60s, [&] {
    snapshot = server.GetIfNewer(snapshot);
    return server.Stats()[0].restarts == 1 && server.Stats()[0].reads > 0;
  }));
  Add(server, 1);
  snapshot = server.GetIfNewer(snapshot);
  EXPECT_EQ(snapshot[0], 9);
}

TEST_F(CheckpointedServerTest, AShardThatDiesBeforeItsFirstCheckpointBeginsAgain) {
  const auto server = FloatServer::Create(std::vector<float>(100, 7),
                                          {.optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path()}});
  for (int k = 0; k < 3; ++k) Add(server, 1);
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[0].pid), SIGKILL), 0);
  EXPECT_EQ(server.Get()[0], 7);
  EXPECT_EQ(server.Stats()[0].updates_lost, 3U);
}

TEST_F(CheckpointedServerTest, RoundsGoOnAfterAShardIsKilled) {
  const auto server = FloatServer::Create(100, {.shards = 2,
                                                .optimizer = ps::Sgd{.rate = 1},
                                                .policy = ps::Synchronous{.workers = 2},
                                                .checkpoint = {.path = Path(), .every = 1},
                                                .round_deadline = 300ms});
  std::vector<ray::ObjectRef<uint64_t>> working;
  for (uint64_t rank = 0; rank < 2; ++rank) working.push_back(ray::Task(AddMany).Remote(server, rank, 300));
  ASSERT_TRUE(Eventually(60s, [&] { return server.Stats()[1].version >= 20; }));
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[1].pid), SIGKILL), 0);
  for (const auto& applied : ray::Get(working, 60'000)) EXPECT_GT(*applied, 0U);
  const auto stats = server.Stats();
  EXPECT_EQ(stats[0].restarts, 0U);
  EXPECT_EQ(stats[1].restarts, 1U);
  const auto last = server.Get();
  EXPECT_EQ(last.versions()[0], last.versions()[1]);
}

TEST_F(CheckpointedServerTest, WithoutCheckpointsADeadShardIsAnError) {
  const auto server = FloatServer::Create(100);
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[0].pid), SIGKILL), 0);
  EXPECT_THROW(server.Get(), ray::internal::RayActorException);
}

}  // namespace checkpointed_test
