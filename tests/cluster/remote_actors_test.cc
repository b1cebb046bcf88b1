// Actors on other machines. The driver belongs to machine A, so A is the home of its actors. B has the
// resource "there", C has "yonder".
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/two_machines.h"

namespace cluster_test {

// A task that creates an actor with the resource that it needs, and returns its handle.
ray::ActorHandle<Counter> CreateAt(const std::string& resource, int start) {
  return ray::Actor(Counter::Create).SetResource(resource, 1).Remote(start);
}
bool KillThrough(ray::ActorHandle<Counter> counter, bool no_restart) {
  counter.Kill(no_restart);
  return true;
}
// Has a constructor's argument that is large enough to lie in the store.
class Holder {
 public:
  static Holder* Create(const std::string& text) { return new Holder(text); }
  explicit Holder(const std::string& text) : length_(text.size()) {}
  size_t Length() const { return length_; }
  int Pid() const { return WorkerPid(); }

 private:
  size_t length_;
};
RAY_REMOTE(CreateAt, KillThrough, Holder::Create, &Holder::Length, &Holder::Pid);

namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::ParentOf;
using namespace std::chrono_literals;

bool Gone(int pid) { return ::kill(pid, 0) != 0; }

size_t DescriptorsOf(int pid) {
  const std::filesystem::directory_iterator folder("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<size_t>(std::distance(begin(folder), end(folder)));
}

// The error of a call; empty where it does not fail.
template <class Ref>
std::string WhatFails(const Ref& ref) {
  try {
    ref.Get(30'000);
    return "";
  } catch (const ray::internal::RayException& e) {
    return e.what();
  }
}

class RemoteActorsTest : public raylet::test::TwoMachines {
 protected:
  RemoteActorsTest() : TwoMachines(/*there=*/4) {}

  std::unique_ptr<Machine> Another(const std::string& resources) {
    return std::make_unique<Machine>(token_, std::vector<std::string>{"--num-cpus", "2", "--resources", resources,
                                                                      "--peers", a_.address + "," + b_.address});
  }
  static auto CounterAt(const std::string& resource, int max_restarts = 0) {
    return ray::Actor(Counter::Create).SetResource(resource, 1).SetMaxRestarts(max_restarts).Remote(0);
  }
  void NothingIsLeft(const Machine& machine) {
    EXPECT_TRUE(Eventually(30s, [&] { return machine.OwnedObjects() == 0; })) << machine.OwnedObjects();
  }
};

TEST_F(RemoteActorsTest, AnActorLivesWhereItsResourcesAreAndIsCalledFromHere) {
  auto counter = CounterAt("there");
  EXPECT_EQ(ParentOf(*counter.Task(&Counter::Pid).Remote().Get()), b_.raylet->pid());
  for (int i = 1; i <= 100; ++i) ASSERT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(), i);
  EXPECT_NE(WhatFails(counter.Task(&Counter::Throw).Remote()).find("past the end"), std::string::npos);
  EXPECT_EQ(*counter.Task(&Counter::AddInATask).Remote(5).Get(), 105);
}

TEST_F(RemoteActorsTest, TenThousandPipelinedCallsRunInOrderAndTheLastAnswersComeBeforeItsEnd) {
  auto counter = CounterAt("there");
  std::vector<ray::ObjectRef<void>> calls;
  for (int i = 0; i < 10'000; ++i) calls.push_back(counter.Task(&Counter::Append).Remote(i));
  const auto log = counter.Task(&Counter::Log).Remote();
  const auto exit = counter.Task(&Counter::Exit).Remote();
  for (const auto& call : calls) call.Get();
  const auto numbers = log.Get();
  ASSERT_EQ(numbers->size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ((*numbers)[static_cast<size_t>(i)], i);
  EXPECT_NE(WhatFails(exit).find("ExitActor"), std::string::npos);
  EXPECT_NE(WhatFails(counter.Task(&Counter::Value).Remote()).find("ExitActor"), std::string::npos);
}

TEST_F(RemoteActorsTest, HandlesWorkInTasksOfEveryMachine) {
  const auto c = Another(R"({"yonder": 4})");
  auto there = CounterAt("there");
  auto here = ray::Actor(Counter::Create).Remote(0);
  std::vector<ray::ObjectRef<int>> calls;
  for (auto* counter : {&there, &here}) {
    for (const char* resource : {"there", "yonder", "CPU"})
      for (int i = 0; i < 5; ++i) calls.push_back(ray::Task(CallThrough).SetResource(resource, 1).Remote(*counter, 1));
    for (int i = 0; i < 100; ++i) calls.push_back(counter->Task(&Counter::Increment).Remote(1));
  }
  for (const auto& call : calls) call.Get(30'000);
  EXPECT_EQ(*there.Task(&Counter::Value).Remote().Get(), 115);
  EXPECT_EQ(*here.Task(&Counter::Value).Remote().Get(), 115);
}

TEST_F(RemoteActorsTest, LargeValuesGoBothWaysAndAResultOutlivesItsActor) {
  const std::string text(3'000'000, 'x');
  {
    auto counter = CounterAt("there");
    EXPECT_EQ(*counter.Task(&Counter::Length).Remote(text).Get(), 3'000'000);
    const auto put = ray::Put(text);
    EXPECT_EQ(*counter.Task(&Counter::Length).Remote(put).Get(), 3'000'000);
    const auto kept = counter.Task(&Counter::Echo).Remote(put);
    ASSERT_EQ(ray::Wait(std::vector<ray::ObjectRef<std::string>>{kept}, 1, 20'000).ready.size(), 1u);
    const int pid = *counter.Task(&Counter::Pid).Remote().Get();
    counter.Kill();
    ASSERT_TRUE(Eventually(30s, [&] { return Gone(pid); }));
    EXPECT_EQ(*kept.Get(), text);
    EXPECT_EQ(*ray::Task(Length).SetResource("there", 1).Remote(kept).Get(), text.size());
  }
  NothingIsLeft(a_);
  NothingIsLeft(b_);
}

TEST_F(RemoteActorsTest, AKilledWorkerIsNamedWithItsMachineAndRestartsWhereItMay) {
  auto mortal = CounterAt("there");
  auto restarts = CounterAt("there", 1);
  for (auto* counter : {&mortal, &restarts}) {
    const int pid = *counter->Task(&Counter::Pid).Remote().Get();
    const auto under_way = counter->Task(&Counter::Sleep).Remote(60'000);
    ::kill(pid, SIGKILL);
    const std::string what = WhatFails(under_way);
    EXPECT_NE(what.find("SIGKILL"), std::string::npos) << what;
    EXPECT_NE(what.find(b_.address), std::string::npos) << what;
  }
  EXPECT_NE(WhatFails(mortal.Task(&Counter::Value).Remote()).find("SIGKILL"), std::string::npos);
  EXPECT_EQ(*restarts.Task(&Counter::Increment).Remote(3).Get(20'000), 3);
}

TEST_F(RemoteActorsTest, AKilledMachinesActorsRestartElsewhereOrSayWhereTheyWere) {
  auto mortal = CounterAt("there");
  auto restarts = CounterAt("there", -1);
  mortal.Task(&Counter::Increment).Remote(1).Get();
  restarts.Task(&Counter::Increment).Remote(1).Get();
  const auto under_way = mortal.Task(&Counter::Sleep).Remote(60'000);
  b_.raylet->Kill();
  const auto c = Another(R"({"there": 4})");
  for (const std::string& what : {WhatFails(under_way), WhatFails(mortal.Task(&Counter::Value).Remote())}) {
    EXPECT_NE(what.find("the machine at " + b_.address), std::string::npos) << what;
  }
  // Until the actor's end is known, calls fail with it.
  int value = 0;
  ASSERT_TRUE(Eventually(20s, [&] {
    try {
      value = *restarts.Task(&Counter::Increment).Remote(1).Get(20'000);
      return true;
    } catch (const ray::internal::RayActorException&) {
      return false;
    }
  }));
  EXPECT_EQ(value, 1) << "it began anew";
  EXPECT_EQ(ParentOf(*restarts.Task(&Counter::Pid).Remote().Get()), c->raylet->pid());
}

TEST_F(RemoteActorsTest, AKilledHomeTakesItsActorsWithItWhereverTheyRun) {
  const auto c = Another(R"({"yonder": 4})");
  // B is its home, C runs it, A's driver calls it.
  auto counter = *ray::Task(CreateAt).SetResource("there", 1).Remote(std::string("yonder"), 7).Get(20'000);
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(20'000), 8);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  EXPECT_EQ(ParentOf(pid), c->raylet->pid());
  const auto under_way = counter.Task(&Counter::Sleep).Remote(60'000);
  b_.raylet->Kill();
  for (const std::string& what : {WhatFails(under_way), WhatFails(counter.Task(&Counter::Value).Remote())})
    EXPECT_NE(what.find(b_.address), std::string::npos) << what;
  EXPECT_TRUE(Eventually(30s, [&] { return Gone(pid); }));
}

TEST_F(RemoteActorsTest, AConstructorsLargeArgumentIsThereAgainWhenItStartsAgain) {
  {
    auto holder =
        ray::Actor(Holder::Create).SetResource("there", 1).SetMaxRestarts(1).Remote(std::string(500'000, 'x'));
    const int pid = *holder.Task(&Holder::Pid).Remote().Get(20'000);
    ::kill(pid, SIGKILL);
    ASSERT_TRUE(Eventually(20s, [&] {
      try {
        return *holder.Task(&Holder::Length).Remote().Get(20'000) == 500'000u;
      } catch (const ray::internal::RayActorException&) {
        return false;
      }
    }));
  }
  NothingIsLeft(a_);
  NothingIsLeft(b_);
}

TEST_F(RemoteActorsTest, ADetachedOneOutlivesItsDriverAndStartsAgainWithoutIt) {
  ray::Shutdown();
  ray::RayConfig config;
  config.address = a_.socket();
  config.ray_namespace = "test";
  config.default_actor_lifetime = ray::ActorLifetime::DETACHED;
  ray::Init(config);
  int pid = 0;
  {
    auto counter = ray::Actor(Counter::Create).SetName("ps").SetResource("there", 1).SetMaxRestarts(1).Remote(5);
    EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(20'000), 6);
    pid = *counter.Task(&Counter::Pid).Remote().Get();
  }
  ray::Shutdown();
  ray::Init(config);
  auto counter = ray::GetActor<Counter>("ps");
  ASSERT_TRUE(counter);
  EXPECT_EQ(*counter->Task(&Counter::Increment).Remote(1).Get(20'000), 7);
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(Eventually(20s, [&] {
    try {
      return *counter->Task(&Counter::Value).Remote().Get(20'000) == 5;
    } catch (const ray::internal::RayActorException&) {
      return false;
    }
  }));
  const int second = *counter->Task(&Counter::Pid).Remote().Get();
  counter->Kill();
  EXPECT_TRUE(Eventually(30s, [&] { return Gone(second); }));
  EXPECT_FALSE(ray::GetActor<Counter>("ps"));
}

TEST_F(RemoteActorsTest, AMachineThatIsCalledDeadAndComesBackHasNoActorTwice) {
  ray::Shutdown();
  const std::vector<std::string> patience = {"--peer-silent-after", "1", "--peer-dead-after", "3"};
  const auto flags = [&](std::vector<std::string> more) {
    more.insert(more.end(), patience.begin(), patience.end());
    return more;
  };
  Machine a(token_, flags({"--num-cpus", "2"}));
  Machine b(token_, flags({"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", a.address}));
  ray::RayConfig config;
  config.address = a.socket();
  ray::Init(config);
  auto counter = CounterAt("there", -1);
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(1).Get(20'000), 1);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  Machine c(token_, flags({"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", a.address}));
  b.raylet->Signal(SIGSTOP);
  EXPECT_NE(WhatFails(counter.Task(&Counter::Sleep).Remote(60'000)).find(b.address), std::string::npos);
  const auto again = counter.Task(&Counter::Pid).Remote();
  EXPECT_EQ(ParentOf(*again.Get(20'000)), c.raylet->pid());
  b.raylet->Signal(SIGCONT);
  EXPECT_TRUE(Eventually(20s, [&] { return Gone(pid); }));
  EXPECT_EQ(*counter.Task(&Counter::Pid).Remote().Get(20'000), *again.Get());
}

TEST_F(RemoteActorsTest, EveryMachineMayKillAndRestartIt) {
  const auto c = Another(R"({"yonder": 4})");
  auto counter = CounterAt("there");
  EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(5).Get(), 5);
  const int pid = *counter.Task(&Counter::Pid).Remote().Get();
  EXPECT_TRUE(*ray::Task(KillThrough).SetResource("yonder", 1).Remote(counter, false).Get(20'000));
  ASSERT_TRUE(Eventually(30s, [&] { return Gone(pid); }));
  ASSERT_TRUE(Eventually(20s, [&] {
    try {
      return *counter.Task(&Counter::Value).Remote().Get(20'000) == 0;
    } catch (const ray::internal::RayActorException&) {
      return false;
    }
  }));
  EXPECT_TRUE(*ray::Task(KillThrough).SetResource("yonder", 1).Remote(counter, true).Get(20'000));
  EXPECT_TRUE(Eventually(
      30s, [&] { return WhatFails(counter.Task(&Counter::Value).Remote()).find("Kill()") != std::string::npos; }));
}

TEST_F(RemoteActorsTest, AnActorThatCannotBeMadeSaysWhy) {
  auto broken = ray::Actor(Counter::Broken).SetResource("there", 1).Remote();
  const std::string what = WhatFails(broken.Task(&Counter::Value).Remote());
  EXPECT_NE(what.find("no counter today"), std::string::npos) << what;
}

TEST_F(RemoteActorsTest, ActorsThatComeAndGoLeaveNothingBehind) {
  const auto round = [&] {
    std::vector<ray::ActorHandle<Counter>> counters;
    for (int i = 0; i < 4; ++i) counters.push_back(CounterAt("there"));
    for (auto& counter : counters) EXPECT_EQ(*counter.Task(&Counter::Increment).Remote(2).Get(20'000), 2);
    EXPECT_EQ(*ray::Task(CallThrough).SetResource("CPU", 1).Remote(counters[0], 1).Get(20'000), 3);
    counters[1].Kill();
  };
  round();
  size_t before[2] = {};
  ASSERT_TRUE(Eventually(30s, [&] {  // until it stays so
    const size_t now[2] = {DescriptorsOf(a_.raylet->pid()), DescriptorsOf(b_.raylet->pid())};
    const bool settled = now[0] == before[0] && now[1] == before[1];
    std::copy(std::begin(now), std::end(now), before);
    return settled;
  }));
  for (int i = 0; i < 3; ++i) round();
  EXPECT_TRUE(Eventually(
      30s,
      [&] { return DescriptorsOf(a_.raylet->pid()) <= before[0] && DescriptorsOf(b_.raylet->pid()) <= before[1]; }))
      << DescriptorsOf(a_.raylet->pid()) << " of " << before[0] << " at A, " << DescriptorsOf(b_.raylet->pid())
      << " of " << before[1] << " at B";
  NothingIsLeft(a_);
  NothingIsLeft(b_);
}

}  // namespace
}  // namespace cluster_test
