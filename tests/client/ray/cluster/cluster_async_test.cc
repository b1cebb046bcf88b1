// ray::GetAsync and ray::Nodes through real daemons.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "tests/client/ray/cluster/cluster_fixture.h"

namespace cluster_test::async {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

// Gets the value by a future, of a reference that this process borrows.
std::string LengthByFuture(const std::vector<ray::ObjectRef<std::string>>& refs) {
  auto future = ray::GetAsync(refs.front());
  return future.wait_for(kPatience) == std::future_status::ready ? *future.get() : "too late";
}
std::string RepeatAfterMs(const std::string& text, int times, int ms) {
  SleepMs(ms);
  return Repeat(text, times);
}

int AddById(const std::string& id, int more) { return *ray::ObjectRef<int>(id).Get() + more; }

RAY_REMOTE(LengthByFuture, RepeatAfterMs, AddById);

using ObjectIdTest = ClusterTest;

TEST_F(ObjectIdTest, FindsASmallValueInAnotherProcess) {
  const auto seven = ray::Put(7);
  EXPECT_EQ(*ray::Task(AddById).Remote(seven.ID(), 1).Get(), 8);
  const auto sum = ray::Task(Add).Remote(1, 2);
  sum.Get();
  EXPECT_EQ(*ray::Task(AddById).Remote(sum.ID(), 1).Get(), 4);
}

TEST_F(ObjectIdTest, FindsAValueThatIsStillToCome) {
  const auto slow = ray::Task(SleepMs).Remote(50);
  EXPECT_EQ(*ray::Task(AddById).Remote(slow.ID(), 1).Get(), 51);
}

TEST_F(ObjectIdTest, FindsAResultOfAnActor) {
  auto counter = ray::Actor(Counter::Create).Remote(4);
  const auto value = counter.Task(&Counter::Value).Remote();
  EXPECT_EQ(*ray::Task(AddById).Remote(value.ID(), 1).Get(), 5);
}

using AsyncGetTest = ClusterTest;

TEST_F(AsyncGetTest, BecomesReadyWithTheValue) {
  auto future = ray::GetAsync(ray::Task(Add).Remote(1, 2));
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(*future.get(), 3);
}

TEST_F(AsyncGetTest, IsReadyOfAValueThatIsThere) {
  EXPECT_EQ(*ray::GetAsync(ray::Put(7)).get(), 7);
  EXPECT_EQ(ray::GetAsync(ray::Put(std::string(1'000'000, 'x'))).get()->size(), 1'000'000u);
}

TEST_F(AsyncGetTest, CarriesTheExceptionOfTheTask) {
  auto future = ray::GetAsync(ray::Task(ThrowTask).Remote(7));
  EXPECT_THROW(future.get(), ray::internal::RayTaskException);
}

TEST_F(AsyncGetTest, IsAFutureOfNothingForATaskThatReturnsNothing) {
  std::future<void> future = ray::GetAsync(ray::Task(Nothing).Remote());
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  future.get();
}

TEST_F(AsyncGetTest, ServesTenThousandAtATime) {
  std::vector<std::future<std::shared_ptr<int>>> futures;
  auto counter = ray::Actor(Counter::Create).Remote(0);
  for (int i = 0; i < 10'000; ++i) {
    futures.push_back(i % 2 == 0 ? ray::GetAsync(counter.Task(&Counter::Increment).Remote(1))
                                 : ray::GetAsync(ray::Task(Add).Remote(i, 1)));
  }
  for (size_t i = 0; i < futures.size(); ++i) {
    ASSERT_EQ(futures[i].wait_for(kPatience), std::future_status::ready) << i;
    EXPECT_EQ(*futures[i].get(), static_cast<int>(i % 2 == 0 ? i / 2 + 1 : i + 1));
  }
}

TEST_F(AsyncGetTest, WaitsForAReferenceOfAnotherProcess) {
  const auto slow = ray::Task(RepeatAfterMs).Remote(std::string("ab"), 3, 50);
  EXPECT_EQ(*ray::Task(LengthByFuture).Remote(std::vector<ray::ObjectRef<std::string>>{slow}).Get(), "ababab");
}

TEST_F(AsyncGetTest, EndsWithAnExceptionAtShutdown) {
  auto future = ray::GetAsync(ray::Task(Add).SetResource("nowhere", 1).Remote(1, 2));
  ray::Shutdown();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  EXPECT_THROW(future.get(), ray::internal::RayException);
}

using NodesTest = ClusterTest;

TEST_F(NodesTest, ListsTheOneMachineWithItsResources) {
  const auto nodes = ray::Nodes();
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_TRUE(nodes[0].alive);
  EXPECT_TRUE(nodes[0].is_this_node);
  EXPECT_EQ(nodes[0].id.size(), 40u);
  std::map<std::string, double> resources = nodes[0].resources;
  EXPECT_GT(resources["memory"], 1 << 20);
  EXPECT_GT(resources["object_store_memory"], 1 << 20);
  resources.erase("memory");
  resources.erase("object_store_memory");
  EXPECT_EQ(resources, (std::map<std::string, double>{{"CPU", 2}, {"node:127.0.0.1", 1}}));
  EXPECT_EQ(ray::ClusterResources(), nodes[0].resources);
}

TEST(NodeMemory, UpTo2To53IsAccountedForToTheByte) {
  constexpr double kMost = 9'007'199'254'740'992;
  ray::Shutdown();  // of another suite
  ray::RayConfig config;
  config.head_args = {"--num-cpus", "1", "--object-store-memory", "64M", "--memory", "9007199254740992"};
  ray::Init(config);
  EXPECT_EQ(ray::ClusterResources()["memory"], kMost);
  auto counter = ray::Actor(Counter::Create).SetResource("memory", kMost - 1).Remote(7);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 7);
  EXPECT_EQ(ray::AvailableResources()["memory"], 1);
  const auto two = ray::Task(Add).SetResource("memory", 2).Remote(1, 2);
  EXPECT_TRUE(ray::Wait(std::vector{two}, 1, 100).ready.empty());
  EXPECT_EQ(*ray::Task(Add).SetResource("memory", 1).Remote(1, 2).Get(), 3);
  const auto group = ray::CreatePlacementGroup({"", {{{"memory", 1}}}, ray::PlacementStrategy::PACK});
  EXPECT_TRUE(group.Wait(10));
  EXPECT_EQ(ray::GetPlacementGroupById(group.GetID()).GetBundles()[0].at("memory"), 1);
  try {
    ray::Task(Add).SetResource("memory", kMost + 2).Remote(1, 2);
    ADD_FAILURE() << "it was taken";
  } catch (const ray::internal::RayException& e) {
    EXPECT_NE(std::string(e.what()).find("resource memory: the amount must be at most 9007199254740992"),
              std::string::npos)
        << e.what();
  }
  EXPECT_THROW(ray::Task(Add).SetResource("memory", 0.5).Remote(1, 2), ray::internal::RayException);
  ray::Shutdown();
}

TEST_F(NodesTest, CountsWhatAnActorHoldsAsNotAvailable) {
  auto counter = ray::Actor(Counter::Create).SetResource("CPU", 1).Remote(0);
  counter.Task(&Counter::Value).Remote().Get();
  EXPECT_EQ(ray::AvailableResources()["CPU"], 1);
  EXPECT_EQ(ray::ClusterResources()["CPU"], 2);
}

TEST_F(NodesTest, IsAskedForInATaskToo) { EXPECT_EQ(ray::Nodes().size(), 1u); }

}  // namespace
}  // namespace cluster_test::async
