// Actors through real daemons and real processes: order, death, restart, arrays and lends.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

#include "client/plasma/store_client.h"
#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/own_time.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

using ClusterActorTest = ClusterTest;

TEST_F(ClusterActorTest, KeepsItsStateAndRunsCallsInOrder) {
  auto counter = ray::Actor(Counter::Create).Remote(10);
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(5).Get(), 15);
  for (int i = 0; i < 5000; ++i) counter.Task(&Counter::Append).Remote(i);
  const auto log = counter.Task(&Counter::Log).Remote().Get();
  std::vector<int> wanted(5000);
  std::iota(wanted.begin(), wanted.end(), 0);
  EXPECT_EQ(*log, wanted);
  EXPECT_NE(*counter.Task(&Counter::Pid).Remote().Get(), ::getpid());
}

TEST_F(ClusterActorTest, AWaitingArgumentHoldsBackLaterCalls) {
  auto counter = ray::Actor(Counter::Create).Remote(0);
  counter.Task(&Counter::Append).Remote(ray::Task(SleepMs).Remote(100));
  counter.Task(&Counter::Append).Remote(1);
  EXPECT_EQ(*counter.Task(&Counter::Log).Remote().Get(), (std::vector<int>{100, 1}));
}

TEST_F(ClusterActorTest, ServesSeveralThreadsAtOnce) {
  auto counter = ray::Actor(Counter::Create).Remote(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) counter.Task(&Counter::Increment).Remote(1).Get();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 8000);
}

TEST_F(ClusterActorTest, IsAnArgumentLikeAnyOther) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  EXPECT_EQ(*ray::Task(CallThrough).Remote(counter, 4).Get(), 5);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 5);
}

TEST_F(ClusterActorTest, LargeValuesGoThroughTheStore) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const std::string text(500'000, 'y');
  EXPECT_EQ(*counter.Task(&Counter::Echo).Remote(text).Get(), text);
}

TEST_F(ClusterActorTest, AThrowingMethodFailsItsCallAlone) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  try {
    counter.Task(&Counter::Throw).Remote().Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayTaskException& e) {
    EXPECT_EQ(e.exception_type(), "std::out_of_range");
  }
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 1);
}

TEST_F(ClusterActorTest, AThrowingConstructorFailsEveryCall) {
  auto broken = ray::Actor(Counter::Broken).Remote();
  try {
    broken.Task(&Counter::Value).Remote().Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayActorException& e) {
    EXPECT_NE(std::string(e.what()).find("no counter today"), std::string::npos) << e.what();
  }
}

TEST_F(ClusterActorTest, AKilledProcessFailsTheCallWithinASecond) {
  auto counter = ray::Actor(Counter::Create).Remote(1);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto call = counter.Task(&Counter::Sleep).Remote(20'000);
  const raylet::test::OwnTime time;
  ::kill(pid, SIGKILL);
  try {
    call.Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayActorException& e) {
    EXPECT_EQ(e.signal(), SIGKILL) << e.what();
    EXPECT_TRUE(e.may_have_run());
  }
  EXPECT_LT(time.Elapsed(), 1s);
  EXPECT_THROW(counter.Task(&Counter::Value).Remote().Get(), ray::internal::RayActorException);
  EXPECT_EQ(*ray::Task(Add).Remote(1, 1).Get(), 2);
}

TEST_F(ClusterActorTest, StartsAgainWithFreshStateUnderTheSameHandle) {
  auto counter = ray::Actor(Counter::Create).SetMaxRestarts(1).Remote(7);
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(), 8);
  counter.Kill(false);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 7);
}

