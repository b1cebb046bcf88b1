// CPUs and custom resources of a real raylet: tasks take them, and blocked tasks give their CPU back.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/harness/daemon_process.h"

namespace cluster_test {
namespace {

class ClusterResourcesTest : public ::testing::Test {
 protected:
  static void Start(const std::string& cpus) {
    ray::RayConfig config;
    config.head_args = {"--num-cpus", cpus, "--resources", R"({"disk": 1})", "--object-store-memory", "64M"};
    ray::Init(config);
  }
  void TearDown() override {
    EXPECT_EQ(*ray::Task(Add).Remote(2, 3).Get(), 5) << "a CPU was not given back";
    ray::Shutdown();
  }
  template <class T>
  static bool Ready(const ray::ObjectRef<T>& ref, int timeout_ms) {
    return !ray::Wait(std::vector{ref}, 1, timeout_ms).ready.empty();
  }
};

TEST_F(ClusterResourcesTest, NestedGetsGoDeeperThanTheOneCpu) {
  Start("1");
  EXPECT_EQ(*ray::Task(NestedSum).Remote(4).Get(), 5);
}

TEST_F(ClusterResourcesTest, AWaitGivesTheOnlyCpuToTheTaskThatItWaitsFor) {
  Start("1");
  EXPECT_EQ(*ray::Task(WaitForATask).Remote(20).Get(), 1);
}

TEST_F(ClusterResourcesTest, ATaskThatWaitsForAnActorGivesTheOnlyCpuToOthers) {
  Start("1");
  auto counter = ray::Actor(Counter::Create).Remote(1);
  auto signal = ray::Actor(Counter::Create).Remote(0);
  auto blocked = ray::Task(SleepThrough).Remote(counter, signal, 60'000);
  EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(30),
                                       [&] { return *signal.Task(&Counter::Value).Remote().Get() == 1; }));
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
  EXPECT_FALSE(Ready(blocked, 0));
  counter.Kill();
  EXPECT_THROW(blocked.Get(), ray::internal::RayException);
}

TEST_F(ClusterResourcesTest, AnActorThatHoldsTheOnlyCpuGivesItToItsOwnTasks) {
  Start("1");
  auto counter = ray::Actor(Counter::Create).SetResource("CPU", 1).Remote(1);
  EXPECT_EQ(*counter.Task(&Counter::AddInATask).Remote(4).Get(), 5);
  counter.Kill();
}

TEST_F(ClusterResourcesTest, ACustomResourceIsGivenToOneAtATime) {
  Start("4");
  std::vector<ray::ObjectRef<std::vector<int64_t>>> times;
  for (int i = 0; i < 4; ++i) times.push_back(ray::Task(Occupy).SetResource("disk", 1).Remote(40));
  std::vector<std::vector<int64_t>> ran;
  for (const auto& time : times) ran.push_back(*time.Get());
  std::ranges::sort(ran);
  for (size_t i = 1; i < ran.size(); ++i) EXPECT_GE(ran[i][0], ran[i - 1][1]) << "two had the disk at once";
}

TEST_F(ClusterResourcesTest, HalvesOfACustomResourceAreGivenToTwoAtATime) {
  Start("4");
  // Each of two tasks ends once the other one runs, too; the third waits for one of them.
  auto signal = ray::Actor(Counter::Create).Remote(0);
  std::vector<ray::ObjectRef<bool>> met;
  for (int i = 0; i < 2; ++i) met.push_back(ray::Task(MeetAnother).SetResource("disk", 0.5).Remote(signal, 2));
  for (const auto& each : met) EXPECT_TRUE(*each.Get());
  EXPECT_TRUE(*ray::Task(MeetAnother).SetResource("disk", 0.5).Remote(signal, 3).Get());
}

TEST_F(ClusterResourcesTest, AnActorKeepsItsCustomResourceUntilItEnds) {
  Start("2");
  auto counter = ray::Actor(Counter::Create).SetResource("disk", 1).Remote(1);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 1);
  auto waits = ray::Task(Add).SetResource("disk", 0.5).Remote(1, 2);
  EXPECT_FALSE(Ready(waits, 50));
  counter.Kill();
  EXPECT_EQ(*waits.Get(), 3);
}

TEST_F(ClusterResourcesTest, MemoryAndTheNodesNameAreAskedForAsOthersAre) {
  Start("1");
  const double memory = ray::ClusterResources()["memory"];
  ASSERT_GT(memory, 1e6);
  const double half = std::floor(memory / 2) + 1;
  auto holder = ray::Actor(Counter::Create).SetResource("memory", half).Remote(1);
  EXPECT_EQ(*holder.Task(&Counter::Value).Remote().Get(), 1);
  EXPECT_EQ(ray::AvailableResources()["memory"], memory - half);
  EXPECT_EQ(*ray::Task(Add).SetResource("node:127.0.0.1", 0.001).Remote(1, 2).Get(), 3);
  std::vector<ray::ObjectRef<int>> waiting = {ray::Task(Add).SetResource("memory", half).Remote(1, 2)};
  EXPECT_TRUE(ray::Wait(waiting, 1, 200).ready.empty()) << "two have more than all of the memory";
  holder.Kill();
  EXPECT_EQ(*waiting[0].Get(), 3);
}

TEST_F(ClusterResourcesTest, InfeasibleTaskStaysPendingAndHoldsUpNobody) {
  Start("2");
  const auto too_much = ray::Task(Add).SetResource("disk", 2).Remote(1, 2);
  const auto unknown = ray::Task(Add).SetResource("tape", 1).Remote(1, 2);
  EXPECT_EQ(*ray::Task(Add).SetResource("disk", 1).Remote(3, 4).Get(), 7);
  EXPECT_FALSE(Ready(too_much, 20));
  EXPECT_FALSE(Ready(unknown, 0));
}

// Short tasks are sent ahead to busy workers. Tasks that can never run must not go with them.
TEST_F(ClusterResourcesTest, TasksThatAskForAMissingResourceNeverRunAmongOthers) {
  Start("2");
  std::vector<ray::ObjectRef<int>> ordinary, never;
  for (int i = 0; i < 4'000; ++i) {
    ordinary.push_back(ray::Task(Add).Remote(i, 1));
    if (i % 20 == 0) never.push_back(ray::Task(Add).SetResource("none", 1).Remote(i, 1));
  }
  EXPECT_EQ(ray::Wait(ordinary, static_cast<int>(ordinary.size()), 30'000).ready.size(), ordinary.size());
  EXPECT_TRUE(ray::Wait(never, 1, 0).ready.empty());
}

}  // namespace
}  // namespace cluster_test
