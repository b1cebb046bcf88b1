// The GPUs of workers: CUDA_VISIBLE_DEVICES in tasks, leased workers, actors and bundles of a real raylet.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/client/ray/cluster/gpu_user.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

class ClusterGpusTest : public DaemonsTest {
 protected:
  void StartWithGpus(const std::string& gpus) { Start("4", {}, {"--num-gpus", gpus}); }
  void TearDown() override {
    DaemonsTest::TearDown();
    ::unsetenv("CUDA_VISIBLE_DEVICES");
  }

  // Runs one task for each amount of GPUs side by side. Returns what each has.
  static Words SideBySide(const std::vector<double>& amounts) {
    auto signal = ray::Actor(Counter::Create).Remote(0);
    std::vector<ray::ObjectRef<std::string>> refs;
    for (const double amount : amounts)
      refs.push_back(ray::Task(GpusBeside)
                         .SetResource("GPU", amount)
                         .SetResource("CPU", 0.5)
                         .Remote(signal, static_cast<int>(amounts.size())));
    Words gpus;
    for (const auto& ref : refs) gpus.push_back(*ref.Get());
    return gpus;
  }
  static std::string WithGpus(double amount) { return *ray::Task(Gpus).SetResource("GPU", amount).Remote().Get(); }
  static bool IsOneOfTwo(const std::string& gpus) { return gpus == "0" || gpus == "1"; }
  // The GPUs of leased workers, by their pids.
  std::map<int, std::string> Leased() {
    std::map<int, std::string> leased;
    const nlohmann::json status = Status();
    for (const auto& worker : status.at("workers"))
      if (worker.contains("leased_to")) leased[worker.at("pid").get<int>()] = worker.value("gpus", "");
    return leased;
  }
};

TEST_F(ClusterGpusTest, TwoTasksSideBySideHaveOneGpuEach) {
  StartWithGpus("2");
  for (int round = 0; round < 5; ++round) {
    Words gpus = SideBySide({1, 1});
    std::ranges::sort(gpus);
    EXPECT_EQ(gpus, (Words{"0", "1"}));
  }
}

TEST_F(ClusterGpusTest, ATaskHasAllGpusThatItAsksForAndNoneWithoutAsking) {
  StartWithGpus("2");
  EXPECT_EQ(WithGpus(2), "0,1");
  EXPECT_EQ(*ray::Task(Gpus).Remote().Get(), "");
  EXPECT_TRUE(IsOneOfTwo(WithGpus(1)));
  EXPECT_EQ(WithGpus(2), "0,1");
}

// Many short tasks: some are sent ahead to busy workers, and some go to leased ones.
TEST_F(ClusterGpusTest, EachOfManyShortTasksHasTheGpusOfItsShape) {
  StartWithGpus("2");
  std::vector<ray::ObjectRef<std::string>> both, none, one;
  for (int i = 0; i < 600; ++i) {
    both.push_back(ray::Task(Gpus).SetResource("GPU", 2).Remote());
    none.push_back(ray::Task(Gpus).Remote());
    one.push_back(ray::Task(Gpus).SetResource("GPU", 1).Remote());
  }
  for (const auto& each : both) ASSERT_EQ(*each.Get(), "0,1");
  for (const auto& each : none) ASSERT_EQ(*each.Get(), "");
  for (const auto& each : one) ASSERT_TRUE(IsOneOfTwo(*each.Get()));
}

TEST_F(ClusterGpusTest, HalvesShareAGpuAndAWholeOneGoesToTheOther) {
  StartWithGpus("2");
  for (int round = 0; round < 5; ++round) {
    const Words gpus = SideBySide({0.5, 1, 0.5});
    EXPECT_TRUE(IsOneOfTwo(gpus[0])) << gpus[0];
    EXPECT_EQ(gpus[0], gpus[2]);
    EXPECT_EQ(gpus[1], gpus[0] == "0" ? "1" : "0");
  }
}

TEST_F(ClusterGpusTest, AnActorKeepsItsGpuWhileTasksHaveTheOther) {
  StartWithGpus("2");
  auto actor = ray::Actor(GpuUser::Create).SetResource("GPU", 1).SetMaxRestarts(1).Remote();
  const std::string its = *actor.Task(&GpuUser::InConstructor).Remote().Get();
  ASSERT_TRUE(IsOneOfTwo(its)) << its;
  const std::string other = its == "0" ? "1" : "0";
  for (int i = 0; i < 20; ++i) EXPECT_EQ(WithGpus(1), other);
  EXPECT_EQ(*actor.Task(&GpuUser::Now).Remote().Get(), its);
  actor.Kill(false);
  ASSERT_TRUE(Eventually(20s, [&] {
    try {
      return *actor.Task(&GpuUser::Restarted).Remote().Get();
    } catch (const ray::internal::RayActorException&) {
      return false;  // the call was under way when the actor ended
    }
  }));
  const std::string again = *actor.Task(&GpuUser::InConstructor).Remote().Get();
  ASSERT_TRUE(IsOneOfTwo(again)) << again;
  EXPECT_EQ(WithGpus(1), again == "0" ? "1" : "0");
  actor.Kill();
  EXPECT_EQ(WithGpus(2), "0,1");
}

