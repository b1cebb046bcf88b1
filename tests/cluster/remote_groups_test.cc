// Placement groups over several machines. The driver belongs to machine A, so A is the home of its groups.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/machines.h"

namespace cluster_test {

// On the machine with that resource: creates a group, and runs a task in each of its bundles.
std::string CreateGroupThere(const std::string& name, int bundles) {
  ray::PlacementGroupCreationOptions options{name, {}, ray::PlacementStrategy::STRICT_SPREAD};
  for (int i = 0; i < bundles; ++i) options.bundles.push_back({{"CPU", 1}});
  const auto group = ray::CreatePlacementGroup(options);
  if (!group.Wait(60)) return "";
  return group.GetID();
}
int RayletInBundle(const std::string& group_id, int bundle) {
  const auto group = ray::GetPlacementGroupById(group_id);
  return *ray::Task(ParentPid).SetPlacementGroup(group, bundle).Remote().Get(30'000);
}
// Keeps workers of its machine leased until the file is there: tasks that take no time, one after the other.
struct Pump {
  static Pump* Create() { return new Pump(); }
  int RunUntil(const std::string& path) {
    int rounds = 0;
    while (!std::ifstream(path)) {
      std::vector<ray::ObjectRef<int>> sums;
      for (int i = 0; i < 200; ++i) sums.push_back(ray::Task(Add).Remote(i, rounds));
      for (const auto& sum : sums) sum.Get(30'000);
      ++rounds;
    }
    return rounds;
  }
};

// Creates groups of that name and a number, one at each of these times of the monotonic clock, as another program does
// at the same times. Says for each whether it got its name.
constexpr auto kTwinStep = std::chrono::milliseconds(10);
std::vector<int> CreateTwins(const std::string& name, int64_t first_ns, int count) {
  std::vector<int> created;
  for (int i = 0; i < count; ++i) {
    const auto when = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(first_ns)) + i * kTwinStep;
    while (std::chrono::steady_clock::now() < when) std::this_thread::yield();
    try {
      const auto group =
          ray::CreatePlacementGroup({name + std::to_string(i), {{{"CPU", 0.01}}}, ray::PlacementStrategy::PACK});
      created.push_back(1);
    } catch (const ray::internal::RayException&) {
      created.push_back(0);
    }
  }
  return created;
}
struct Twin {
  static Twin* Create() { return new Twin(); }
  std::vector<int> CreateAll(const std::string& name, int64_t first_ns, int count) {
    return CreateTwins(name, first_ns, count);
  }
};
RAY_REMOTE(CreateGroupThere, RayletInBundle, Pump::Create, &Pump::RunUntil, Twin::Create, &Twin::CreateAll);

namespace {

using ray::PlacementGroup;
using ray::PlacementGroupState;
using ray::PlacementStrategy;
using ray::internal::RayException;
using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::ParentOf;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

class RemoteGroupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ray::RayConfig config;
    config.address = a_.socket();
    ray::Init(config);
    ASSERT_TRUE(Eventually(20s, [this] { return Known() == 2; }));
  }
  void TearDown() override { ray::Shutdown(); }

  std::unique_ptr<Machine> Another() {
    return std::make_unique<Machine>(
        token_, std::vector<std::string>{"--num-cpus", "2", "--peers", a_.address + "," + b_.address});
  }
  // Machines whose load A knows.
  static size_t Known() {
    const auto nodes = ray::Nodes();
    return static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), [](const ray::NodeInfo& node) {
      return node.alive && node.resources.contains("CPU");
    }));
  }
  static PlacementGroup Create(std::vector<double> cpus, PlacementStrategy strategy, const std::string& name = "") {
    ray::PlacementGroupCreationOptions options{name, {}, strategy};
    for (const double each : cpus) options.bundles.push_back({{"CPU", each}});
    return ray::CreatePlacementGroup(options);
  }
  // The raylet under which a task in this bundle runs.
  static int RayletOf(const PlacementGroup& group, int bundle) {
    return *ray::Task(ParentPid).SetPlacementGroup(group, bundle).Remote().Get(30'000);
  }
  static double FreeAt(const Machine& machine) { return machine.Status().at("resources").at("CPU").at("free"); }
  static bool AllIsFree(const std::vector<const Machine*>& machines) {
    return Eventually(20s, [&] {
      return std::all_of(machines.begin(), machines.end(),
                         [](const Machine* machine) { return FreeAt(*machine) == 2; });
    });
  }
  static PlacementGroupState StateOf(const PlacementGroup& group) {
    return ray::GetPlacementGroupById(group.GetID()).GetState();
  }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  Machine a_{token_, {"--num-cpus", "2"}};
  Machine b_{token_, {"--num-cpus", "2", "--peers", a_.address}};
};

