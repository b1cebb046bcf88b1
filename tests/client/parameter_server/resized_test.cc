// Parameters that are shared out to other numbers of shards while workers train.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/float_server.h"
#include "tests/client/parameter_server/message_of.h"
#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/run_folder.h"

namespace resized_test {

using parameter_server_test::Add;
using parameter_server_test::FloatServer;
using parameter_server_test::MessageOf;
using parameter_server_test::OnPrivateDaemons;
using namespace std::chrono_literals;
namespace ps = ray::ps;

// What a worker saw.
struct Seen {
  uint64_t applied = 0;
  uint64_t back = 0;   // versions that were older than one before
  uint64_t mixed = 0;  // snapshots of a policy with rounds that had parts of several rounds
  MSGPACK_DEFINE(applied, back, mixed)
};

// Adds 1 to every parameter in each round. `kept` updates are under way at once.
Seen Train(const FloatServer& server, uint64_t rank, int rounds, uint64_t kept) {
  std::mt19937_64 random(rank);
  auto worker = server.Worker(rank);
  Seen seen;
  uint64_t version = 0;
  std::vector<ps::PendingUpdate<float>> pending;
  for (int round = 0; round < rounds; ++round) {
    const auto parameters = worker.Get();
    seen.back += parameters.version() < version;
    version = parameters.version();
    const auto values = parameters.Copy();
    seen.mixed += std::count(values.begin(), values.end(), values[0]) != static_cast<std::ptrdiff_t>(values.size());
    auto gradient = worker.NewGradient();
    gradient.Fill(-1);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    pending.push_back(worker.UpdateAsync(std::move(gradient)));
    if (pending.size() < kept && round + 1 < rounds) continue;
    for (auto& update : pending) seen.applied += update.Get().applied;
    pending.clear();
  }
  return seen;
}
RAY_REMOTE(Train);

std::string ResizeIn(FloatServer server) {
  return MessageOf([&] { server.Resize(3); });
}
RAY_REMOTE(ResizeIn);

// A handle that hears of a Resize from the home alone.
FloatServer Apart(const FloatServer& server) { return *ray::Put(server).Get(); }

float FirstOf(const FloatServer& server) { return server.Get()[0]; }
RAY_REMOTE(FirstOf);

class ResizedTest : public OnPrivateDaemons {
 protected:
  std::string Path() const { return folder_.File("model"); }

 private:
  raylet::test::RunFolder folder_;
};

TEST_F(ResizedTest, VersionsTheOptimisersStateAndSnapshotsStay) {
  const ps::Options options{
      .shards = 2, .optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}, .schedule = ps::Schedule::Step(3, 2)};
  std::vector<float> initial(101);
  for (size_t i = 0; i < initial.size(); ++i) initial[i] = static_cast<float>(i);
  auto server = FloatServer::Create(initial, options);
  const auto copy = server;
  const auto other = FloatServer::Create(initial, options);
  const auto add = [&](float value) {
    for (const auto& one : {server, other}) {
      auto gradient = one.NewGradient();
      for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = value * static_cast<float>(i % 7);
      EXPECT_TRUE(one.Update(std::move(gradient)).applied);
    }
  };
  add(4);
  add(-8);
  const auto held = server.Get();
  const auto before = held.Copy();
  auto gradient = copy.NewGradient(held);  // of the old layout
  for (const size_t shards : {5, 1, 3}) {
    server.Resize(shards);
    EXPECT_EQ(server.shards(), shards);
    EXPECT_EQ(copy.shards(), shards) << "copies hear of it";
    EXPECT_EQ(server.Get().Copy(), other.Get().Copy());
    EXPECT_EQ(server.Get().version(), other.Get().version());
    add(2);
    EXPECT_EQ(server.Get().Copy(), other.Get().Copy()) << "the momentum or the schedule did not go on";
  }
  EXPECT_EQ(held.Copy(), before);
  EXPECT_EQ(copy.GetIfNewer(held).Copy(), server.Get().Copy());
  EXPECT_EQ(copy.Stats().size(), 3U);
  EXPECT_EQ(copy.Stats()[1].applied, 5U);
  gradient.Fill(0);
  EXPECT_TRUE(copy.Update(std::move(gradient)).applied);
  EXPECT_EQ(server.Get().version(), 6U);
}

struct Case {
  const char* name;
  ps::Policy policy;
};

class ResizedUnderTest : public ResizedTest, public testing::WithParamInterface<Case> {};
INSTANTIATE_TEST_SUITE_P(Policies, ResizedUnderTest,
                         testing::Values(Case{"Async", ps::Async{}},
                                         Case{"Stale", ps::Stale{.workers = 3, .staleness = 2}},
                                         Case{"Synchronous", ps::Synchronous{.workers = 3}}),
                         [](const auto& of) { return of.param.name; });

