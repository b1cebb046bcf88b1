// Tasks through real daemons and real processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <numeric>
#include <set>

#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/own_time.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

class ClusterTaskTest : public ClusterTest {
 protected:
  // Lets a task end that waits for the file.
  void Go() const { std::ofstream(go_).put('x'); }

  const raylet::test::RunFolder folder_;
  const std::string go_ = folder_.File("go");
};

TEST_F(ClusterTaskTest, ReturnsValuesFromAnotherProcess) {
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
  EXPECT_NE(*ray::Task(WorkerPid).Remote().Get(), ::getpid());
  ray::Task(Nothing).Remote().Get();
}

TEST_F(ClusterTaskTest, CarriesLargeValuesThroughTheStore) {
  const std::string text(300'000, 'x');
  EXPECT_EQ(*ray::Task(Length).Remote(text).Get(), text.size());
  EXPECT_EQ(ray::Task(Repeat).Remote(std::string("ab"), 100'000).Get()->size(), 200'000u);
  EXPECT_EQ(*ray::Put(text).Get(), text);
}

TEST_F(ClusterTaskTest, PassesReferencesThatAreNotReadyWithoutBlocking) {
  auto slow = ray::Task(OneOnceThereIs).Remote(go_);
  auto sum = ray::Task(Add).Remote(slow, 1);
  Go();
  EXPECT_EQ(*sum.Get(), 2);
}

TEST_F(ClusterTaskTest, ResolvesReferencesInsideValues) {
  std::vector<ray::ObjectRef<int>> refs = {ray::Put(1), ray::Task(Add).Remote(2, 3), ray::Task(SleepMs).Remote(50)};
  EXPECT_EQ(*ray::Task(SumOfRefs).Remote(refs).Get(), 56);
}

TEST_F(ClusterTaskTest, NestsDeeperThanThereAreCpus) { EXPECT_EQ(*ray::Task(NestedSum).Remote(5).Get(), 6); }

TEST_F(ClusterTaskTest, ThreeHundredTasksThatWaitForTasksOfTheirOwnFinishInSeconds) {
#ifdef RAYLET_SANITIZED  // where a process starts slowly
  constexpr auto kLimit = std::chrono::seconds(60);
#else
  constexpr auto kLimit = std::chrono::seconds(10);
#endif
  const raylet::test::OwnTime time;
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 300; ++i) sums.push_back(ray::Task(NestedSum).Remote(1));
  for (const auto& sum : ray::Get(sums, 90'000)) EXPECT_EQ(*sum, 2);
  EXPECT_LT(time.Elapsed(), kLimit);
}

TEST_F(ClusterTaskTest, ThousandsOfTasksThatWaitForTasksOfTheirOwnShareAFewProcesses) {
#ifdef RAYLET_SANITIZED
  constexpr int kTasks = 1'000;
#else
  constexpr int kTasks = 10'000;
#endif
  std::vector<ray::ObjectRef<int>> pids;
  for (int i = 0; i < kTasks; ++i) pids.push_back(ray::Task(WorkerPidAfterAnother).Remote());
  std::set<int> workers;
  for (const auto& pid : ray::Get(pids, 60'000)) workers.insert(*pid);
  EXPECT_LE(workers.size(), 64u);
}

TEST_F(ClusterTaskTest, LendsTheCpuOfATaskWhoseThreadsWait) {
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 3; ++i) sums.push_back(ray::Task(SumByThreads).Remote(4));  // more than there are CPUs
  for (const auto& sum : ray::Get(sums, 20'000)) EXPECT_EQ(*sum, 10);
}

TEST_F(ClusterTaskTest, AWorkerThatCallsShutdownServesOn) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(*ray::Task(ShutDownHere).Remote().Get(20'000));
  EXPECT_EQ(*ray::Task(NestedSum).Remote(2).Get(20'000), 3);
}

TEST_F(ClusterTaskTest, RunsAThousandPipelinedTasks) {
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 1000; ++i) sums.push_back(ray::Task(Add).Remote(i, i));
  const auto values = ray::Get(sums);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(*values[static_cast<size_t>(i)], 2 * i);
}

TEST_F(ClusterTaskTest, ThrowsTheFunctionsException) {
  try {
    ray::Task(ThrowTask).Remote(7).Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayTaskException& e) {
    EXPECT_EQ(e.exception_type(), "std::runtime_error");
    EXPECT_EQ(e.thrown_what(), "seven is too many");
    EXPECT_EQ(e.function(), "ThrowTask");
  }
  auto failed = ray::Task(ThrowTask).Remote(7);
  EXPECT_THROW(ray::Task(Add).Remote(failed, 1).Get(), ray::internal::RayTaskException);
}

TEST_F(ClusterTaskTest, SaysWhichSignalKilledAWorkerAndGoesOn) {
#ifdef RAYLET_SANITIZED  // where a process starts slowly
  constexpr auto kLimit = std::chrono::seconds(10);
#else
  constexpr auto kLimit = std::chrono::seconds(1);
#endif
  const raylet::test::OwnTime time;
  try {
    ray::Task(DieWithSignal).Remote(SIGKILL).Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayWorkerException& e) {
    EXPECT_EQ(e.signal(), SIGKILL) << e.what();
    EXPECT_TRUE(e.may_have_run());
  }
  EXPECT_LT(time.Elapsed(), kLimit) << "four attempts, each a new process";
  EXPECT_EQ(*ray::Task(Add).Remote(1, 1).Get(), 2);
}

TEST_F(ClusterTaskTest, TimesOutAndCanBeAskedAgain) {
  auto slow = ray::Task(OneOnceThereIs).Remote(go_);
  EXPECT_THROW(slow.Get(20), ray::internal::RayTimeoutException);
  Go();
  EXPECT_EQ(*slow.Get(), 1);
}

TEST_F(ClusterTaskTest, WaitSaysWhichAreReady) {
  auto fast = ray::Put(1);
  auto slow = ray::Task(OneOnceThereIs).Remote(go_);
  const auto some = ray::Wait(std::vector{slow, fast}, 1, 20'000);
  ASSERT_EQ(some.ready.size(), 1u);
  EXPECT_TRUE(some.ready.front() == fast);
  EXPECT_EQ(ray::Wait(std::vector{slow, fast}, 2, 20).unready.size(), 1u);
  Go();
  EXPECT_EQ(ray::Wait(std::vector{slow, fast}, 2, -1).ready.size(), 2u);
}

}  // namespace
}  // namespace cluster_test
