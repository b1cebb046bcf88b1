// ray::Cancel through real daemons: tasks that wait here, wait at the raylet, and run, by lease and by the raylet.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/ray/cluster/cluster_fixture.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"
#include "tests/harness/stop_process.h"

namespace cluster_test::cancel {
namespace {

using ray::internal::RayException;
using ray::internal::RayTaskCancelledException;
using raylet::test::Eventually;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
// The file is there with its content.
void Touch(const std::string& path) {
  const std::string unready = path + "." + std::to_string(::getpid());
  std::ofstream(unready) << ::getpid() << std::flush;
  ::rename(unready.c_str(), path.c_str());
}
int PidIn(const std::string& path) {
  int pid = 0;
  std::ifstream(path) >> pid;
  return pid;
}

// Says that it begins, and then that it was cancelled. Returns where it is not cancelled before the patience ends.
int WaitForCancel(const std::string& path) {
  Touch(path + ".began");
  if (!Eventually(kPatience, [] { return ray::IsCancelled(); })) return 0;
  Touch(path + ".heard");
  return 1;
}
// Never asks.
int Stubborn(const std::string& path) {
  Touch(path + ".began");
  for (;;) ::pause();
}
int Began(const std::string& path) {
  Touch(path + ".began");
  return 1;
}
// Waits for a task of its own.
int Parent(const std::string& path) {
  const auto child = ray::Task(WaitForCancel).Remote(path + ".child");
  Touch(path + ".began");
  try {
    child.Get();
  } catch (const RayTaskCancelledException&) {
    Touch(path + ".lost_child");
  }
  return *ray::Task(Began).Remote(path + ".after").Get();
}
int ParentOfStubborn(const std::string& path) {
  const auto child = ray::Task(Stubborn).Remote(path + ".child");
  Touch(path + ".began");
  return *child.Get();
}
// Waits for the first of many tasks, none of which begins.
int ParentOfMany(const std::string& path) {
  std::vector<ray::ObjectRef<int>> children;
  for (int i = 0; i < 1'000; ++i)
    children.push_back(ray::Task(Began).SetResource("nowhere", 1).Remote(path + ".child"));
  Touch(path + ".began");
  return *children[0].Get();
}
std::string LargeOnceCancelled(const std::string& path) {
  WaitForCancel(path);
  return std::string(1'000'000, 'x');
}
bool IsCancelledHere() { return ray::IsCancelled(); }

// An actor whose calls wait for their cancel.
class Patient {
 public:
  static Patient* Create() { return new Patient(); }
  int Wait(const std::string& path) { return WaitForCancel(path); }
  int Count(int) { return ++count_; }
  bool IsCancelled() { return ray::IsCancelled(); }
  int ThrowUntilCancelled(const std::string& path) {
    Touch(path + ".began");
    ++throws_;
    if (Eventually(kPatience, [] { return ray::IsCancelled(); })) throw std::runtime_error("cancelled");
    return 0;
  }
  int Throws() { return throws_; }

 private:
  std::atomic<int> count_{0};
  std::atomic<int> throws_{0};
};

RAY_REMOTE(WaitForCancel, Stubborn, Began, Parent, ParentOfStubborn, ParentOfMany, LargeOnceCancelled, IsCancelledHere,
           Patient::Create, &Patient::Wait, &Patient::Count, &Patient::IsCancelled, &Patient::ThrowUntilCancelled,
           &Patient::Throws);

class CancelTest : public ClusterTest {
 protected:
  static void ExpectCancelled(const ray::ObjectRef<int>& ref) { EXPECT_THROW(ref.Get(), RayTaskCancelledException); }
  void WaitFor(const std::string& what) {
    ASSERT_TRUE(Eventually(kPatience, [&] { return Exists(path_ + what); })) << what;
  }
  // Many quick tasks, so that the process leases a worker.
  static void LeaseAWorker() {
    std::vector<ray::ObjectRef<int>> tasks;
    for (int i = 0; i < 2'000; ++i) tasks.push_back(ray::Task(Add).Remote(1, i));
    ray::Get(tasks);
  }
  // Two tasks hold both CPUs while a hundred others are submitted and cancelled.
  void ExpectNoneBeginsBehindBusyWorkers() {
    std::vector<ray::ObjectRef<int>> busy;
    for (int i = 0; i < 2; ++i) busy.push_back(ray::Task(WaitForCancel).Remote(path_ + std::to_string(i)));
    for (int i = 0; i < 2; ++i) WaitFor(std::to_string(i) + ".began");
    std::vector<ray::ObjectRef<int>> queued;
    for (int i = 0; i < 100; ++i) queued.push_back(ray::Task(Began).Remote(path_ + ".queued"));
    for (const auto& task : queued) ray::Cancel(task);
    for (const auto& task : queued) ExpectCancelled(task);
    for (const auto& task : busy) ray::Cancel(task);
    EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
    EXPECT_FALSE(Exists(path_ + ".queued.began"));
  }
  const raylet::test::RunFolder folder_;
  const std::string path_ = folder_.File("task");
};

TEST_F(CancelTest, ARunningTaskHearsOfItAndItsGetterDoesNotWait) {
  const auto task = ray::Task(WaitForCancel).Remote(path_);
  WaitFor(".began");
  ray::Cancel(task);
  ExpectCancelled(task);
  WaitFor(".heard");
  EXPECT_FALSE(*ray::Task(IsCancelledHere).Remote().Get()) << "the next task of that worker";
}

TEST_F(CancelTest, ATaskOnALeasedWorkerHearsOfIt) {
  LeaseAWorker();
  const auto task = ray::Task(WaitForCancel).Remote(path_);
  WaitFor(".began");
  ray::Cancel(task);
  ExpectCancelled(task);
  WaitFor(".heard");
}

TEST_F(CancelTest, AThreadThatWaitsWakes) {
  const auto task = ray::Task(WaitForCancel).Remote(path_);
  std::atomic<bool> thrown{false};
  std::thread waiter([&] {
    try {
      task.Get();
    } catch (const RayTaskCancelledException&) {
      thrown = true;
    }
  });
  WaitFor(".began");
  ray::Cancel(task);
  waiter.join();
  EXPECT_TRUE(thrown);
}

TEST_F(CancelTest, ATaskThatWaitsForAResourceNeverBegins) {
  const auto task = ray::Task(Began).SetResource("nowhere", 1).Remote(path_);
  ray::Cancel(task);
  ExpectCancelled(task);
  EXPECT_FALSE(Exists(path_ + ".began"));
}

TEST_F(CancelTest, TasksBehindBusyWorkersNeverBegin) { ExpectNoneBeginsBehindBusyWorkers(); }

TEST_F(CancelTest, TasksBehindBusyLeasedWorkersNeverBegin) {
  LeaseAWorker();
  ExpectNoneBeginsBehindBusyWorkers();
}

TEST_F(CancelTest, ATaskThatWaitsForAnArgumentNeverBegins) {
  const auto argument = ray::Task(WaitForCancel).Remote(path_);
  const auto task = ray::Task(Add).Remote(argument, 1);
  ray::Cancel(task);
  ExpectCancelled(task);
  ray::Cancel(argument);
}

TEST_F(CancelTest, ATaskWhoseArgumentIsCancelledFails) {
  const auto argument = ray::Task(WaitForCancel).Remote(path_);
  const auto task = ray::Task(Add).Remote(argument, 1);
  ray::Cancel(argument);
  ExpectCancelled(task);
}

TEST_F(CancelTest, ForceEndsTheWorkerAndTheTaskIsNotRepeated) {
  const auto task = ray::Task(Stubborn).Remote(path_);
  WaitFor(".began");
  const int pid = PidIn(path_ + ".began");
  ::unlink((path_ + ".began").c_str());
  ray::Cancel(task, /*force=*/true);
  ExpectCancelled(task);
  EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(pid, 0) != 0; }));
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
  EXPECT_FALSE(Exists(path_ + ".began"));
}

TEST_F(CancelTest, ForceEndsALeasedWorker) {
  LeaseAWorker();
  const auto task = ray::Task(Stubborn).Remote(path_);
  WaitFor(".began");
  const int pid = PidIn(path_ + ".began");
  ray::Cancel(task, /*force=*/true);
  ExpectCancelled(task);
  EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(pid, 0) != 0; }));
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
}

