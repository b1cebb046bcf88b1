// Tasks that go to leased workers past the raylet, the ends of leases, and kills of all processes that take part.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <thread>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

class ClusterLeaseTest : public DaemonsTest {
 protected:
  void SetUp() override { Start("2"); }

  std::vector<int> LeasedPids() {
    std::vector<int> pids;
    const nlohmann::json status = Status();
    for (const auto& worker : status.at("workers"))
      if (worker.contains("leased_to")) pids.push_back(worker.at("pid"));
    return pids;
  }
  double FreeCpus() { return Status().at("resources").at("CPU").at("free"); }
  // Runs short tasks one after the other until a worker is leased for them.
  void TakeALease() {
    std::atomic<bool> stop{false};
    std::thread caller([&] {
      while (!stop) EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
    });
    EXPECT_TRUE(Eventually(20s, [&] { return !LeasedPids().empty(); })) << Status().dump(1);
    stop = true;
    caller.join();
  }
  void ExpectNoLeaseIsLeft() {
    EXPECT_TRUE(Eventually(30s, [&] { return LeasedPids().empty() && FreeCpus() == 2; })) << Status().dump(1);
  }
};

TEST_F(ClusterLeaseTest, ShortTasksTakeALeaseThatEndsSoonAfterThem) {
  TakeALease();
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 20'000; ++i) sums.push_back(ray::Task(Add).Remote(i, 1));
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(*sums[static_cast<size_t>(i)].Get(), i + 1);
  ExpectNoLeaseIsLeft();
}

TEST_F(ClusterLeaseTest, ALeasedWorkerReturnsFailuresAndLargeResultsAndReferences) {
  TakeALease();
  EXPECT_THROW(ray::Task(ThrowTask).Remote(7).Get(), ray::internal::RayTaskException);
  EXPECT_EQ(ray::Task(Repeat).Remote(std::string("ab"), 100'000).Get()->size(), 200'000u);
  EXPECT_FLOAT_EQ((*ray::Task(Ramp).Remote(1000).Get())[7], 7);
  const auto text = ray::Task(Repeat).Remote(std::string("x"), 10);
  EXPECT_EQ(*ray::Task(Length).Remote(text).Get(), 10u);
  // A chain whose steps wait for one another, without a thread in Get.
  auto sum = ray::Task(Add).Remote(0, 1);
  for (int i = 0; i < 200; ++i) sum = ray::Task(Add).Remote(sum, 1);
  EXPECT_EQ(*sum.Get(), 201);
  ExpectNoLeaseIsLeft();
}

TEST_F(ClusterLeaseTest, ALeasedWorkerThatBlocksHandsBackWhatItHasNotBegun) {
  auto signal = ray::Actor(Counter::Create).Remote(0);
  EXPECT_EQ(*signal.Task(&Counter::Value).Remote().Get(), 0);
  TakeALease();
  const auto one = ray::Task(MeetAnother).Remote(signal, 2);
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 100; ++i) sums.push_back(ray::Task(WaitForATask).Remote(1));
  const auto other = ray::Task(MeetAnother).Remote(signal, 2);
  EXPECT_TRUE(*one.Get());
  EXPECT_TRUE(*other.Get());
  for (const auto& sum : sums) EXPECT_EQ(*sum.Get(), 1);
  ExpectNoLeaseIsLeft();
}

