// Dense parameter servers through their public surface, in one process and on daemons with processes of their own.
// Gradients are whole numbers and the rate is 1, so that each sum is exact.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/two_modes_fixture.h"

namespace dense_test {

using parameter_server_test::kThreeShards;
using parameter_server_test::MessageOf;
using parameter_server_test::NameOfMode;
using parameter_server_test::TwoModesTest;
using namespace std::chrono_literals;
namespace ps = ray::ps;
using FloatServer = ps::Parameters<float>;

// A worker that subtracts rank + 1 from each parameter in each round. It returns how many snapshots it read whose
// elements were not all equal.
uint64_t RunRounds(const FloatServer& server, uint64_t rank, int rounds) {
  auto worker = server.Worker(rank);
  uint64_t mixed = 0;
  for (int round = 0; round < rounds; ++round) {
    const ps::Snapshot<float> snapshot = worker.Get();
    const float first = snapshot[0];
    for (const auto span : snapshot.spans())
      mixed += !std::all_of(span.begin(), span.end(), [&](float value) { return value == first; });
    auto gradient = worker.NewGradient();
    gradient.Fill(static_cast<float>(rank + 1));
    worker.Update(std::move(gradient));
  }
  return mixed;
}

// Under Stale: how far the clock of this rank was ahead at most, as the server says.
uint64_t RunStale(const FloatServer& server, uint64_t rank, int updates) {
  auto worker = server.Worker(rank);
  uint64_t staleness = 0;
  for (int i = 0; i < updates; ++i) {
    worker.Get();
    auto gradient = worker.NewGradient();
    gradient.Fill(1);
    staleness = std::max(staleness, worker.Update(std::move(gradient)).staleness);
  }
  return staleness;
}

FloatServer Hand(const FloatServer& server) { return server; }

struct Keeper {
  static Keeper* Create(const FloatServer& server) { return new Keeper{server}; }
  float First() const { return server.Get()[0]; }
  FloatServer server;
};
RAY_REMOTE(RunRounds, RunStale, Hand, Keeper::Create, &Keeper::First);

class DenseTest : public TwoModesTest {};
INSTANTIATE_TEST_SUITE_P(Modes, DenseTest, testing::Values(true, false), NameOfMode);

TEST_P(DenseTest, UpdatesAddUpExactly) {
  const auto server = FloatServer::Create(1001, kThreeShards);
  EXPECT_EQ(server.size(), 1001U);
  EXPECT_EQ(server.shards(), 3U);
  const auto before = server.Get();
  EXPECT_EQ(before.version(), 0U);
  EXPECT_EQ(before.Copy(), std::vector<float>(1001));
  std::vector<float> sum(1001);
  for (int k = 1; k <= 20; ++k) {
    auto gradient = server.NewGradient(server.Get());
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<float>(k * static_cast<int>(i % 7));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] -= static_cast<float>(k * static_cast<int>(i % 7));
    const ps::Update update = server.Update(std::move(gradient));
    EXPECT_EQ(update.version, static_cast<uint64_t>(k));
    EXPECT_EQ(update.staleness, 0U);
    EXPECT_TRUE(update.applied);
  }
  EXPECT_EQ(server.Get().Copy(), sum);
  EXPECT_EQ(before.Copy(), std::vector<float>(1001)) << "a snapshot that is held changed";
}

TEST_P(DenseTest, DoublesStartFromTheirInitialValues) {
  std::vector<double> initial(10);
  std::iota(initial.begin(), initial.end(), 1);
  const auto server = ps::Parameters<double>::Create(initial, {.shards = 4, .optimizer = ps::Sgd{.rate = 0.5}});
  EXPECT_EQ(server.Get().Copy(), initial);
  auto gradient = server.NewGradient();
  gradient.CopyFrom(initial);
  server.Update(std::move(gradient));
  for (double& value : initial) value /= 2;
  EXPECT_EQ(server.Get().Copy(), initial);
}