TEST_F(CancelTest, ForceEndsAWorkerThatIsStopped) {
  const auto task = ray::Task(Stubborn).Remote(path_);
  WaitFor(".began");
  const int pid = PidIn(path_ + ".began");
  ASSERT_TRUE(raylet::test::StopProcess(pid));
  ray::Cancel(task, /*force=*/true);
  EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(pid, 0) != 0; }));
}

TEST_F(CancelTest, TasksOfACancelledTaskAreCancelledWithIt) {
  const auto task = ray::Task(Parent).Remote(path_);
  WaitFor(".child.began");
  ray::Cancel(task);
  ExpectCancelled(task);
  WaitFor(".child.heard");
  WaitFor(".lost_child");
  WaitFor(".after.began");  // it goes on
}

// The first of its tasks that is cancelled ends it, while the others are still being cancelled.
TEST_F(CancelTest, ForceEndsTheWorkerOfATaskThatEndsWithItsTasks) {
  const auto task = ray::Task(ParentOfMany).Remote(path_);
  WaitFor(".began");
  const int parent = PidIn(path_ + ".began");
  ray::Cancel(task, /*force=*/true);
  EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(parent, 0) != 0; }));
}

TEST_F(CancelTest, ForceEndsTheWorkersOfItsTasksToo) {
  const auto task = ray::Task(ParentOfStubborn).Remote(path_);
  WaitFor(".began");
  WaitFor(".child.began");
  const int parent = PidIn(path_ + ".began");
  const int child = PidIn(path_ + ".child.began");
  ray::Cancel(task, /*force=*/true);
  EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(parent, 0) != 0 && ::kill(child, 0) != 0; }));
}

