// Placement groups on one machine: states, names, tasks and actors in bundles, leases, removal, and the end of a
// driver.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {

// Creates a group in a worker, and returns its id.
std::string CreateGroupInATask(const std::string& name) {
  return ray::CreatePlacementGroup({name, {{{"CPU", 1}}}, ray::PlacementStrategy::PACK}).GetID();
}
RAY_REMOTE(CreateGroupInATask);

namespace {

using ray::PlacementGroup;
using ray::PlacementGroupState;
using ray::PlacementStrategy;
using ray::internal::RayException;
using raylet::test::Eventually;
using namespace std::chrono_literals;

class ClusterGroupsTest : public DaemonsTest {
 protected:
  void SetUp() override { Start("2"); }

  static PlacementGroup Create(const std::string& name, std::vector<double> cpus,
                               PlacementStrategy strategy = PlacementStrategy::PACK) {
    ray::PlacementGroupCreationOptions options{name, {}, strategy};
    for (const double each : cpus) options.bundles.push_back({{"CPU", each}});
    return ray::CreatePlacementGroup(options);
  }
  static PlacementGroupState StateOf(const PlacementGroup& group) {
    return ray::GetPlacementGroupById(group.GetID()).GetState();
  }
  double FreeCpus() { return Status().at("resources").at("CPU").at("free"); }
  bool AllCpusAreFree() {
    return Eventually(30s, [this] { return FreeCpus() == 2; });
  }
};

// The error of a call; empty where it does not fail.
template <class Ref>
std::string WhatFails(const Ref& ref) {
  try {
    ref.Get(30'000);
    return "";
  } catch (const RayException& e) {
    return e.what();
  }
}

TEST_F(ClusterGroupsTest, AGroupIsCreatedFoundAndRemovedAsRaysIs) {
  const PlacementGroup first = Create("first", {1});
  EXPECT_TRUE(first.Wait(30));
  EXPECT_THROW(Create("first", {1}), RayException);
  EXPECT_EQ(ray::GetAllPlacementGroups().size(), 1u);
  EXPECT_EQ(ray::GetPlacementGroupById(first.GetID()).GetID(), first.GetID());
  const PlacementGroup found = ray::GetPlacementGroup("first");
  EXPECT_EQ(found.GetID(), first.GetID());
  EXPECT_EQ(found.GetName(), "first");
  EXPECT_EQ(found.GetState(), PlacementGroupState::CREATED);
  EXPECT_EQ(found.GetStrategy(), PlacementStrategy::PACK);
  EXPECT_EQ(found.GetBundles(), first.GetBundles());
  ray::RemovePlacementGroup(first.GetID());
  EXPECT_EQ(StateOf(first), PlacementGroupState::REMOVED);
  EXPECT_TRUE(ray::GetPlacementGroup("first").GetID().empty());
  EXPECT_TRUE(ray::GetPlacementGroup("nobody").Empty());
  EXPECT_TRUE(ray::GetPlacementGroupById(std::string(20, 'x')).Empty());
  ray::RemovePlacementGroup(first.GetID());
  EXPECT_THROW(first.Wait(1), RayException);
  EXPECT_TRUE(Create("first", {1}).Wait(30));
}

TEST_F(ClusterGroupsTest, ANonsensicalGroupIsRefusedByName) {
  EXPECT_THROW(Create("", {}), RayException);
  EXPECT_THROW(Create("", {0}), RayException);
  EXPECT_THROW(Create("", {1.5}), RayException);
  EXPECT_THROW(Create("", {1}, PlacementStrategy::UNRECOGNIZED), RayException);
  EXPECT_THROW(ray::RemovePlacementGroup("short"), RayException);
  EXPECT_THROW(PlacementGroup().Wait(0), RayException);
  const auto group = Create("", {1});
  EXPECT_THROW(ray::Task(Add).SetPlacementGroup(group, 1), RayException);
  EXPECT_THROW(ray::Task(Add).SetPlacementGroup(group, -2), RayException);
  // A resource of a group cannot be had without the group.
  const std::string stolen = "CPU_group_0_" + std::string(40, 'a');
  EXPECT_NE(WhatFails(ray::Task(Add).SetResource(stolen, 1).Remote(1, 2)).find("SetPlacementGroup"), std::string::npos);
}

TEST_F(ClusterGroupsTest, AGroupThatIsTooLargeStaysPendingAndTheStatusSaysWhy) {
  const auto group = Create("giant", {10'000});
  EXPECT_FALSE(group.Wait(1));
  EXPECT_EQ(StateOf(group), PlacementGroupState::PENDING);
  const auto groups = Status().at("placement_groups");
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].at("state"), "Pending");
  EXPECT_NE(groups[0].at("reason").get<std::string>().find("no machines have"), std::string::npos);
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_EQ(StateOf(group), PlacementGroupState::REMOVED);
}

TEST_F(ClusterGroupsTest, StrictSpreadStaysPendingOnOneMachine) {
  const auto group = Create("", {1, 1}, PlacementStrategy::STRICT_SPREAD);
  EXPECT_FALSE(group.Wait(0));
  EXPECT_FALSE(group.Wait(1));
  EXPECT_EQ(FreeCpus(), 2);
}

TEST_F(ClusterGroupsTest, AGroupReservesItsBundlesAllOrNothing) {
  const auto first = Create("", {1});
  ASSERT_TRUE(first.Wait(30));
  EXPECT_EQ(FreeCpus(), 1);
  const auto second = Create("", {1, 1});
  EXPECT_FALSE(second.Wait(1));
  EXPECT_EQ(FreeCpus(), 1);  // not half of it
  ray::RemovePlacementGroup(first.GetID());
  EXPECT_TRUE(second.Wait(30));
  EXPECT_EQ(FreeCpus(), 0);
  ray::RemovePlacementGroup(second.GetID());
  EXPECT_TRUE(AllCpusAreFree());
}

TEST_F(ClusterGroupsTest, TasksRunInTheirBundleAloneAndOthersBesideIt) {
  const auto group = Create("", {1, 1});
  ASSERT_TRUE(group.Wait(30));
  EXPECT_EQ(*ray::Task(Add).SetPlacementGroup(group, 0).Remote(1, 2).Get(30'000), 3);
  EXPECT_EQ(*ray::Task(Add).SetPlacementGroup(group, -1).Remote(1, 2).Get(30'000), 3);
  EXPECT_EQ(*ray::Task(Add).SetResource("CPU", 1).SetPlacementGroup(group, 1).Remote(2, 2).Get(30'000), 4);
  // The group has all CPUs, so a task outside waits.
  const auto outside = ray::Task(Add).Remote(3, 4);
  // Two tasks of one bundle run one after the other.
  const auto a = ray::Task(Occupy).SetPlacementGroup(group, 0).Remote(200);
  const auto b = ray::Task(Occupy).SetPlacementGroup(group, 0).Remote(200);
  const auto first = *a.Get(30'000), second = *b.Get(30'000);
  EXPECT_TRUE(first[1] <= second[0] || second[1] <= first[0]);
  // Those of two bundles run beside each other.
  const raylet::test::RunFolder folder;
  std::vector<ray::ObjectRef<int>> beside;
  for (const int bundle : {0, 1})
    beside.push_back(ray::Task(PidOnceThereAre).SetPlacementGroup(group, bundle).Remote(folder.path(), 2));
  for (const auto& pid : beside) EXPECT_NE(*pid.Get(90'000), 0) << "it was alone";
  // Too much for the bundle, though not for the machine.
  const auto too_much = ray::Task(Add).SetResource("CPU", 2).SetPlacementGroup(group, 0).Remote(1, 2);
  std::vector<ray::ObjectRef<int>> waits{too_much, outside};
  EXPECT_EQ(ray::Wait(waits, 1, 300).ready.size(), 0u);
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_NE(WhatFails(too_much).find("was removed"), std::string::npos);
  EXPECT_EQ(*outside.Get(30'000), 7);
}

TEST_F(ClusterGroupsTest, TasksMayComeBeforeTheGroupIsCreated) {
  const auto first = Create("", {2});
  ASSERT_TRUE(first.Wait(30));
  const auto second = Create("", {1});
  const auto sum = ray::Task(Add).SetPlacementGroup(second, 0).Remote(1, 2);
  std::vector<ray::ObjectRef<int>> sums{sum};
  EXPECT_EQ(ray::Wait(sums, 1, 200).ready.size(), 0u);
  ray::RemovePlacementGroup(first.GetID());
  EXPECT_EQ(*sum.Get(30'000), 3);
}

TEST_F(ClusterGroupsTest, ActorsLiveInTheirBundleAndEndWithTheGroup) {
  const auto group = Create("", {1, 1});
  ASSERT_TRUE(group.Wait(30));
  auto counter =
      ray::Actor(Counter::Create).SetResources({{"CPU", 1.0}}).SetPlacementGroup(group, 0).SetMaxRestarts(-1).Remote(5);
  auto idle = ray::Actor(Counter::Create).SetPlacementGroup(group, 1).Remote(6);  // asks for nothing
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(30'000), 6);
  EXPECT_EQ(*idle.Task(&Counter::Increment).Remote(1).Get(30'000), 7);
  auto too_large = ray::Actor(Counter::Create).SetResource("CPU", 2).SetPlacementGroup(group, 0).Remote(7);
  const auto value = too_large.Task(&Counter::Value).Remote();
  std::vector<ray::ObjectRef<int>> values{value};
  EXPECT_EQ(ray::Wait(values, 1, 300).ready.size(), 0u);
  // A restart comes back into the bundle.
  counter.Kill(false);
  EXPECT_TRUE(Eventually(30s, [&] {
    try {
      return *counter.Task(&Counter::Value).Remote().Get(30'000) == 5;
    } catch (const RayException&) {
      return false;
    }
  }));
  const int pid = *counter.Task(&Counter::Pid).Remote().Get(30'000);
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_TRUE(Eventually(30s, [pid] { return ::kill(pid, 0) != 0; }));
  for (auto* actor : {&counter, &idle, &too_large})
    EXPECT_NE(WhatFails(actor->Task(&Counter::Value).Remote()).find("was removed"), std::string::npos);
  EXPECT_TRUE(AllCpusAreFree());
}

TEST_F(ClusterGroupsTest, RemovalEndsRunningTasksWithoutARetry) {
  const auto group = Create("", {1});
  ASSERT_TRUE(group.Wait(30));
  const auto running = ray::Task(SleepMs).SetPlacementGroup(group, 0).SetMaxRetries(5).Remote(600'000);
  ASSERT_TRUE(Eventually(20s, [this] { return Status().at("workers").dump().find("SleepMs") != std::string::npos; }));
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_NE(WhatFails(running).find("was removed"), std::string::npos);
  EXPECT_TRUE(AllCpusAreFree());
  // A task that comes too late.
  EXPECT_NE(WhatFails(ray::Task(Add).SetPlacementGroup(group, 0).Remote(1, 2)).find("is no more"), std::string::npos);
}

TEST_F(ClusterGroupsTest, ABlockedTaskGivesTheCpuOfItsBundleToItsChild) {
  const auto group = Create("", {1});
  ASSERT_TRUE(group.Wait(30));
  auto counter = ray::Actor(Counter::Create).SetResource("CPU", 1).SetPlacementGroup(group, 0).Remote(1);
  EXPECT_EQ(*counter.Task(&Counter::AddInATask).Remote(1).Get(30'000), 2);  // its task runs outside
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_TRUE(AllCpusAreFree());
}

TEST_F(ClusterGroupsTest, ShortTasksInABundleTakeALeaseOfItAndNoMore) {
  const auto group = Create("", {1});
  ASSERT_TRUE(group.Wait(30));
  const auto leased = [this] { return Status().at("workers").dump().find("leased_to") != std::string::npos; };
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop) EXPECT_EQ(*ray::Task(Add).SetPlacementGroup(group, 0).Remote(1, 2).Get(30'000), 3);
  });
  EXPECT_TRUE(Eventually(20s, leased));
  EXPECT_EQ(FreeCpus(), 1);  // that of the lease is the bundle's
  stop = true;
  caller.join();
  // One more group takes what the idle lease does not have.
  const auto other = Create("", {1});
  EXPECT_TRUE(other.Wait(30));
  ray::RemovePlacementGroup(group.GetID());
  ray::RemovePlacementGroup(other.GetID());
  EXPECT_TRUE(AllCpusAreFree());
}

TEST_F(ClusterGroupsTest, AGroupEndsTheLeasesThatHoldWhatItNeeds) {
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop) EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(60'000), 3);
  });
  ASSERT_TRUE(Eventually(20s, [this] { return Status().at("workers").dump().find("leased_to") != std::string::npos; }));
  const auto group = Create("", {2});
  EXPECT_TRUE(group.Wait(30));
  ray::RemovePlacementGroup(group.GetID());
  stop = true;
  caller.join();
}

TEST_F(ClusterGroupsTest, AGroupThatATaskHasCreatedOutlivesItsWorker) {
  const std::string id = *ray::Task(CreateGroupInATask).Remote("made in a task").Get(30'000);
  EXPECT_TRUE(ray::GetPlacementGroupById(id).Wait(30));
  const auto workers = Status().at("workers");
  for (const auto& worker : workers) ::kill(worker.at("pid").get<int>(), SIGKILL);
  EXPECT_EQ(*ray::Task(Add).SetPlacementGroup(ray::GetPlacementGroup("made in a task"), 0).Remote(1, 2).Get(30'000), 3);
  ray::RemovePlacementGroup(id);
  EXPECT_TRUE(AllCpusAreFree());
}

TEST_F(ClusterGroupsTest, ADriversGroupsEndWithIt) {
  const auto group = Create("mine", {1, 1});
  ASSERT_TRUE(group.Wait(30));
  EXPECT_EQ(FreeCpus(), 0);
  ray::Shutdown();
  EXPECT_TRUE(AllCpusAreFree());
  EXPECT_TRUE(Eventually(30s, [this] { return Status().at("placement_groups").empty(); })) << Status().dump(1);
}

TEST_F(ClusterGroupsTest, ThousandsOfGroupsComeAndGo) {
  for (int i = 0; i < 2'000; ++i) {
    const auto group = Create("", {1});
    ray::RemovePlacementGroup(group.GetID());
  }
  const auto last = Create("", {1, 1});
  EXPECT_TRUE(last.Wait(30));
  ray::RemovePlacementGroup(last.GetID());
  EXPECT_TRUE(AllCpusAreFree());
}

}  // namespace
}  // namespace cluster_test