TEST_P(DenseTest, TensorsHaveTheirNamesShapesAndValues) {
  std::vector<float> initial(2 + 12);
  std::iota(initial.begin(), initial.end(), 0);
  const std::map<std::string, ps::Shape> tensors = {{"bias", {2}}, {"weights", {3, 4}}};
  const auto server = FloatServer::Create(tensors, initial, kThreeShards);
  const auto snapshot = server.Get();
  const auto weights = snapshot.Tensor("weights");
  EXPECT_EQ(weights.shape(), (ps::Shape{3, 4}));
  EXPECT_EQ(weights.size(), 12U);
  EXPECT_GT(weights.spans().size(), 1U) << "it lies in several shards";
  EXPECT_EQ(weights.Copy(), std::vector<float>(initial.begin() + 2, initial.end()));
  EXPECT_EQ(weights[11], 13);
  EXPECT_EQ(snapshot.Tensor("bias").Copy(), (std::vector<float>{0, 1}));
  auto gradient = server.NewGradient();
  gradient.Fill(0);
  gradient.Tensor("weights").Fill(1);
  server.Update(std::move(gradient));
  const auto next = server.Get();
  EXPECT_EQ(next.Tensor("bias").Copy(), (std::vector<float>{0, 1}));
  EXPECT_EQ(next.Tensor("weights")[11], 12);
  EXPECT_EQ(MessageOf([&] { snapshot.Tensor("wieghts"); }), "there is no tensor 'wieghts': there are bias, weights");
}

TEST_P(DenseTest, AnUnchangedVersionIsTheSameMemory) {
  const auto server = FloatServer::Create(1000, kThreeShards);
  const auto one = server.Get();
  const auto same = server.GetIfNewer(one);
  EXPECT_EQ(same.versions(), one.versions());
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(same.spans()[i].data(), one.spans()[i].data());
  auto gradient = server.NewGradient(one);
  gradient.Fill(1);
  server.Update(std::move(gradient));
  const auto newer = server.GetIfNewer(one);
  EXPECT_EQ(newer.version(), 1U);
  EXPECT_EQ(newer[999], -1);
  EXPECT_EQ(one[999], 0);
}

