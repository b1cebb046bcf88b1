// Cancel, GetAsync, Nodes and retries, in process.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include <ray/api.h>

#include "tests/client/ray/api/local_mode.h"

namespace cancel_test {

using ray::internal::RayActorException;
using ray::internal::RayException;
using ray::internal::RayTaskCancelledException;
using ray::internal::RayTaskException;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

std::atomic<int> began{0};
std::atomic<int> heard{0};
std::atomic<int> runs{0};

void WaitUntil(const std::atomic<int>& count, int wanted) {
  while (count < wanted) std::this_thread::yield();
}

int WaitForCancel() {
  ++began;
  while (!ray::IsCancelled()) std::this_thread::yield();
  return ++heard;
}
int BeginOnce(int) { return ++began; }
int ParentTask() {
  auto child = ray::Task(WaitForCancel).Remote();
  return *child.Get();
}
int SumOfTwo(int a, int b) { return a + b; }
void DoNothing() {}
int ThrowUntil(int wanted) {
  if (++runs < wanted) throw std::runtime_error("not yet");
  return runs;
}

class Calls {
 public:
  static Calls* Create() { return new Calls(); }
  int Wait() {
    ++began;
    while (heard == 0) std::this_thread::yield();
    return 1;
  }
  int ThrowUntil(int wanted) { return cancel_test::ThrowUntil(wanted); }
  int One() { return 1; }
  int WaitForCancel() { return cancel_test::WaitForCancel(); }
};

RAY_REMOTE(WaitForCancel, BeginOnce, ParentTask, SumOfTwo, DoNothing, ThrowUntil, Calls::Create, &Calls::Wait,
           &Calls::ThrowUntil, &Calls::One, &Calls::WaitForCancel);

class LocalCancelTest : public ray_test::InLocalMode {
 protected:
  LocalCancelTest() { began = heard = runs = 0; }
};

TEST_F(LocalCancelTest, ARunningTaskHearsOfItAndItsGetterDoesNotWait) {
  const auto task = ray::Task(WaitForCancel).Remote();
  WaitUntil(began, 1);
  ray::Cancel(task);
  EXPECT_THROW(task.Get(), RayTaskCancelledException);
  WaitUntil(heard, 1);
  EXPECT_FALSE(ray::IsCancelled());
}

TEST_F(LocalCancelTest, ATaskThatWaitsNeverBegins) {
  const auto argument = ray::Task(WaitForCancel).Remote();
  WaitUntil(began, 1);
  const auto task = ray::Task(BeginOnce).Remote(argument);
  ray::Cancel(task, /*force=*/true);
  EXPECT_THROW(task.Get(), RayTaskCancelledException);
  ray::Cancel(argument);
  WaitUntil(heard, 1);
  EXPECT_EQ(began, 1);
}

TEST_F(LocalCancelTest, TasksOfACancelledTaskAreCancelledWithIt) {
  const auto task = ray::Task(ParentTask).Remote();
  WaitUntil(began, 1);
  ray::Cancel(task);
  EXPECT_THROW(task.Get(), RayTaskCancelledException);
  WaitUntil(heard, 1);
}

TEST_F(LocalCancelTest, AResultThatIsThereStaysAndAValueOfPutCannotBeCancelled) {
  const auto task = ray::Task(SumOfTwo).Remote(1, 2);
  EXPECT_EQ(*task.Get(), 3);
  ray::Cancel(task);
  EXPECT_EQ(*task.Get(), 3);
  EXPECT_THROW(ray::Cancel(ray::Put(1)), RayException);
}

TEST_F(LocalCancelTest, ARunningCallHearsOfItAndThoseBehindItNeverBegin) {
  auto calls = ray::Actor(Calls::Create).Remote();
  const auto running = calls.Task(&Calls::WaitForCancel).Remote();
  WaitUntil(began, 1);
  const auto behind = calls.Task(&Calls::WaitForCancel).Remote();
  ray::Cancel(behind);
  EXPECT_THROW(behind.Get(), RayTaskCancelledException);
  ray::Cancel(running);
  EXPECT_THROW(running.Get(), RayTaskCancelledException);
  EXPECT_EQ(*calls.Task(&Calls::One).Remote().Get(), 1);
  EXPECT_EQ(began, 1);
  EXPECT_EQ(heard, 1);
}

TEST_F(LocalCancelTest, FuturesBecomeReadyWithValueOrException) {
  auto sum = ray::GetAsync(ray::Task(SumOfTwo).Remote(1, 2));
  ASSERT_EQ(sum.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(*sum.get(), 3);
  std::future<void> nothing = ray::GetAsync(ray::Task(DoNothing).Remote());
  ASSERT_EQ(nothing.wait_for(kPatience), std::future_status::ready);
  nothing.get();
  EXPECT_THROW(ray::GetAsync(ray::Task(ThrowUntil).Remote(2)).get(), RayTaskException);
}

TEST_F(LocalCancelTest, AFutureOfALongTaskWaitsAndEndsWithIt) {
  const auto task = ray::Task(WaitForCancel).Remote();
  auto future = ray::GetAsync(task);
  EXPECT_EQ(future.wait_for(0s), std::future_status::timeout);
  ray::Cancel(task);
  EXPECT_THROW(future.get(), RayTaskCancelledException);
}

TEST_F(LocalCancelTest, ShutdownEndsFutures) {
  const auto argument = ray::Task(WaitForCancel).Remote();
  WaitUntil(began, 1);
  auto future = ray::GetAsync(ray::Task(BeginOnce).Remote(argument));
  std::thread shutdown([] { ray::Shutdown(); });
  EXPECT_EQ(future.wait_for(0s), std::future_status::timeout);
  ray::Cancel(argument);
  shutdown.join();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
}

TEST_F(LocalCancelTest, OneNodeHasTheCpusOfTheMachine) {
  const auto nodes = ray::Nodes();
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_TRUE(nodes[0].alive && nodes[0].is_this_node);
  EXPECT_GE(ray::ClusterResources()["CPU"], 1);
  EXPECT_EQ(ray::AvailableResources(), ray::ClusterResources());
}

TEST_F(LocalCancelTest, ATaskThatThrowsRunsAgainWhereAskedFor) {
  EXPECT_EQ(*ray::Task(ThrowUntil).SetRetryExceptions().Remote(4).Get(), 4);
  EXPECT_THROW(ray::Task(ThrowUntil).SetRetryExceptions().SetMaxRetries(1).Remote(100).Get(), RayTaskException);
  EXPECT_EQ(runs, 6);
  EXPECT_THROW(ray::Task(ThrowUntil).Remote(100).Get(), RayTaskException);
  EXPECT_EQ(runs, 7);
  EXPECT_EQ(*ray::Task(ThrowUntil).SetMaxRetries(-1).SetRetryExceptions().Remote(20).Get(), 20) << "for ever";
  runs = 7;
  auto calls = ray::Actor(Calls::Create).SetMaxTaskRetries(2).Remote();
  EXPECT_EQ(*calls.Task(&Calls::ThrowUntil).SetRetryExceptions().Remote(9).Get(), 9);
}

TEST_F(LocalCancelTest, AQueuedCallWithRetriesSurvivesTheRestartOfItsActor) {
  auto calls = ray::Actor(Calls::Create).SetMaxRestarts(1).Remote();
  const auto first = calls.Task(&Calls::Wait).Remote();
  WaitUntil(began, 1);
  const auto repeated = calls.Task(&Calls::One).SetMaxRetries(1).Remote();
  const auto lost = calls.Task(&Calls::One).Remote();
  calls.Kill(/*no_restart=*/false);
  heard = 1;
  EXPECT_EQ(*first.Get(), 1);
  EXPECT_EQ(*repeated.Get(), 1);
  EXPECT_THROW(lost.Get(), RayActorException);
}

TEST_F(LocalCancelTest, AHandleComesBackFromItsBytes) {
  auto calls = ray::Actor(Calls::Create).SetMaxTaskRetries(2).Remote();
  const auto copy = ray::ActorHandle<Calls>::FromBytes(calls.ToBytes());
  EXPECT_TRUE(copy == calls);
  EXPECT_EQ(*copy.Task(&Calls::One).SetName("one").SetResource("CPU", 1).Remote().Get(), 1);
  EXPECT_THROW(ray::ActorHandle<Calls>::FromBytes("nonsense"), RayException);
  EXPECT_EQ(ray::ActorHandle<Calls>().ToBytes(), "");
}

}  // namespace cancel_test