TEST_F(RemoteGroupsTest, EachStrategyPutsTheBundlesWhereItSays) {
  const auto spread = Create({1, 1}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(spread.Wait(60));
  EXPECT_EQ((std::set<int>{RayletOf(spread, 0), RayletOf(spread, 1)}),
            (std::set<int>{a_.raylet->pid(), b_.raylet->pid()}));
  // One CPU is free on each machine.
  const auto strict = Create({1, 1}, PlacementStrategy::STRICT_PACK);
  EXPECT_FALSE(strict.Wait(1));
  const auto pack = Create({1, 1}, PlacementStrategy::PACK);
  ASSERT_TRUE(pack.Wait(60));
  EXPECT_NE(RayletOf(pack, 0), RayletOf(pack, 1));
  ray::RemovePlacementGroup(pack.GetID());
  ray::RemovePlacementGroup(spread.GetID());
  ASSERT_TRUE(strict.Wait(60));
  EXPECT_EQ(RayletOf(strict, 0), RayletOf(strict, 1));
  const auto rest = Create({1, 1}, PlacementStrategy::SPREAD);
  ASSERT_TRUE(rest.Wait(60));  // on the machine that is left
  EXPECT_EQ(RayletOf(rest, 0), RayletOf(rest, 1));
  EXPECT_NE(RayletOf(rest, 0), RayletOf(strict, 0));
  ray::RemovePlacementGroup(strict.GetID());
  ray::RemovePlacementGroup(rest.GetID());
  EXPECT_TRUE(AllIsFree({&a_, &b_}));
}

TEST_F(RemoteGroupsTest, ActorsLiveOnTheMachineOfTheirBundleAndEndWithTheGroup) {
  const auto group = Create({1, 1}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(group.Wait(60));
  std::vector<ray::ActorHandle<Counter>> counters;
  std::vector<int> pids;
  std::set<int> raylets;
  for (int i = 0; i < 2; ++i) {
    counters.push_back(
        ray::Actor(Counter::Create).SetResource("CPU", 1).SetPlacementGroup(group, i).SetMaxRestarts(-1).Remote(i));
    pids.push_back(*counters.back().Task(&Counter::Pid).Remote().Get(30'000));
    raylets.insert(ParentOf(pids.back()));
  }
  EXPECT_EQ(raylets, (std::set<int>{a_.raylet->pid(), b_.raylet->pid()}));
  ray::RemovePlacementGroup(group.GetID());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Eventually(20s, [&] { return ::kill(pids[static_cast<size_t>(i)], 0) != 0; }));
    EXPECT_THROW(counters[static_cast<size_t>(i)].Task(&Counter::Value).Remote().Get(30'000), RayException);
  }
  EXPECT_TRUE(AllIsFree({&a_, &b_}));
}

TEST_F(RemoteGroupsTest, ALostMachinesBundlesGoToAnotherAndTasksRunThere) {
  const auto group = Create({1, 1}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(group.Wait(60));
  const int lost = RayletOf(group, 0) == b_.raylet->pid() ? 0 : 1;
  auto counter =
      ray::Actor(Counter::Create).SetResource("CPU", 1).SetPlacementGroup(group, lost).SetMaxRestarts(-1).Remote(5);
  EXPECT_EQ(ParentOf(*counter.Task(&Counter::Pid).Remote().Get(30'000)), b_.raylet->pid());
  b_.raylet->Kill();
  EXPECT_TRUE(Eventually(30s, [&] { return StateOf(group) == PlacementGroupState::RESCHEDULING; }));
  const auto c = Another();
  ASSERT_TRUE(group.Wait(60));
  EXPECT_EQ(StateOf(group), PlacementGroupState::CREATED);
  EXPECT_TRUE(Eventually(30s, [&] {
    try {
      return ParentOf(*counter.Task(&Counter::Pid).Remote().Get(30'000)) == c->raylet->pid();
    } catch (const RayException&) {
      return false;
    }
  }));
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_TRUE(AllIsFree({&a_, c.get()}));
}

TEST_F(RemoteGroupsTest, AGroupOfAnotherHomeIsFoundAwaitedUsedAndRemoved) {
  const auto c = Another();
  ASSERT_TRUE(Eventually(20s, [] { return Known() == 3; }));
  // A group that a task on another machine has created.
  const auto pin = Create({1}, PlacementStrategy::PACK);
  ASSERT_TRUE(pin.Wait(60));
  const auto there = Create({1, 1, 1}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(there.Wait(60));
  int remote = 0;
  while (RayletOf(there, remote) == a_.raylet->pid()) ++remote;
  const std::string id =
      *ray::Task(CreateGroupThere).SetPlacementGroup(there, remote).Remote("of another home", 2).Get(60'000);
  ASSERT_FALSE(id.empty());
  const auto found = ray::GetPlacementGroupById(id);
  EXPECT_EQ(found.GetName(), "of another home");
  EXPECT_EQ(found.GetState(), PlacementGroupState::CREATED);
  EXPECT_EQ(ray::GetPlacementGroup("of another home").GetID(), id);
  EXPECT_EQ(ray::GetAllPlacementGroups().size(), 3u);
  EXPECT_THROW(Create({1}, PlacementStrategy::PACK, "of another home"), RayException);
  EXPECT_TRUE(found.Wait(60));
  EXPECT_NE(RayletOf(found, 0), RayletOf(found, 1));
  ray::RemovePlacementGroup(id);
  EXPECT_EQ(ray::GetPlacementGroupById(id).GetState(), PlacementGroupState::REMOVED);
  EXPECT_TRUE(Eventually(20s, [] { return ray::GetPlacementGroup("of another home").Empty(); }));
  EXPECT_THROW(RayletOf(found, 0), RayException);
}

TEST_F(RemoteGroupsTest, OfTwoGroupsThatGetOneNameAtOnceOneIsCreatedAndTheOtherIsRefused) {
  constexpr int kTwins = 30;
  const auto there = Create({1, 1}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(there.Wait(60));
  const int remote = RayletOf(there, 0) == a_.raylet->pid() ? 1 : 0;
  auto twin = ray::Actor(Twin::Create).SetPlacementGroup(there, remote).Remote();
  twin.Task(&Twin::CreateAll).Remote("", 0, 0).Get(30'000);
  const auto first = std::chrono::steady_clock::now() + 100ms;
  const int64_t first_ns = std::chrono::nanoseconds(first.time_since_epoch()).count();
  const auto theirs = twin.Task(&Twin::CreateAll).Remote("twin", first_ns, kTwins);
  const auto ours = CreateTwins("twin", first_ns, kTwins);
  const auto created = *theirs.Get(60'000);
  ASSERT_EQ(created.size(), ours.size());
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_NE(ours[i], created[i]) << i;
  // Whoever asks finds the one that is there.
  EXPECT_FALSE(ray::GetPlacementGroup("twin0").Empty());
}

TEST_F(RemoteGroupsTest, BundleMinusOneIsAnyBundleThatHasRoom) {
  const auto group = Create({1, 1}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(group.Wait(60));
  // Each bundle has room for one of them.
  const RunFolder folder;
  const auto pid_of_both = [&] {
    return ray::Task(PidOnceThereAre).SetPlacementGroup(group, -1).Remote(folder.path(), 2);
  };
  const auto one = pid_of_both(), other = pid_of_both();
  EXPECT_EQ((std::set<int>{ParentOf(*one.Get(90'000)), ParentOf(*other.Get(90'000))}),
            (std::set<int>{a_.raylet->pid(), b_.raylet->pid()}));
  const auto counter = ray::Actor(Counter::Create).SetResource("CPU", 1).SetPlacementGroup(group, -1).Remote(3);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(30'000), 3);
  EXPECT_THROW(ray::Task(ParentPid).SetPlacementGroup(group, -2), RayException);
}

TEST_F(RemoteGroupsTest, TheDriversEndGivesEveryMachineItsResourcesBack) {
  const auto group = Create({2, 2}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(group.Wait(60));
  EXPECT_EQ(FreeAt(b_), 0);
  ray::Shutdown();
  EXPECT_TRUE(AllIsFree({&a_, &b_}));
}

TEST_F(RemoteGroupsTest, AHomeThatIsKilledLeavesNothingReservedElsewhere) {
  const auto c = Another();
  ASSERT_TRUE(Eventually(20s, [] { return Known() == 3; }));
  const auto group = Create({2, 2, 2}, PlacementStrategy::STRICT_SPREAD);
  ASSERT_TRUE(group.Wait(60));
  EXPECT_EQ(FreeAt(b_) + FreeAt(*c), 0);
  a_.raylet->Kill();
  EXPECT_TRUE(AllIsFree({&b_, c.get()}));
}

TEST_F(RemoteGroupsTest, AMachineThatStopsDuringAnAttemptHoldsUpNobody) {
  // It looks free, and does not answer.
  b_.raylet->Signal(SIGSTOP);
  const auto group = Create({1, 1}, PlacementStrategy::STRICT_SPREAD);
  EXPECT_FALSE(group.Wait(1));
  EXPECT_TRUE(Eventually(30s, [this] { return FreeAt(a_) == 1; })) << "prepared";
  const auto c = Another();
  ASSERT_TRUE(group.Wait(40));  // once the stopped machine counts as dead
  EXPECT_EQ((std::set<int>{RayletOf(group, 0), RayletOf(group, 1)}),
            (std::set<int>{a_.raylet->pid(), c->raylet->pid()}));
  b_.raylet->Signal(SIGCONT);
}

TEST_F(RemoteGroupsTest, LeasesOfAnotherMachineEndForAGroupThatWaits) {
  const Machine c(token_, {"--num-cpus", "1", "--resources", R"({"there": 2})", "--peers", a_.address});
  ASSERT_TRUE(Eventually(20s, [] { return Known() == 3; }));
  auto pump = ray::Actor(Pump::Create).SetResource("there", 1).Remote();
  const std::string stop = folder_.File("stop");
  const auto rounds = pump.Task(&Pump::RunUntil).Remote(stop);
  ASSERT_TRUE(Eventually(20s, [&] { return c.Status().at("workers").dump().find("leased_to") != std::string::npos; }));
  const auto group = ray::CreatePlacementGroup({"", {{{"CPU", 1}, {"there", 1}}}, PlacementStrategy::PACK});
  EXPECT_TRUE(group.Wait(60));
  EXPECT_EQ(RayletOf(group, 0), c.raylet->pid());
  ray::RemovePlacementGroup(group.GetID());
  std::ofstream(stop).put('x');
  EXPECT_GT(*rounds.Get(30'000), 0);
}

}  // namespace
}  // namespace cluster_test
