// Cancel, actors with threads, repeated calls and ray::Nodes across machines. The driver belongs to machine A; only B
// has the resource "there".
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <string>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/two_machines.h"

namespace cluster_test {
namespace {

using ray::internal::RayActorException;
using ray::internal::RayTaskCancelledException;
using raylet::test::Eventually;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

void Touch(const std::string& path) {
  std::ofstream(path + ".new") << ::getpid() << std::flush;
  ::rename((path + ".new").c_str(), path.c_str());
}
int PidIn(const std::string& path) {
  int pid = 0;
  std::ifstream(path) >> pid;
  return pid;
}

int WaitForCancelThere(const std::string& path) {
  Touch(path + ".began");
  if (!Eventually(kPatience, [] { return ray::IsCancelled(); })) return 0;
  Touch(path + ".heard");
  return 1;
}
int StubbornThere(const std::string& path) {
  Touch(path + ".began");
  for (;;) ::pause();
}

// Calls that wait for one another.
class Pair {
 public:
  static Pair* Create() { return new Pair(); }
  bool Wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [this] { return open_; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int DieOnce(const std::string& path) {
    if (::access(path.c_str(), F_OK) == 0) return 1;
    Touch(path);
    ::kill(::getpid(), SIGKILL);
    return 0;
  }
  int WaitForCancel(const std::string& path) { return WaitForCancelThere(path); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

RAY_REMOTE(WaitForCancelThere, StubbornThere, Pair::Create, &Pair::Wait, &Pair::Open, &Pair::DieOnce,
           &Pair::WaitForCancel);

class RemoteCallsTest : public raylet::test::TwoMachines {
 protected:
  bool Awaits(const std::string& what) {
    return Eventually(kPatience, [&] { return PidIn(path_ + what) != 0; });
  }

  const std::string path_ = folder_.File("task");
};

TEST_F(RemoteCallsTest, ATaskThereHearsThatItIsCancelled) {
  const auto task = ray::Task(WaitForCancelThere).SetResource("there", 1).Remote(path_);
  ASSERT_TRUE(Awaits(".began"));
  ray::Cancel(task);
  EXPECT_THROW(task.Get(), RayTaskCancelledException);
  EXPECT_TRUE(Awaits(".heard"));
  EXPECT_EQ(*ray::Task(Add).SetResource("there", 2).Remote(1, 2).Get(), 3) << "its resources are free again";
}

TEST_F(RemoteCallsTest, ACallOfAnActorThereHearsThatItIsCancelled) {
  auto pair = ray::Actor(Pair::Create).SetResource("there", 1).Remote();
  const auto call = pair.Task(&Pair::WaitForCancel).Remote(path_);
  ASSERT_TRUE(Awaits(".began"));
  const auto behind = pair.Task(&Pair::WaitForCancel).Remote(path_ + ".behind");
  ray::Cancel(behind);
  ray::Cancel(call);
  EXPECT_THROW(call.Get(), RayTaskCancelledException);
  EXPECT_THROW(behind.Get(), RayTaskCancelledException);
  EXPECT_TRUE(Awaits(".heard"));
  pair.Task(&Pair::Open).Remote().Get();  // the actor has taken all that lay before this
  EXPECT_EQ(PidIn(path_ + ".behind.began"), 0);
}

TEST_F(RemoteCallsTest, ForceEndsAWorkerThere) {
  const auto task = ray::Task(StubbornThere).SetResource("there", 1).Remote(path_);
  ASSERT_TRUE(Awaits(".began"));
  ray::Cancel(task, /*force=*/true);
  EXPECT_THROW(task.Get(), RayTaskCancelledException);
  EXPECT_TRUE(Eventually(kPatience, [&] { return ::kill(PidIn(path_ + ".began"), 0) != 0; }));
  EXPECT_EQ(*ray::Task(Add).SetResource("there", 2).Remote(1, 2).Get(), 3);
}

TEST_F(RemoteCallsTest, ATaskThatWaitsThereNeverBegins) {
  const auto first = ray::Task(WaitForCancelThere).SetResource("there", 2).Remote(path_);
  ASSERT_TRUE(Awaits(".began"));
  const auto second = ray::Task(StubbornThere).SetResource("there", 2).Remote(path_ + ".second");
  ray::Cancel(second);
  EXPECT_THROW(second.Get(), RayTaskCancelledException);
  ray::Cancel(first);
  ASSERT_TRUE(Awaits(".heard"));
  EXPECT_EQ(*ray::Task(Add).SetResource("there", 2).Remote(1, 2).Get(), 3);
  EXPECT_EQ(PidIn(path_ + ".second.began"), 0);
}

TEST_F(RemoteCallsTest, CallsOfAnActorThereOverlap) {
  auto pair = ray::Actor(Pair::Create).SetResource("there", 1).SetMaxConcurrency(2).Remote();
  const auto waiting = pair.Task(&Pair::Wait).Remote();
  pair.Task(&Pair::Open).Remote().Get();
  EXPECT_TRUE(*waiting.Get());
}

TEST_F(RemoteCallsTest, ACallRunsAgainInTheNextProcessOfAnActorThere) {
  auto pair = ray::Actor(Pair::Create).SetResource("there", 1).SetMaxRestarts(1).SetMaxTaskRetries(1).Remote();
  EXPECT_EQ(*pair.Task(&Pair::DieOnce).Remote(path_).Get(), 1);
}

TEST_F(RemoteCallsTest, NodesAreAllMachinesWithTheirResources) {
  ASSERT_TRUE(Eventually(kPatience, [] { return ray::ClusterResources()["there"] == 2; }));
  const auto nodes = ray::Nodes();
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_TRUE(nodes[0].is_this_node && !nodes[1].is_this_node);
  EXPECT_EQ(nodes[0].address, a_.address);
  EXPECT_EQ(nodes[1].address, b_.address);
  EXPECT_EQ(ray::ClusterResources()["CPU"], 4);
  b_.raylet->Signal(SIGKILL);
  EXPECT_TRUE(Eventually(kPatience, [] { return !ray::Nodes().at(1).alive; }));
  EXPECT_EQ(ray::ClusterResources()["CPU"], 2);
}

TEST_F(RemoteCallsTest, AValueOfAnotherMachineComesByAFuture) {
  auto text = ray::GetAsync(ray::Task(Repeat).SetResource("there", 1).Remote(std::string("0123456789"), 100'000));
  ASSERT_EQ(text.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(text.get()->size(), 1'000'000u);
}

}  // namespace
}  // namespace cluster_test
