// Actors that run several calls at a time, through real daemons and real processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/own_time.h"

namespace cluster_test::threads {
namespace {

using raylet::test::Eventually;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

// Calls that wait for one another inside one actor.
class Hall {
 public:
  static Hall* Create() { return new Hall(); }

  // Waits until Open; false at the end of the patience.
  bool Wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    return changed_.wait_for(lock, kPatience, [this] { return open_; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int Waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  // Waits until `count` calls of it are under way. Returns how many there were.
  int Meet(int count) {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++here_);
    changed_.notify_all();
    changed_.wait_for(lock, kPatience, [&] { return most_ >= count; });
    --here_;
    return most_;
  }
  int Most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  // Through a handle of this very actor.
  int WaitingThrough(ray::ActorHandle<Hall> self) { return *self.Task(&Hall::Waiting).Remote().Get(); }
  int Throw() { throw std::out_of_range("past the end"); }
  std::string Echo(const std::string& text) { return text; }
  int Pid() { return ::getpid(); }
  void Exit() { ray::ExitActor(); }
  int Keep(const ray::Array<float>& array) {
    const std::lock_guard lock(mutex_);
    kept_.push_back(array);
    return static_cast<int>(kept_.size());
  }
  float Sum() {
    const std::lock_guard lock(mutex_);
    float sum = 0;
    for (const auto& array : kept_) sum += array[array.size() - 1];
    return sum;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0, here_ = 0, most_ = 0;
  std::vector<ray::Array<float>> kept_;
};

// Calls the actor again and again until the file `path` exists. Returns how many calls were answered.
int CallUntil(ray::ActorHandle<Hall> hall, const std::string& path) {
  int calls = 0;
  std::vector<ray::ObjectRef<std::string>> under_way;
  while (::access(path.c_str(), F_OK) != 0) {
    under_way.push_back(hall.Task(&Hall::Echo).Remote(std::string("x")));
    if (under_way.size() < 1000) continue;
    ray::Get(under_way);
    calls += static_cast<int>(under_way.size());
    under_way.clear();
  }
  return calls;
}

RAY_REMOTE(Hall::Create, &Hall::Wait, &Hall::Open, &Hall::Waiting, &Hall::Meet, &Hall::Most, &Hall::WaitingThrough,
           &Hall::Throw, &Hall::Echo, &Hall::Pid, &Hall::Exit, &Hall::Keep, &Hall::Sum, CallUntil);

class ThreadedActorTest : public ClusterTest {
 protected:
  static ray::ActorHandle<Hall> Make(int max_concurrency, int max_restarts = 0) {
    return ray::Actor(Hall::Create).SetMaxConcurrency(max_concurrency).SetMaxRestarts(max_restarts).Remote();
  }
  static void WaitForWaiting(const ray::ActorHandle<Hall>& hall, int count) {
    ASSERT_TRUE(Eventually(kPatience, [&] { return *hall.Task(&Hall::Waiting).Remote().Get() == count; }));
  }
};

TEST_F(ThreadedActorTest, RunsCallsOfOneCallerBesideEachOther) {
  auto hall = Make(3);
  const auto first = hall.Task(&Hall::Wait).Remote();
  const auto second = hall.Task(&Hall::Wait).Remote();
  WaitForWaiting(hall, 2);
  hall.Task(&Hall::Open).Remote();
  EXPECT_TRUE(*first.Get());
  EXPECT_TRUE(*second.Get());
}

TEST_F(ThreadedActorTest, RunsAsManyCallsAtATimeAsWereAskedForAndNoMore) {
  auto hall = Make(4);
  std::vector<ray::ObjectRef<int>> calls;
  for (int i = 0; i < 40; ++i) calls.push_back(hall.Task(&Hall::Meet).Remote(4));
  for (const auto& call : calls) EXPECT_EQ(*call.Get(), 4);
}

TEST_F(ThreadedActorTest, MayCallItself) {
  auto hall = Make(2);
  EXPECT_EQ(*hall.Task(&Hall::WaitingThrough).Remote(hall).Get(), 0);
}

TEST_F(ThreadedActorTest, AnswersTenThousandCallsEachWithItsOwnResult) {
  auto hall = Make(8);
  std::vector<ray::ObjectRef<std::string>> calls;
  for (int i = 0; i < 10'000; ++i) calls.push_back(hall.Task(&Hall::Echo).Remote(std::to_string(i)));
  for (size_t i = 0; i < calls.size(); ++i) ASSERT_EQ(*calls[i].Get(), std::to_string(i));
}

TEST_F(ThreadedActorTest, ExceptionsAndLargeResultsComeBackWhileAnotherCallWaits) {
  auto hall = Make(2);
  const auto waiting = hall.Task(&Hall::Wait).Remote();
  EXPECT_THROW(hall.Task(&Hall::Throw).Remote().Get(), ray::internal::RayTaskException);
  const std::string large(1'000'000, 'x');
  EXPECT_EQ(*hall.Task(&Hall::Echo).Remote(large).Get(), large);
  hall.Task(&Hall::Open).Remote();
  EXPECT_TRUE(*waiting.Get());
}

TEST_F(ThreadedActorTest, KeepsArraysThatItsCallsWereGiven) {
  auto hall = Make(2);
  std::vector<ray::ObjectRef<int>> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(hall.Task(&Hall::Keep).Remote(ray::Task(Ramp).Remote(10)));
  ray::Get(calls);
  EXPECT_EQ(*hall.Task(&Hall::Sum).Remote().Get(), 20 * 9.0F);
}

TEST_F(ThreadedActorTest, ACallThatExitsEndsTheActorWhileAnotherOneWaits) {
  auto hall = Make(2, /*max_restarts=*/-1);
  const int pid = *hall.Task(&Hall::Pid).Remote().Get();
  const auto waiting = hall.Task(&Hall::Wait).Remote();
  EXPECT_THROW(hall.Task(&Hall::Exit).Remote().Get(), ray::internal::RayActorException);
  EXPECT_THROW(waiting.Get(), ray::internal::RayActorException);
  EXPECT_THROW(hall.Task(&Hall::Pid).Remote().Get(), ray::internal::RayActorException);
  // The raylet would kill it after 5 s.
  const raylet::test::OwnTime time;
  EXPECT_TRUE(Eventually(30s, [&] { return ::kill(pid, 0) != 0; }));
  EXPECT_LT(time.Elapsed(), 4s) << "the process waits for the other call";
}

TEST_F(ThreadedActorTest, AllCallsUnderWayFailWithTheProcessAndTheNextOneServes) {
  auto hall = Make(3, /*max_restarts=*/1);
  const int pid = *hall.Task(&Hall::Pid).Remote().Get();
  const auto first = hall.Task(&Hall::Wait).Remote();
  const auto second = hall.Task(&Hall::Wait).Remote();
  WaitForWaiting(hall, 2);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  for (const auto* call : {&first, &second}) {
    try {
      call->Get();
      ADD_FAILURE() << "it was answered by a killed process";
    } catch (const ray::internal::RayActorException& e) {
      EXPECT_TRUE(e.may_have_run()) << e.what();
    }
  }
  const auto third = hall.Task(&Hall::Wait).Remote();
  WaitForWaiting(hall, 1);
  hall.Task(&Hall::Open).Remote();
  EXPECT_TRUE(*third.Get());
}

TEST_F(ThreadedActorTest, ADroppedActorFinishesItsCalls) {
  std::vector<ray::ObjectRef<int>> calls;
  {
    auto hall = Make(2);
    for (int i = 0; i < 20; ++i) calls.push_back(hall.Task(&Hall::Meet).Remote(2));
  }
  for (const auto& call : calls) EXPECT_EQ(*call.Get(), 2);
}

TEST_F(ThreadedActorTest, ACallerWithManyCallsLeavesThreadsToTheOthers) {
  auto hall = Make(2);
  const std::string path = testing::TempDir() + "threads_stop." + std::to_string(::getpid());
  const auto greedy = ray::Task(CallUntil).Remote(hall, path);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(*hall.Task(&Hall::Echo).Remote(std::string("y")).Get(), "y");
  std::fclose(std::fopen(path.c_str(), "w"));
  greedy.Get();
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace cluster_test::threads