TEST_P(DenseTest, AnUnchangedVersionTakesNoMessage) {
  const auto server = FloatServer::Create(1000, kThreeShards);
  auto snapshot = server.Get();
  const auto reads = [&] { return server.Stats()[1].reads; };
  const uint64_t before = reads();
  for (int i = 0; i < 10'000; ++i) snapshot = server.GetIfNewer(snapshot);
  EXPECT_LT(reads() - before, 5000U) << "it asked again within 50 ms";
  for (int k = 1; k <= 20; ++k) {  // each change is seen at once
    auto gradient = server.NewGradient(snapshot);
    gradient.Fill(1);
    server.Update(std::move(gradient));
    snapshot = server.GetIfNewer(snapshot);
    EXPECT_EQ(snapshot.version(), static_cast<uint64_t>(k));
    EXPECT_EQ(snapshot[999], static_cast<float>(-k));
  }
  EXPECT_GE(reads() - before, 20U);
}

TEST_P(DenseTest, ASnapshotOutlivesItsServer) {
  ps::Snapshot<float> snapshot;
  {
    const auto server = FloatServer::Create(std::vector<float>(1000, 5), kThreeShards);
    snapshot = server.Get();
  }
  EXPECT_EQ(snapshot.Copy(), std::vector<float>(1000, 5));
}

TEST_P(DenseTest, QueuedGradientsTakeOnePass) {
  const auto server = FloatServer::Create(1000, kThreeShards);
  std::vector<ps::PendingUpdate<float>> pending;
  for (int k = 0; k < 6; ++k) {
    auto gradient = server.NewGradient();
    gradient.Fill(1);
    pending.push_back(server.UpdateAsync(std::move(gradient)));
  }
  for (auto& update : pending) EXPECT_TRUE(update.Get().applied);
  EXPECT_EQ(server.Get()[0], -6);
  for (const ps::ShardStats& shard : server.Stats()) {
    EXPECT_EQ(shard.passes, 1U);
    EXPECT_EQ(shard.version, 6U);
  }
  EXPECT_EQ(MessageOf([&] { pending[0].Get(); }), "this update has ended already: its Get may be called once");
}

TEST_P(DenseTest, StalenessIsToldScaledAndCounted) {
  const auto server = FloatServer::Create(100, {.optimizer = ps::Sgd{.rate = 1}, .policy = ps::ScaledByStaleness{}});
  const auto old = server.Get();
  for (int k = 0; k < 4; ++k) {
    auto gradient = server.NewGradient(old);
    gradient.Fill(12);
    EXPECT_EQ(server.Update(std::move(gradient)).staleness, static_cast<uint64_t>(k));
  }
  EXPECT_EQ(server.Get()[0], -(12 + 6 + 4 + 3));
  const auto stats = server.Stats().at(0);
  for (size_t k = 0; k < 4; ++k) EXPECT_EQ(stats.staleness[k], 1U);
  EXPECT_EQ(std::accumulate(stats.staleness.begin(), stats.staleness.end(), uint64_t{0}), 4U);
}

TEST_P(DenseTest, SynchronousWorkersNeverReadAMixedRound) {
  const uint64_t workers = GetParam() ? 2 : 3;  // in process there are two threads for tasks on a small machine
  const auto server = FloatServer::Create(
      1000, {.shards = 3, .optimizer = ps::Sgd{.rate = 1}, .policy = ps::Synchronous{.workers = workers}});
  std::vector<ray::ObjectRef<uint64_t>> working;
  for (uint64_t rank = 0; rank < workers; ++rank) working.push_back(ray::Task(RunRounds).Remote(server, rank, 30));
  for (const auto& mixed : ray::Get(working, 60'000)) EXPECT_EQ(*mixed, 0U);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(1000, workers == 2 ? -30 * (1 + 2) : -30 * (1 + 2 + 3)));
  for (const ps::ShardStats& shard : server.Stats()) {
    EXPECT_EQ(shard.version, 30U);
    EXPECT_EQ(shard.applied, 30 * workers);
    EXPECT_EQ(shard.dropped, 0U);
    EXPECT_EQ(shard.rounds_cut, 0U);
  }
}

TEST_P(DenseTest, AStaleWorkerIsNoFurtherAheadThanTheBound) {
  const auto server = FloatServer::Create(
      300, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = ps::Stale{.workers = 2, .staleness = 3}});
  std::vector<ray::ObjectRef<uint64_t>> working;
  for (uint64_t rank = 0; rank < 2; ++rank) working.push_back(ray::Task(RunStale).Remote(server, rank, 50));
  for (const auto& staleness : ray::Get(working, 60'000)) EXPECT_LE(*staleness, 3U);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(300, -100));
}

TEST_P(DenseTest, ALateGradientIsDroppedAndCounted) {
  const auto server = FloatServer::Create(
      300, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = ps::FirstOf{.workers = 1, .backups = 1}});
  auto fast = server.Worker(0);
  auto slow = server.Worker(1);
  fast.Get();
  slow.Get();
  auto first = fast.NewGradient();
  first.Fill(1);
  EXPECT_TRUE(fast.Update(std::move(first)).applied);
  auto late = slow.NewGradient();
  late.Fill(100);
  const ps::Update update = slow.Update(std::move(late));
  EXPECT_FALSE(update.applied);
  EXPECT_EQ(update.staleness, 1U);
  EXPECT_EQ(slow.Get()[299], -1);
  auto next = slow.NewGradient();
  next.Fill(2);
  EXPECT_TRUE(slow.Update(std::move(next)).applied);
  EXPECT_EQ(fast.Get().Copy(), std::vector<float>(300, -3));
  for (const ps::ShardStats& shard : server.Stats()) {
    EXPECT_EQ(shard.applied, 2U);
    EXPECT_EQ(shard.dropped, 1U);
  }
}

TEST_P(DenseTest, ADeadWorkerHoldsARoundUntilItsDeadline) {
  const auto server = FloatServer::Create(
      300,
      {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = ps::Synchronous{.workers = 2}, .round_deadline = 100ms});
  const uint64_t mixed = RunRounds(server, 0, 3);  // rank 1 never comes
  EXPECT_EQ(mixed, 0U);
  EXPECT_EQ(server.Worker(0).Get().Copy(), std::vector<float>(300, -3));
  for (const ps::ShardStats& shard : server.Stats()) {
    EXPECT_EQ(shard.rounds_cut, 1U);
    EXPECT_EQ(shard.left_behind, 1U);
    EXPECT_EQ(shard.rounds, 3U);
  }
}

TEST_P(DenseTest, WorkersComeAndGoWhileOthersTrain) {
  auto server =
      FloatServer::Create(300, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = ps::Synchronous{.workers = 1}});
  RunRounds(server, 0, 2);
  const auto before = server;
  server.SetWorkers(2);
  EXPECT_EQ(MessageOf([&] { before.Worker(1); }),
            "rank 1 was asked for, and the policy Synchronous{workers = 1} has the ranks 0 to 0");
  auto one = server.Worker(0);
  auto two = server.Worker(1);
  two.Get();  // from here on rounds wait for it
  for (int round = 0; round < 3; ++round)
    for (auto* worker : {&one, &two}) {
      worker->Get();
      auto gradient = worker->NewGradient();
      gradient.Fill(10);
      worker->Update(std::move(gradient));
    }
  EXPECT_EQ(server.Get().version(), 5U);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(300, -2 - 60));
  server.SetWorkers(1);
  RunRounds(server, 0, 2);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(300, -2 - 60 - 2));
  const std::string refused = MessageOf([&] { two.Get(); });
  EXPECT_NE(refused.find("a worker with rank 1 called, and this server has the ranks 0 to 0"), std::string::npos)
      << refused;
  for (const ps::ShardStats& shard : server.Stats()) EXPECT_EQ(shard.rounds_cut, 0U);
}