// Workers that pass no layout on to one another, with delays of their own, and an owner that resizes again and again.
TEST_P(ResizedUnderTest, EachUpdateCountsOnce) {
  constexpr int kRounds = 60;
  auto server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = GetParam().policy});
  const bool has_rounds = std::holds_alternative<ps::Synchronous>(GetParam().policy);
  const bool is_async = std::holds_alternative<ps::Async>(GetParam().policy);
  std::vector<ray::ObjectRef<Seen>> working;
  for (uint64_t rank = 0; rank < 3; ++rank)
    working.push_back(ray::Task(Train).Remote(server, rank, kRounds, is_async ? 1 + 3 * rank : uint64_t{1}));
  std::mt19937_64 random(11);
  const auto begun = std::chrono::steady_clock::now();
  do {
    server.Resize(1 + (server.shards() + random() % 4) % 5);
    ASSERT_LT(std::chrono::steady_clock::now() - begun, 60s) << "version " << server.Get().version();
  } while (!ray::Wait(working, 3, 0).unready.empty());
  const uint64_t versions = has_rounds ? kRounds : 3U * kRounds;
  for (const auto& one : ray::Get(working, 60'000)) {
    EXPECT_EQ(one->applied, static_cast<uint64_t>(kRounds));
    EXPECT_EQ(one->back, 0U);
    if (has_rounds) {
      EXPECT_EQ(one->mixed, 0U);
    }
  }
  const auto last = server.Get();
  EXPECT_EQ(last.Copy(), std::vector<float>(97, 3 * kRounds));
  EXPECT_EQ(last.version(), versions);
  for (const uint64_t version : last.versions()) EXPECT_EQ(version, last.version());
  for (const ps::ShardStats& shard : server.Stats()) EXPECT_EQ(shard.rounds_cut + shard.left_behind, 0U);
}

TEST_F(ResizedTest, AShardThatIsKilledAfterwardsStartsAgainInTheNewLayout) {
  auto server = FloatServer::Create(
      97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1, .momentum = 0.5}, .checkpoint = {.path = Path()}});
  const auto old = FloatServer(server);
  Add(server, 4);
  Add(server, 4);
  server.Resize(3);
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[1].pid), SIGKILL), 0);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 10));
  EXPECT_EQ(server.Stats()[1].updates_lost, 0U);
  Add(server, 4);
  EXPECT_EQ(old.Get().Copy(), std::vector<float>(97, 17));
}

// The owner's own threads hear of the new layout from the home, or from the Resize itself.
TEST_F(ResizedTest, TheOwnerTrainsMeanwhileAndResizesAgain) {
  auto server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}});
  std::atomic<bool> ends{false};
  int updates = 0;
  std::thread training([&] {
    for (; !ends.load(); ++updates) {
      EXPECT_TRUE(Add(server, 1).applied);
      EXPECT_EQ(server.Get()[0], static_cast<float>(updates + 1));
    }
  });
  for (const size_t shards : {3, 1, 2, 4, 3}) server.Resize(shards);
  ends.store(true);
  training.join();
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, static_cast<float>(updates)));
}

TEST_F(ResizedTest, AHandleThatOnlyUpdatesHearsOfTheNewLayout) {
  auto server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}});
  const FloatServer apart = Apart(server);
  server.Resize(3);
  EXPECT_TRUE(Add(apart, 1).applied);
  EXPECT_EQ(apart.shards(), 3U);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 1));
}

// The home's files, and those of a layout with as many shards as the first one.
TEST_F(ResizedTest, TheHomeThatIsKilledStillKnowsWhereTheParametersAre) {
  auto server = FloatServer::Create(97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path()}});
  const auto home = static_cast<pid_t>(server.Stats()[0].pid);
  Add(server, 4);
  const FloatServer old = Apart(server);
  for (const size_t shards : {3, 2, 3}) server.Resize(shards);
  Add(server, 1);
  ASSERT_EQ(::kill(home, SIGKILL), 0);
  EXPECT_EQ(*ray::Task(FirstOf).Remote(old).Get(60'000), 5);
  server.Save(Path());
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[0].pid), SIGKILL), 0);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 5));
  EXPECT_EQ(server.Stats()[0].updates_lost, 0U);
}

// A shard that came back from a checkpoint does not know which gradients that has. The next layout knows.
TEST_F(ResizedTest, AResizeAfterALossWaitsForNobody) {
  auto server = FloatServer::Create(
      97, {.shards = 2, .optimizer = ps::Sgd{.rate = 1}, .checkpoint = {.path = Path()}, .round_deadline = 60s});
  for (int i = 0; i < 3; ++i) Add(server, 1);
  server.Save(Path());
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[1].pid), SIGKILL), 0);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 3));
  const auto begun = std::chrono::steady_clock::now();
  server.Resize(3);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s) << "it waited for a worker until round_deadline";
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(97, 3));
}

TEST_F(ResizedTest, ANumberThatCannotBeAndAnotherProcessAreRefused) {
  auto server = FloatServer::Create(3, {.shards = 2});
  EXPECT_EQ(MessageOf([&] { server.Resize(0); }),
            "parameters in 0 shards were asked for: a server has 1 shard or more");
  EXPECT_EQ(MessageOf([&] { server.Resize(4); }),
            "3 parameters in 4 shards were asked for: each shard has 1 parameter or more");
  EXPECT_NE(ray::Task(ResizeIn).Remote(server).Get(60'000)->find("the process that called Create owns the shards"),
            std::string::npos);
  EXPECT_EQ(server.shards(), 2U);
}

}  // namespace resized_test