// Each waits until another one runs. The caller does nothing meanwhile.
TEST_F(ClusterLeaseTest, LongTasksRunSideBySideThoughTheyWereSentToOneLeasedWorker) {
  TakeALease();
  const raylet::test::RunFolder folder;
  std::vector<ray::ObjectRef<int>> pids;
  for (int i = 0; i < 6; ++i) pids.push_back(ray::Task(PidOnceThereAre).Remote(folder.path(), 2));
  const auto two_ran = [&] {
    const std::filesystem::directory_iterator files(folder.path());
    return std::distance(begin(files), end(files)) >= 2;
  };
  EXPECT_TRUE(Eventually(30s, two_ran)) << "they run one after the other";
  for (const auto& pid : pids) EXPECT_NE(*pid.Get(90'000), 0);
}

TEST_F(ClusterLeaseTest, AnotherShapeOfTheSameCallerGetsTheResourcesOfItsLeases) {
  TakeALease();
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 50'000; ++i) sums.push_back(ray::Task(Add).Remote(i, 1));
  const auto both = ray::Task(Add).SetResource("CPU", 2).Remote(1, 2);
  EXPECT_EQ(*both.Get(30'000), 3);
  for (const auto& sum : sums) sum.Get();
}

TEST_F(ClusterLeaseTest, LeasedWorkersServeWhileTheRayletIsStopped) {
  TakeALease();
  std::atomic<bool> stop{false};
  std::atomic<int> done{0};
  std::thread caller([&] {
    std::deque<ray::ObjectRef<int>> sums;  // some at any time, so that the lease goes on
    for (int i = 0; !stop || !sums.empty(); ++i) {
      while (!stop && sums.size() < 50) sums.push_back(ray::Task(Add).Remote(i, 1));
      sums.front().Get(60'000);
      sums.pop_front();
      ++done;
    }
  });
  ASSERT_TRUE(Eventually(30s, [&] { return done > 1'000 && !LeasedPids().empty(); }));
  raylet_->Signal(SIGSTOP);
  const int before = done;
  EXPECT_TRUE(Eventually(30s, [&] { return done > before + 1'000; })) << done - before;
  raylet_->Signal(SIGCONT);
  stop = true;
  caller.join();
  ExpectNoLeaseIsLeft();
}

TEST_F(ClusterLeaseTest, AKilledWorkersTaskSaysHowItDiedAndItsOthersRun) {
  TakeALease();
  const auto killed = ray::Task(DieWithSignal).SetMaxRetries(0).Remote(SIGKILL);
  std::vector<ray::ObjectRef<int>> sums;
  for (int i = 0; i < 500; ++i) sums.push_back(ray::Task(Add).SetMaxRetries(0).Remote(i, 1));
  try {
    killed.Get();
    ADD_FAILURE() << "a task outlived SIGKILL";
  } catch (const ray::internal::RayWorkerException& e) {
    EXPECT_EQ(e.signal(), SIGKILL);
    EXPECT_GT(e.pid(), 0);
    EXPECT_NE(std::string(e.what()).find("while it ran task 'DieWithSignal'"), std::string::npos) << e.what();
  }
  for (int i = 0; i < 500; ++i) EXPECT_EQ(*sums[static_cast<size_t>(i)].Get(), i + 1);
  try {
    ray::Task(DieWithSignal).SetMaxRetries(2).Remote(SIGKILL).Get();
    ADD_FAILURE() << "a task outlived SIGKILL";
  } catch (const ray::internal::RayWorkerException& e) {
    EXPECT_NE(std::string(e.what()).find("it was tried 3 times"), std::string::npos) << e.what();
  }
  ExpectNoLeaseIsLeft();
}

// Each task that may run once leaves at most one line, and one where it has a result. Each of the others has a result.
TEST_F(ClusterLeaseTest, RandomKillsOfLeasedWorkersLoseNoTaskAndRepeatNoneThatMayRunOnce) {
  const std::string once_path = folder_.File("once");
  std::mt19937 random(23);
  constexpr int kRounds = 12;
  constexpr int kEach = 400;
  std::vector<ray::ObjectRef<int>> once;
  std::vector<ray::ObjectRef<int>> again;
  int kills = 0;
  for (int round = 0; round < kRounds; ++round) {
    TakeALease();
    for (int i = 0; i < kEach; ++i) {
      once.push_back(ray::Task(Record).SetMaxRetries(0).Remote(once_path, static_cast<int>(once.size())));
      again.push_back(ray::Task(Add).SetMaxRetries(100).Remote(static_cast<int>(again.size()), 0));
    }
    ::usleep(static_cast<useconds_t>(random() % 3'000));
    for (const int pid : LeasedPids()) kills += ::kill(pid, SIGKILL) == 0 ? 1 : 0;
  }
  EXPECT_GT(kills, 0);
  for (size_t i = 0; i < again.size(); ++i) ASSERT_EQ(*again[i].Get(30'000), static_cast<int>(i));
  std::map<int, int> lines;
  std::vector<bool> has_result(once.size());
  for (size_t i = 0; i < once.size(); ++i) {
    try {
      has_result[i] = *once[i].Get(30'000) == static_cast<int>(i);
    } catch (const ray::internal::RayWorkerException& e) {
      EXPECT_EQ(e.signal(), SIGKILL);
    }
  }
  std::ifstream file(once_path);
  for (int number = 0; file >> number;) ++lines[number];
  for (size_t i = 0; i < once.size(); ++i) {
    const int count = lines[static_cast<int>(i)];
    EXPECT_LE(count, 1) << i;
    EXPECT_TRUE(count == 1 || !has_result[i]) << i;
  }
  EXPECT_GT(std::count(has_result.begin(), has_result.end(), true), static_cast<int>(once.size()) - 3 * kills);
  ExpectNoLeaseIsLeft();
}

TEST_F(ClusterLeaseTest, AKilledCallersLeasesAreGivenBack) {
  for (int round = 0; round < 3; ++round) {
    auto caller = ray::Actor(Counter::Create).Remote(0);
    const int pid = *caller.Task(&Counter::Pid).Remote().Get();
    const auto sum = caller.Task(&Counter::AddInTasks).Remote(1'000'000);
    ASSERT_TRUE(Eventually(20s, [&] { return !LeasedPids().empty(); }));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    EXPECT_THROW(sum.Get(), ray::internal::RayActorException);
    ExpectNoLeaseIsLeft();
  }
}

}  // namespace
}  // namespace cluster_test