TEST_P(DenseTest, AWaitEndsAtTheDeadlineAndSaysForWhom) {
  const auto server =
      FloatServer::Create(300, {.policy = ps::Synchronous{.workers = 2}, .deadline = 1s, .round_deadline = 60s});
  auto worker = server.Worker(1);
  bool read = false;
  while (!read) {  // until the shard's process has started
    try {
      worker.Get();
      read = true;
    } catch (const ray::internal::RayTimeoutException&) {}
  }
  auto gradient = worker.NewGradient();
  gradient.Fill(1);
  worker.Update(std::move(gradient));
  EXPECT_EQ(
      MessageOf([&] { worker.Get(); }),
      "shard 0 of 1 had no version to read within 1000 ms, under the policy Synchronous{workers = 2}: a worker is "
      "late, and round_deadline is not over yet");
}

TEST_P(DenseTest, GradientsAreClippedByTheNormOverAllShards) {
  const auto server =
      FloatServer::Create(4, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .clip = {.value = 3, .norm = 10}});
  auto small = server.NewGradient();
  small.CopyFrom(std::vector<float>{1, -2, 0, 2});
  server.Update(std::move(small));
  EXPECT_EQ(server.Get().Copy(), (std::vector<float>{-1, 2, 0, -2}));
  auto large = server.NewGradient();
  large.CopyFrom(std::vector<float>{4, -4, 12, 18});  // its norm is √500 = 10 × √5
  server.Update(std::move(large));
  const auto values = server.Get().Copy();
  EXPECT_NEAR(values[0], -1 - 4 / std::sqrt(5.0), 1e-5);
  EXPECT_NEAR(values[1], 2 + 4 / std::sqrt(5.0), 1e-5);
  EXPECT_EQ(values[2], -3);
  EXPECT_EQ(values[3], -5);
}