TEST_F(CancelTest, ALargeResultThatComesTooLateIsFreed) {
  const auto large = ray::Task(LargeOnceCancelled).Remote(path_);
  WaitFor(".began");
  ray::Cancel(large);
  EXPECT_THROW(large.Get(), RayTaskCancelledException);
  WaitFor(".heard");
  // The store has 64 MiB: a hundred results that stay would fill it.
  for (int i = 0; i < 80; ++i) {
    const std::string path = path_ + std::to_string(i);
    const auto task = ray::Task(LargeOnceCancelled).Remote(path);
    ASSERT_TRUE(Eventually(kPatience, [&] { return Exists(path + ".began"); }));
    ray::Cancel(task);
  }
  EXPECT_EQ(ray::Get(ray::Put(std::string(40'000'000, 'y')))->size(), 40'000'000u);
}

TEST_F(CancelTest, AResultThatIsThereStays) {
  const auto task = ray::Task(Add).Remote(1, 2);
  EXPECT_EQ(*task.Get(), 3);
  ray::Cancel(task);
  ray::Cancel(task, /*force=*/true);
  EXPECT_EQ(*task.Get(), 3);
}

TEST_F(CancelTest, ValuesOfPutCannotBeCancelled) {
  EXPECT_THROW(ray::Cancel(ray::Put(1)), RayException);
  EXPECT_FALSE(ray::IsCancelled());
}

TEST_F(CancelTest, ARunningCallOfAnActorHearsOfItAndTheActorServesOn) {
  auto patient = ray::Actor(Patient::Create).Remote();
  const auto call = patient.Task(&Patient::Wait).Remote(path_);
  WaitFor(".began");
  ray::Cancel(call);
  ExpectCancelled(call);
  WaitFor(".heard");
  EXPECT_FALSE(*patient.Task(&Patient::IsCancelled).Remote().Get());
  EXPECT_EQ(*patient.Task(&Patient::Count).Remote(0).Get(), 1);
}