TEST_F(ClusterActorTest, CallsThatWaitForRoomKeepTheirArgumentsWhenItStartsAgain) {
  constexpr size_t kFit = 17;      // calls in its ring, beside the one that keeps it busy
  constexpr size_t kBlocked = 16;  // threads, with a call each that finds no room there
  auto counter = ray::Actor(Counter::Create).SetMaxRestarts(1).Remote(0);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  const auto busy = counter.Task(&Counter::Sleep).Remote(60'000);
  const auto call = [&counter] {
    return counter.Task(&Counter::LengthOfBoth).Remote(std::string(60'000, 'x'), std::string(200'000, 'y'));
  };
  std::vector<ray::ObjectRef<int>> lost(kFit), kept(kBlocked);
  for (auto& each : lost) each = call();
  std::atomic<size_t> begun{0}, returned{0};
  std::vector<std::thread> threads;
  for (auto& each : kept) {
    threads.emplace_back([&] {
      ++begun;
      each = call();
      ++returned;
    });
  }
  EXPECT_TRUE(Eventually(30s, [&] { return begun == kBlocked; }));
  EXPECT_EQ(returned, 0u);
  ::kill(pid, SIGKILL);
  for (auto& thread : threads) thread.join();
  for (const auto& each : lost) EXPECT_THROW(each.Get(20'000), ray::internal::RayActorException);
  for (const auto& each : kept) EXPECT_EQ(*each.Get(20'000), 260'000);
}

TEST_F(ClusterActorTest, KillFreesItsName) {
  auto counter = ray::Actor(Counter::Create).SetName("the counter").Remote(3);
  EXPECT_THROW(ray::Actor(Counter::Create).SetName("the counter").Remote(4), ray::internal::RayException);
  auto found = ray::GetActor<Counter>("the counter");
  ASSERT_TRUE(found);
  EXPECT_EQ(*found->Task(&Counter::Value).Remote().Get(), 3);
  counter.Kill();
  EXPECT_FALSE(ray::GetActor<Counter>("the counter"));
  EXPECT_THROW(counter.Task(&Counter::Value).Remote().Get(), ray::internal::RayActorException);
  EXPECT_EQ(*ray::Actor(Counter::Create).SetName("the counter").Remote(5).Task(&Counter::Value).Remote().Get(), 5);
}

TEST_F(ClusterActorTest, EndsWithItsLastHandleAfterItsCalls) {
  int pid = 0;
  ray::ObjectRef<int> last;
  {
    auto counter = ray::Actor(Counter::Create).Remote(1);
    pid = *counter.Task(&Counter::Pid).Remote().Get();
    last = counter.Task(&Counter::Sleep).Remote(100);
  }
  EXPECT_EQ(*last.Get(), 100);
  const raylet::test::OwnTime time;
  EXPECT_TRUE(Eventually(30s, [&] { return ::kill(pid, 0) != 0; }));
  EXPECT_LT(time.Elapsed(), 2s);
}

TEST_F(ClusterActorTest, StaysUntilABorrowerOfItsLastHandleHasItsReplies) {
  std::vector<ray::ObjectRef<int>> results;
  int pid = 0;
  {
    auto counter = ray::Actor(Counter::Create).Remote(4);
    pid = *counter.Task(&Counter::Pid).Remote().Get();
    results = *ray::Task(CallAndForget).Remote(counter, 6'000).Get();
  }
  EXPECT_EQ(*results.at(0).Get(20'000), 6'000) << "longer than a worker has after its Exit";
  EXPECT_EQ(*results.at(100).Get(20'000), 104);
  EXPECT_TRUE(Eventually(30s, [&] { return ::kill(pid, 0) != 0; }));
}

TEST_F(ClusterActorTest, FinishesTheCallsByItsIdAfterItsLastHandle) {
  std::vector<ray::ObjectRef<int>> results;
  int pid = 0;
  {
    auto counter = ray::Actor(Counter::Create).Remote(4);
    pid = *counter.Task(&Counter::Pid).Remote().Get();
    results = *ray::Task(CallByIdAndForget).Remote(counter.ID(), 500).Get();
  }
  EXPECT_EQ(*results.at(0).Get(20'000), 500);
  EXPECT_EQ(*results.at(100).Get(20'000), 104);
  EXPECT_TRUE(Eventually(30s, [&] { return ::kill(pid, 0) != 0; }));
}

TEST_F(ClusterActorTest, StaysAfterItsLastHandleWhereItHasAName) {
  const int pid = *ray::Actor(Counter::Create).SetName("stays").Remote(4).Task(&Counter::Pid).Remote().Get();
  EXPECT_EQ(*ray::GetActor<Counter>("stays")->Task(&Counter::Pid).Remote().Get(), pid);
  EXPECT_EQ(*ray::GetActor<Counter>("stays")->Task(&Counter::Increment).Remote(1).Get(), 5);
  ray::GetActor<Counter>("stays")->Kill();
  EXPECT_TRUE(Eventually(30s, [&] { return ::kill(pid, 0) != 0; }));
  EXPECT_FALSE(ray::GetActor<Counter>("stays"));
}

TEST_F(ClusterActorTest, EndsWithItsLastHandleThoughItsLastCallsNeverEnded) {
  ray::ObjectRef<int> killed, never_sent;
  int pid = 0;
  {
    auto counter = ray::Actor(Counter::Create).SetResource("CPU", 2).SetMaxRestarts(1).Remote(1);
    pid = *counter.Task(&Counter::Pid).Remote().Get();
    killed = counter.Task(&Counter::Sleep).Remote(60'000);
  }
  ::kill(pid, SIGKILL);
  EXPECT_THROW(killed.Get(20'000), ray::internal::RayActorException);
  EXPECT_EQ(*ray::Task(Add).Remote(1, 1).Get(20'000), 2) << "no CPU is left for others";
  {
    auto counter = ray::Actor(Counter::Create).Remote(1);
    pid = *counter.Task(&Counter::Pid).Remote().Get();
    never_sent = counter.Task(&Counter::Increment).Remote(ray::Task(ThrowTask).Remote(ray::Task(SleepMs).Remote(100)));
  }
  EXPECT_THROW(never_sent.Get(20'000), ray::internal::RayException);
  EXPECT_TRUE(Eventually(30s, [&] { return ::kill(pid, 0) != 0; }));
}

TEST_F(ClusterActorTest, ExitActorEndsItForGood) {
  auto counter = ray::Actor(Counter::Create).SetMaxRestarts(3).Remote(1);
  EXPECT_THROW(counter.Task(&Counter::Exit).Remote().Get(), ray::internal::RayActorException);
}

TEST_F(ClusterActorTest, ArraysTravelWithoutACopy) {
  ray::MutableArray<float> mutable_array(1000);
  const float* const written = mutable_array.data();
  for (float& each : mutable_array) each = 2;
  const ray::Array<float> array = std::move(mutable_array).Seal();
  EXPECT_NE(array.data(), nullptr);
  EXPECT_NE(array.data(), written);  // sealed memory is read through a mapping of its own
  const ray::Array<float> same = *ray::Put(array).Get();
  EXPECT_EQ(same.data(), array.data());
  EXPECT_EQ(*ray::Task(SumArray).Remote(array).Get(), 2000);
  const ray::Array<float> ramp = *ray::Task(Ramp).Remote(10).Get();
  EXPECT_EQ(ramp[9], 9);
  // Both ways both processes look at the same bytes of the store.
  EXPECT_GE(ArenaOffset(array), 0);
  EXPECT_EQ(*ray::Task(ArenaOffset).Remote(array).Get(), ArenaOffset(array));
  auto publisher = ray::Actor(Publisher::Create).Remote(1000);
  const ray::Array<float> version = *publisher.Task(&Publisher::Current).Remote().Get();
  EXPECT_GE(ArenaOffset(version), 0);
  EXPECT_EQ(*publisher.Task(&Publisher::Offset).Remote().Get(), ArenaOffset(version));
}

TEST_F(ClusterActorTest, ACallerKeepsAVersionWhileTheActorMovesOn) {
  auto publisher = ray::Actor(Publisher::Create).Remote(1000);
  const ray::Array<float> first = *publisher.Task(&Publisher::Current).Remote().Get();
  for (int i = 1; i <= 50; ++i) publisher.Task(&Publisher::Publish).Remote(i);
  const ray::Array<float> last = *publisher.Task(&Publisher::Current).Remote().Get();
  EXPECT_EQ(first[999], 0);
  EXPECT_EQ(last[999], 50);
}

TEST_F(ClusterActorTest, AnActorKeepsItsArgumentsUntilItDropsThem) {
  auto publisher = ray::Actor(Publisher::Create).Remote(10);
  {
    const ray::Array<float> given = ray::Array<float>::CopyOf(std::vector<float>(100, 3));
    EXPECT_EQ(*publisher.Task(&Publisher::Take).Remote(given).Get(), 100);
  }
  EXPECT_EQ(*publisher.Task(&Publisher::Kept).Remote().Get(), 3);
  publisher.Task(&Publisher::Drop).Remote().Get();
}

// The calls' arguments may fill the store, so a thread that waits for room takes the calls' replies.
TEST_F(ClusterActorTest, ArgumentsOfAnsweredCallsMakeRoomForMore) {
  constexpr size_t kFloats = size_t{1} << 19;  // 2 MiB, of a store of 64
  auto publisher = ray::Actor(Publisher::Create).Remote(10);
  std::vector<ray::ObjectRef<size_t>> sizes;
  for (int i = 0; i < 100; ++i) {
    const auto array = ray::MutableArray<float>(kFloats).Seal();
    sizes.push_back(publisher.Task(&Publisher::MeasureSlowly).Remote(array));
  }
  for (const auto& size : ray::Get(sizes)) EXPECT_EQ(*size, kFloats);
}

}  // namespace
}  // namespace cluster_test