TEST_P(DenseTest, AHandleIsAValue) {
  const auto server = FloatServer::Create(std::vector<float>(10, 3), kThreeShards);
  const auto returned = *ray::Task(Hand).Remote(server).Get();
  EXPECT_EQ(returned.Get().Copy(), std::vector<float>(10, 3));
  auto keeper = ray::Actor(Keeper::Create).Remote(returned);
  EXPECT_EQ(*keeper.Task(&Keeper::First).Remote().Get(), 3);
  EXPECT_EQ(*ray::Put(server).Get()->Get().Copy().begin(), 3);
}

TEST_P(DenseTest, ErrorsNameTheValueAndWhatWasExpected) {
  const auto expect = [](const std::string& message, const std::function<void()>& f) {
    EXPECT_EQ(MessageOf(f), message);
  };
  expect("parameters in 0 shards were asked for: a server has 1 shard or more",
         [] { FloatServer::Create(10, {.shards = 0}); });
  expect("3 parameters in 4 shards were asked for: each shard has 1 parameter or more",
         [] { FloatServer::Create(3, {.shards = 4}); });
  expect("the policy Synchronous{workers = 0} has no workers: it takes 1 or more",
         [] { FloatServer::Create(3, {.policy = ps::Synchronous{}}); });
  expect("the deadline is 0 ms: it takes 1 ms or more", [] { FloatServer::Create(3, {.deadline = 0ms}); });
  expect("the tensor 'w' has a dimension of 0: it takes 1 or more, and a size that memory holds", [] {
    FloatServer::Create({{"w", {3, 0}}});
  });
  expect("the list of initial values has 5 elements, and 6 were expected", [] {
    FloatServer::Create({{"w", {3, 2}}}, std::vector<float>(5));
  });
  expect("these Parameters are of no server: Create makes one", [] { FloatServer().Get(); });

  const auto server = FloatServer::Create(10, {.refuse_nan = true});
  const auto other = FloatServer::Create(11);
  expect("the gradient has 11 elements, and 10 were expected", [&] { server.Update(other.NewGradient()); });
  expect("the snapshot has 11 elements, and 10 were expected", [&] { server.GetIfNewer(other.Get()); });
  expect("there is no tensor 'w': the parameters were created without named tensors",
         [&] { server.Get().Tensor("w"); });
  expect("element 7 of the gradient is nan: with refuse_nan a gradient has finite numbers alone", [&] {
    auto gradient = server.NewGradient();
    gradient.Fill(1);
    gradient[7] = std::numeric_limits<float>::quiet_NaN();
    server.Update(std::move(gradient));
  });
  expect("the span to copy to has 9 elements, and 10 were expected", [&] {
    std::vector<float> nine(9);
    server.Get().CopyTo(nine);
  });
  const auto pair = FloatServer::Create(10, {.policy = ps::Synchronous{.workers = 2}});
  expect("the policy Synchronous{workers = 2} has workers with ranks: update through Worker(rank)",
         [&] { pair.Update(pair.NewGradient()); });
  expect("rank 2 was asked for, and the policy Synchronous{workers = 2} has the ranks 0 to 1", [&] { pair.Worker(2); });
}

// A store that is full of gradients which wait for their pass makes room for the next one.
TEST(DenseStoreTest, KeptGradientsMakeRoomForTheNext) {
  ray::RayConfig config;
  config.head_args = {"--num-cpus", "2", "--object-store-memory", "64M"};
  ray::Init(config);
  {
    const auto server = FloatServer::Create(size_t{9} << 18, {.optimizer = ps::Sgd{.rate = 1}});  // 9 MiB
    for (int k = 0; k < 12; ++k) {
      auto gradient = server.NewGradient();
      gradient.Fill(1);
      EXPECT_TRUE(server.Update(std::move(gradient)).applied);
    }
    const auto snapshot = server.Get();
    EXPECT_EQ(snapshot[0], -12);
    EXPECT_EQ(snapshot[snapshot.size() - 1], -12);
    EXPECT_EQ(server.Stats()[0].applied, 12U);
  }
  ray::Shutdown();
}

}  // namespace dense_test