TEST_F(CancelTest, CallsBehindABusyOneNeverBegin) {
  auto patient = ray::Actor(Patient::Create).Remote();
  const auto busy = patient.Task(&Patient::Wait).Remote(path_);
  WaitFor(".began");
  std::vector<ray::ObjectRef<int>> queued;
  for (int i = 0; i < 100; ++i) queued.push_back(patient.Task(&Patient::Count).Remote(i));
  for (const auto& call : queued) ray::Cancel(call);
  for (const auto& call : queued) ExpectCancelled(call);
  ray::Cancel(busy);
  EXPECT_EQ(*patient.Task(&Patient::Count).Remote(0).Get(), 1);
}

TEST_F(CancelTest, ACallThatWaitsForItsArgumentHoldsUpNoOtherOnceItIsCancelled) {
  auto patient = ray::Actor(Patient::Create).Remote();
  const auto argument = ray::Task(WaitForCancel).Remote(path_);
  WaitFor(".began");
  const auto waiting = patient.Task(&Patient::Count).Remote(argument);
  const auto behind = patient.Task(&Patient::Count).Remote(0);
  ray::Cancel(waiting);
  ExpectCancelled(waiting);
  EXPECT_EQ(*behind.Get(), 1);
  ray::Cancel(argument);
}

TEST_F(CancelTest, OnlyTheThreadOfACancelledCallHearsOfIt) {
  auto patient = ray::Actor(Patient::Create).SetMaxConcurrency(2).Remote();
  const auto first = patient.Task(&Patient::Wait).Remote(path_);
  const auto second = patient.Task(&Patient::Wait).Remote(path_ + "2");
  WaitFor(".began");
  WaitFor("2.began");
  ray::Cancel(second);
  WaitFor("2.heard");
  EXPECT_FALSE(Exists(path_ + ".heard"));
  ray::Cancel(first);
  WaitFor(".heard");
}

TEST_F(CancelTest, ACancelledCallIsNotRepeatedForItsException) {
  auto patient = ray::Actor(Patient::Create).Remote();
  const auto call = patient.Task(&Patient::ThrowUntilCancelled).SetMaxRetries(-1).SetRetryExceptions().Remote(path_);
  WaitFor(".began");
  ray::Cancel(call);
  ExpectCancelled(call);
  EXPECT_EQ(*patient.Task(&Patient::Throws).Remote().Get(), 1);
}

TEST_F(CancelTest, ACallOfAnActorIsNotCancelledByForce) {
  auto patient = ray::Actor(Patient::Create).Remote();
  const auto call = patient.Task(&Patient::Wait).Remote(path_);
  WaitFor(".began");
  EXPECT_THROW(ray::Cancel(call, /*force=*/true), RayException);
  ray::Cancel(call);
  WaitFor(".heard");
}

TEST_F(CancelTest, AnAnsweredCallKeepsItsValueAndLaterCallsRun) {
  auto patient = ray::Actor(Patient::Create).Remote();
  const auto call = patient.Task(&Patient::Count).Remote(0);
  EXPECT_EQ(*call.Get(), 1);
  ray::Cancel(call);
  EXPECT_EQ(*call.Get(), 1);
  EXPECT_EQ(*patient.Task(&Patient::Count).Remote(0).Get(), 2);
}

TEST_F(CancelTest, TenThousandTasksAreCancelledWhileTheyRun) {
  std::vector<ray::ObjectRef<int>> tasks;
  for (int i = 0; i < 10'000; ++i) tasks.push_back(ray::Task(Add).Remote(i, 1));
  for (const auto& task : tasks) ray::Cancel(task);
  for (size_t i = 0; i < tasks.size(); ++i) {
    try {
      EXPECT_EQ(*tasks[i].Get(), static_cast<int>(i) + 1);
    } catch (const RayTaskCancelledException&) {}
  }
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(), 3);
}

}  // namespace
}  // namespace cluster_test::cancel
