// A parameter server over three machines: the driver on A, one shard and one worker each on B and C. Processes are
// killed on both, and gradients travel compressed.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include <ray/parameter_server.h>

#include "tests/cluster/two_machines.h"

namespace cluster_servers_test {

using raylet::test::Eventually;
using raylet::test::Machine;
using namespace std::chrono_literals;
namespace ps = ray::ps;
using FloatServer = ps::Parameters<float>;

struct Trainer {
  static Trainer* Create() { return new Trainer(); }
  int64_t Pid() const { return ::getpid(); }
  // Returns how many gradients counted.
  uint64_t Train(const FloatServer& server, uint64_t rank, int rounds) const {
    auto worker = server.Worker(rank);
    uint64_t applied = 0;
    for (int round = 0; round < rounds; ++round) {
      worker.Get();
      auto gradient = worker.NewGradient();
      gradient.Fill(-1);
      applied += worker.Update(std::move(gradient)).applied;
    }
    return applied;
  }
};
RAY_REMOTE(Trainer::Create, &Trainer::Pid, &Trainer::Train);

class ClusterServers : public raylet::test::TwoMachines {
 protected:
  static auto TrainerAt(const std::string& resource) {
    return ray::Actor(Trainer::Create).SetResource(resource, 1).Remote();
  }
  ps::Options OnBothMachines() const {
    return {.shards = 2,
            .optimizer = ps::Sgd{.rate = 1},
            .placement = {{{"there", 1}}, {{"yonder", 1}}},
            .checkpoint = {.path = folder_.File("model"), .every = 1},
            .round_deadline = 500ms};
  }

  Machine c_{token_, {"--num-cpus", "2", "--resources", R"({"yonder": 2})", "--peers", a_.address + "," + b_.address}};
};

TEST_F(ClusterServers, RoundsGoOnAfterAWorkerAndAShardOnOtherMachinesAreKilled) {
  ps::Options options = OnBothMachines();
  options.policy = ps::Synchronous{.workers = 2};
  const auto server = FloatServer::Create(1000, options);
  auto here = TrainerAt("there");
  auto victim = TrainerAt("yonder");
  const auto victim_pid = static_cast<pid_t>(*victim.Task(&Trainer::Pid).Remote().Get(30'000));
  auto training = here.Task(&Trainer::Train).Remote(server, uint64_t{0}, 150);
  auto killed = victim.Task(&Trainer::Train).Remote(server, uint64_t{1}, 1'000'000);
  ASSERT_TRUE(Eventually(60s, [&] { return server.Stats()[0].version >= 10; }));
  ASSERT_EQ(::kill(victim_pid, SIGKILL), 0);
  EXPECT_THROW(killed.Get(60'000), ray::internal::RayActorException);
  ASSERT_EQ(::kill(static_cast<pid_t>(server.Stats()[1].pid), SIGKILL), 0);
  EXPECT_GT(*training.Get(60'000), 100U);
  const auto stats = server.Stats();
  EXPECT_EQ(stats[0].restarts, 0U);
  EXPECT_EQ(stats[1].restarts, 1U);
  EXPECT_LT(stats[0].rounds_cut, 20U) << "others waited for the dead worker again and again";
  const auto last = server.Worker(0).Get();
  EXPECT_EQ(last.versions()[0], last.versions()[1]);
}

TEST_F(ClusterServers, GradientsAreCompressedOnTheirWayToAnotherMachineAlone) {
  ps::Options options = OnBothMachines();
  options.compression = ps::Compression::Half();
  const auto server = FloatServer::Create(1000, options);
  auto trainer = TrainerAt("there");
  EXPECT_EQ(*trainer.Task(&Trainer::Train).Remote(server, uint64_t{0}, 10).Get(60'000), 10U);
  EXPECT_EQ(server.Get().Copy(), std::vector<float>(1000, 10));
  const auto stats = server.Stats();
  EXPECT_EQ(stats[0].packed, 0U);
  EXPECT_EQ(stats[1].packed, 10U);
}

}  // namespace cluster_servers_test