TEST_F(ClusterGpusTest, AnActorWithoutGpusSeesNone) {
  StartWithGpus("1");
  auto actor = ray::Actor(GpuUser::Create).Remote();
  EXPECT_EQ(*actor.Task(&GpuUser::InConstructor).Remote().Get(), "");
}

TEST_F(ClusterGpusTest, AKilledWorkersGpusComeBack) {
  StartWithGpus("2");
  const auto dies = ray::Task(DieWithSignal).SetResource("GPU", 2).SetMaxRetries(0).Remote(SIGKILL);
  EXPECT_THROW(dies.Get(), ray::internal::RayException);
  EXPECT_EQ(WithGpus(2), "0,1");
}

TEST_F(ClusterGpusTest, LeasedWorkersHaveTheGpusOfTheirLeases) {
  StartWithGpus("2");
  SideBySide({1, 1});  // so that there are workers that have had either
  auto actor = ray::Actor(GpuUser::Create).SetResource("GPU", 1).Remote();
  const std::string others = *actor.Task(&GpuUser::Now).Remote().Get() == "0" ? "1" : "0";
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread caller([&] {
    while (!stop) wrong += WithGpus(1) == others ? 0 : 1;
  });
  std::map<int, std::string> leased;
  EXPECT_TRUE(Eventually(30s, [&] { return !(leased = Leased()).empty(); })) << Status().dump(1);
  for (const auto& [pid, gpus] : leased) EXPECT_EQ(gpus, others);
  stop = true;
  caller.join();
  EXPECT_EQ(wrong, 0);
  actor.Kill();
  // Their GPUs go to a task that asks for all.
  EXPECT_EQ(WithGpus(2), "0,1");
}

TEST_F(ClusterGpusTest, ATaskThatWaitsInGetKeepsItsGpu) {
  StartWithGpus("2");
  const Words gpus = *ray::Task(GpusAroundATask).SetResource("GPU", 1).Remote().Get();
  ASSERT_EQ(gpus.size(), 3u);
  EXPECT_TRUE(IsOneOfTwo(gpus[0])) << gpus[0];
  EXPECT_EQ(gpus[1], gpus[0] == "0" ? "1" : "0");
  EXPECT_EQ(gpus[2], gpus[0]);
}

TEST_F(ClusterGpusTest, TasksInBundlesHaveOneGpuEach) {
  StartWithGpus("2");
  const auto group = ray::CreatePlacementGroup(
      {"", {{{"CPU", 1}, {"GPU", 1}}, {{"CPU", 1}, {"GPU", 1}}}, ray::PlacementStrategy::PACK});
  ASSERT_TRUE(group.Wait(10));
  auto signal = ray::Actor(Counter::Create).Remote(0);
  const auto outside = ray::Task(Gpus).SetResource("GPU", 1).Remote();
  std::vector<ray::ObjectRef<std::string>> refs;
  for (int bundle = 0; bundle < 2; ++bundle)
    refs.push_back(ray::Task(GpusBeside).SetResource("GPU", 1).SetPlacementGroup(group, bundle).Remote(signal, 2));
  Words gpus = {*refs[0].Get(), *refs[1].Get()};
  std::ranges::sort(gpus);
  EXPECT_EQ(gpus, (Words{"0", "1"}));
  EXPECT_EQ(*ray::Task(Gpus).SetPlacementGroup(group, 0).Remote().Get(), "");
  EXPECT_TRUE(ray::Wait(std::vector{outside}, 1, 0).ready.empty()) << "the bundles have all GPUs";
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_TRUE(IsOneOfTwo(*outside.Get()));
}

TEST_F(ClusterGpusTest, WorkersHaveTheNamesThatTheRayletsOwnVariableHas) {
  ::setenv("CUDA_VISIBLE_DEVICES", "4, 6,7", 1);
  StartWithGpus("2");
  EXPECT_EQ(WithGpus(2), "4,6");
  EXPECT_EQ(*ray::Task(Gpus).Remote().Get(), "");
}

TEST_F(ClusterGpusTest, AMachineWithoutGpusLeavesTheVariableAlone) {
  ::setenv("CUDA_VISIBLE_DEVICES", "7", 1);
  StartWithGpus("0");
  EXPECT_EQ(*ray::Task(Gpus).Remote().Get(), "7");
}

TEST_F(ClusterGpusTest, AGpuAndAPartOfAnotherAreRefusedWithTheAmount) {
  StartWithGpus("2");
  try {
    ray::Task(Gpus).SetResource("GPU", 1.5).Remote().Get();
    FAIL() << "it ran";
  } catch (const ray::internal::RayException& e) {
    const std::string what = e.what();
    EXPECT_NE(what.find("GPU"), std::string::npos) << what;
    EXPECT_NE(what.find("1.5"), std::string::npos) << what;
    EXPECT_NE(what.find("must be whole"), std::string::npos) << what;
  }
}

TEST_F(ClusterGpusTest, PrivateDaemonsOfferTheGpusOfTheHeadArguments) {
  ray::Shutdown();
  ray::RayConfig config;
  config.head_args = {"--num-cpus", "2", "--num-gpus", "2", "--object-store-memory", "64M"};
  ray::Init(config);
  EXPECT_EQ(WithGpus(2), "0,1");
}

}  // namespace
}  // namespace cluster_test
