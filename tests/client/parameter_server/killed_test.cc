// Workers and shards that are killed while others train, under each policy.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/client/parameter_server/private_daemons.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace killed_test {

using raylet::test::Eventually;
using namespace std::chrono_literals;
namespace ps = ray::ps;
using FloatServer = ps::Parameters<float>;

// What a worker saw.
struct Seen {
  uint64_t applied = 0;  // of its gradients
  int64_t longest_get_ms = 0;
  uint64_t back = 0;  // versions that were older than one before
  MSGPACK_DEFINE(applied, longest_get_ms, back)
};

struct Trainer {
  static Trainer* Create() { return new Trainer(); }
  int64_t Pid() const { return ::getpid(); }
  Seen Train(const FloatServer& server, uint64_t rank, int rounds) const {
    auto worker = server.Worker(rank);
    Seen seen;
    uint64_t version = 0;
    for (int round = 0; round < rounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const auto parameters = worker.Get();
      const auto waited = std::chrono::steady_clock::now() - start;
      seen.longest_get_ms =
          std::max(seen.longest_get_ms, std::chrono::duration_cast<std::chrono::milliseconds>(waited).count());
      seen.back += parameters.version() < version;
      version = parameters.version();
      auto gradient = worker.NewGradient();
      gradient.Fill(-1);
      seen.applied += worker.Update(std::move(gradient)).applied;
    }
    return seen;
  }
};
RAY_REMOTE(Trainer::Create, &Trainer::Pid, &Trainer::Train);

struct Case {
  const char* name;
  ps::Policy policy;
};

class KilledTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr uint64_t kWorkers = 3;

  void SetUp() override {
    parameter_server_test::InitOnPrivateDaemons();
    for (uint64_t rank = 0; rank < kWorkers; ++rank) trainers_.push_back(ray::Actor(Trainer::Create).Remote());
    for (auto& trainer : trainers_) pids_.push_back(static_cast<pid_t>(*trainer.Task(&Trainer::Pid).Remote().Get()));
  }
  void TearDown() override {
    trainers_.clear();
    ray::Shutdown();
  }
  ps::Options Options() const {
    return {
        .shards = 2, .optimizer = ps::Sgd{.rate = 1}, .policy = GetParam().policy, .round_deadline = kRoundDeadline};
  }
  std::vector<ray::ObjectRef<Seen>> Train(const FloatServer& server, const std::vector<int>& rounds) {
    std::vector<ray::ObjectRef<Seen>> training;
    for (uint64_t rank = 0; rank < kWorkers; ++rank)
      training.push_back(trainers_[rank].Task(&Trainer::Train).Remote(server, rank, rounds[rank]));
    return training;
  }
  // The parameters once no gradient waits for the end of its round.
  static ps::Snapshot<float> Last(const FloatServer& server) {
    for (uint64_t rank = 0; rank < kWorkers; ++rank) server.Worker(rank).Get();
    return server.Get();
  }
  static bool Reaches(const FloatServer& server, uint64_t version) {
    return Eventually(60s, [&] { return server.Stats()[1].version >= version; });
  }

  static constexpr std::chrono::milliseconds kRoundDeadline{500};
  std::string Path() const { return folder_.File("model"); }
  std::vector<ray::ActorHandle<Trainer>> trainers_;
  std::vector<pid_t> pids_;

 private:
  raylet::test::RunFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Policies, KilledTest,
                         testing::Values(Case{"Async", ps::Async{}}, Case{"Scaled", ps::ScaledByStaleness{}},
                                         Case{"Stale", ps::Stale{.workers = 3, .staleness = 2}},
                                         Case{"Synchronous", ps::Synchronous{.workers = 3}},
                                         Case{"FirstOf", ps::FirstOf{.workers = 2, .backups = 1}}),
                         [](const auto& of) { return of.param.name; });

TEST_P(KilledTest, OthersGoOnWithoutAKilledWorker) {
  const auto server = FloatServer::Create(200, Options());
  auto training = Train(server, {400, 400, 1'000'000});
  ASSERT_TRUE(Reaches(server, 20));
  ASSERT_EQ(::kill(pids_[2], SIGKILL), 0);
  uint64_t applied = 0;
  for (const uint64_t rank : {0, 1}) {
    const auto seen = training[rank].Get(60'000);
    applied += seen->applied;
    EXPECT_EQ(seen->back, 0U);
    EXPECT_LT(seen->longest_get_ms, 10'000);
  }
  EXPECT_THROW(training[2].Get(60'000), ray::internal::RayActorException);
  // Each shard has all gradients that the living workers say are in it, and those of the dead one.
  const auto last = Last(server);
  for (const ps::ShardStats& shard : server.Stats()) {
    EXPECT_GE(shard.applied, applied);
    EXPECT_LT(shard.rounds_cut, 50U) << "others waited for it again and again";
  }
  const auto stats = server.Stats();
  if (std::holds_alternative<ps::ScaledByStaleness>(GetParam().policy)) return;  // its sums are no counts
  EXPECT_EQ(last.spans()[0].back(), static_cast<float>(stats[0].applied));
  EXPECT_EQ(last.spans()[1].back(), static_cast<float>(stats[1].applied));
}

TEST_P(KilledTest, OthersGoOnWhileAKilledShardComesBack) {
  ps::Options options = Options();
  options.checkpoint = {.path = Path(), .every = 1};
  const auto server = FloatServer::Create(200, options);
  auto training = Train(server, {150, 150, 150});
  ASSERT_TRUE(Reaches(server, 20));
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[1].pid), SIGKILL), 0);
  for (auto& one : training) {
    const auto seen = one.Get(60'000);
    EXPECT_GT(seen->applied, 0U);
    EXPECT_EQ(seen->back, 0U) << "a reader saw an older version after a newer one";
  }
  const auto last = Last(server);
  const auto stats = server.Stats();
  EXPECT_EQ(stats[0].restarts, 0U);
  EXPECT_EQ(stats[1].restarts, 1U);
  if (std::holds_alternative<ps::ScaledByStaleness>(GetParam().policy)) return;  // its sums are no counts
  EXPECT_EQ(last.spans()[0].front(), static_cast<float>(stats[0].applied));
}

}  // namespace killed_test
