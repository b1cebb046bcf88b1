// Tasks on other machines, and the objects that follow them. The driver belongs to machine A; only B has the resource
// "there".
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/two_machines.h"

namespace cluster_test {

// Its worker is blocked in Get until there is a file `path`; makes the file `began` first.
int BlockUntil(const std::string& path, const std::string& began) {
  std::ofstream(began).put('x');
  return *ray::Task(OneOnceThereIs).Remote(path).Get();
}
RAY_REMOTE(BlockUntil);

namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::ParentOf;
using namespace std::chrono_literals;

// The flags of a raylet that calls others dead after three seconds.
std::vector<std::string> WithShortPatience(std::vector<std::string> flags) {
  flags.insert(flags.end(), {"--peer-silent-after", "1", "--peer-dead-after", "3"});
  return flags;
}

class RemoteTasksTest : public raylet::test::TwoMachines {
 protected:
  // Tasks that ask for "there" run at B.
  template <class F, class... Arguments>
  auto There(F function, Arguments&&... arguments) {
    return ray::Task(function).SetResource("there", 1).Remote(std::forward<Arguments>(arguments)...);
  }
};

TEST_F(RemoteTasksTest, ATaskRunsWhereItsResourcesAre) {
  EXPECT_EQ(*There(Add, 2, 3).Get(), 5);
  EXPECT_EQ(ParentOf(*There(WorkerPid).Get()), b_.raylet->pid());
  EXPECT_EQ(ParentOf(*ray::Task(WorkerPid).Remote().Get()), a_.raylet->pid());
}

TEST_F(RemoteTasksTest, LargeResultsComeWhenTheyAreAskedForAndGoWithTheirLastReference) {
  {
    const auto text = There(Repeat, std::string("0123456789"), 300'000);
    EXPECT_EQ(text.Get()->size(), 3'000'000u);
    EXPECT_EQ(*ray::Task(Length).Remote(text).Get(), 3'000'000u);
    EXPECT_EQ(*There(Length, text).Get(), 3'000'000u);
    EXPECT_GE(b_.StoredObjects(), 1u);
  }
  EXPECT_TRUE(Eventually(30s, [&] { return a_.StoredObjects() == 0 && b_.StoredObjects() == 0; }))
      << a_.StoredObjects() << " at A, " << b_.StoredObjects() << " at B";
}

TEST_F(RemoteTasksTest, ArgumentsFollowTheTask) {
  const std::string text(2'000'000, 'x');
  const auto put = ray::Put(text);
  EXPECT_EQ(*There(Length, put).Get(), text.size());
  EXPECT_EQ(*There(Length, text).Get(), text.size());
  std::vector<ray::ObjectRef<int>> refs;
  for (int i = 0; i < 10; ++i) refs.push_back(i % 2 == 0 ? ray::Put(i) : There(Add, i, 0));
  EXPECT_EQ(*There(SumOfRefs, refs).Get(), 45);
  EXPECT_EQ(*ray::Task(SumOfRefs).Remote(refs).Get(), 45);
}

TEST_F(RemoteTasksTest, ManyObjectsComeTogether) {
  std::vector<ray::ObjectRef<std::string>> texts;
  for (int i = 0; i < 30; ++i) texts.push_back(There(Repeat, std::string("0123456789"), 10'000 + i));
  const auto values = ray::Get(texts);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i]->size(), 100'000 + 10 * i);
  EXPECT_EQ(ray::Get(texts, 0).size(), texts.size());  // here by now
}

TEST_F(RemoteTasksTest, ArraysTravelBothWays) {
  const auto ramp = There(Ramp, 100'000);
  const auto array = ramp.Get();
  ASSERT_EQ(array->size(), 100'000u);
  EXPECT_EQ((*array)[99'999], 99'999.0f);
  const float sum = *There(SumArray, ramp).Get();
  EXPECT_EQ(sum, *ray::Task(SumArray).Remote(ramp).Get());
}

TEST_F(RemoteTasksTest, ManyArraysComeTogether) {
  std::vector<ray::ObjectRef<ray::Array<float>>> arrays;
  for (int i = 1; i <= 30; ++i) arrays.push_back(There(Ramp, 10'000 * i));
  const auto values = ray::Get(arrays);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i]->size(), 10'000 * (i + 1));
  EXPECT_EQ(*There(SumArrays, arrays).Get(), *ray::Task(SumArrays).Remote(arrays).Get());
}

TEST_F(RemoteTasksTest, AGetOfAnArrayEndsAtItsTimeout) {
  const std::vector<ray::ObjectRef<ray::Array<float>>> arrays = {There(Ramp, 10'000), There(Ramp, 20'000)};
  ASSERT_EQ(ray::Wait(arrays, 2, 30'000).ready.size(), 2u);
  b_.raylet->Signal(SIGSTOP);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(arrays[0].Get(100), ray::internal::RayTimeoutException);
  EXPECT_THROW(ray::Get(arrays, 100), ray::internal::RayTimeoutException);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 8s);  // and not when the machine counts as dead
  b_.raylet->Signal(SIGCONT);
  EXPECT_EQ(ray::Get(arrays, 20'000)[1]->size(), 20'000u);
}

TEST_F(RemoteTasksTest, TasksOfATaskThereWork) { EXPECT_EQ(*There(NestedSum, 4).Get(), NestedSum(4)); }

TEST_F(RemoteTasksTest, FailureOnAnotherMachineIsReportedHere) {
  try {
    There(ThrowTask, 1).Get();
    FAIL() << "it did not throw";
  } catch (const ray::internal::RayTaskException& e) {
    EXPECT_NE(std::string(e.what()).find("seven is too many"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("the machine at " + b_.address), std::string::npos) << e.what();
  }
  try {
    There(DieWithSignal, SIGKILL).Get();
    FAIL() << "it did not throw";
  } catch (const ray::internal::RayWorkerException& e) {
    EXPECT_NE(std::string(e.what()).find("SIGKILL"), std::string::npos) << e.what();
  }
  EXPECT_EQ(*There(Add, 1, 1).Get(), 2);
}

TEST_F(RemoteTasksTest, WorkSpillsWhenThisMachineIsHalfFull) {
  EXPECT_EQ(*There(Add, 1, 1).Get(), 2);  // A knows of B
  const raylet::test::RunFolder folder;
  std::vector<ray::ObjectRef<int>> pids;
  for (int i = 0; i < 4; ++i) pids.push_back(ray::Task(PidOnceThereAre).Remote(folder.path(), 4));
  size_t there = 0;
  for (const auto& pid : pids) there += ParentOf(*pid.Get(90'000)) == b_.raylet->pid() ? 1 : 0;
  EXPECT_EQ(there, 2u);
}

TEST_F(RemoteTasksTest, AMachineWithoutCpusRunsItsProgramsTasksElsewhere) {
  ray::Shutdown();
  const Machine a(token_, {"--num-cpus", "0"});
  const Machine b(token_, {"--num-cpus", "1", "--peers", a.address});
  ray::RayConfig config;
  config.address = a.socket();
  ray::Init(config);
  EXPECT_EQ(ParentOf(*ray::Task(WorkerPid).Remote().Get(20'000)), b.raylet->pid());
}

TEST_F(RemoteTasksTest, AMachineThatWasCalledDeadAndComesBackIsUsedAgain) {
  ray::Shutdown();
  Machine a(token_, WithShortPatience({"--num-cpus", "2"}));
  Machine b(token_, WithShortPatience({"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", a.address}));
  ray::RayConfig config;
  config.address = a.socket();
  ray::Init(config);
  const auto stored = There(Repeat, std::string("0123456789"), 30'000);
  ASSERT_EQ(ray::Wait(std::vector<ray::ObjectRef<std::string>>{stored}, 1, 30'000).ready.size(), 1u);
  b.raylet->Signal(SIGSTOP);
  EXPECT_THROW(stored.Get(), ray::internal::RayException);
  b.raylet->Signal(SIGCONT);
  const auto array = There(Ramp, 10'000).Get(20'000);
  EXPECT_EQ((*array)[9'999], 9'999.0f);
  EXPECT_EQ(There(Repeat, std::string("0123456789"), 30'000).Get(20'000)->size(), 300'000u);
}

// The other machine sends them again as soon as both meet. Then the workers of their first try have not ended yet.
TEST_F(RemoteTasksTest, BlockedTasksOfAStoppedMachineRunThereAgainOnceItGoesOn) {
  constexpr int kTasks = 8;
  ray::Shutdown();
  Machine a(token_, WithShortPatience({"--num-cpus", "2"}));
  Machine b(token_, WithShortPatience({"--num-cpus", "20", "--resources", R"({"there": 9})", "--peers", a.address}));
  ray::RayConfig config;
  config.address = a.socket();
  ray::Init(config);
  const std::string told = folder_.File("told");
  const auto begun = [&](int task) { return folder_.File("begun." + std::to_string(task)); };
  const auto block = [&](int task, int retries) {
    return ray::Task(BlockUntil).SetResource("there", 1).SetMaxRetries(retries).Remote(told, begun(task));
  };
  std::vector<ray::ObjectRef<int>> tasks;
  for (int i = 0; i < kTasks; ++i) tasks.push_back(block(i, 1));
  const auto once = block(kTasks, 0);
  for (int i = 0; i <= kTasks; ++i)
    ASSERT_TRUE(Eventually(60s, [&] { return std::filesystem::exists(begun(i)); })) << i;
  b.raylet->Signal(SIGSTOP);
  EXPECT_THROW(once.Get(60'000), ray::internal::RayWorkerException);
  b.raylet->Signal(SIGCONT);
  std::ofstream(told).put('x');
  for (const auto& task : tasks) EXPECT_NO_THROW(task.Get(60'000));
  for (const Machine* const machine : {&a, &b})
    EXPECT_EQ(machine->raylet->Output().find("submitted already"), std::string::npos) << machine->raylet->Output();
}

TEST_F(RemoteTasksTest, ShortTasksRunElsewhereWhenALongOneComesInFrontOfThem) {
  std::vector<ray::ObjectRef<int>> quick;
  for (int i = 0; i < 3'000; ++i) quick.push_back(ray::Task(Add).Remote(i, 1));
  const auto slow = ray::Task(SleepMs).Remote(60'000);
  for (int i = 0; i < 500; ++i) quick.push_back(ray::Task(Add).Remote(i, 1));
  for (int i = 0; i < 20; ++i) quick.push_back(ray::Task(NestedSum).Remote(2));
  EXPECT_EQ(ray::Wait(quick, static_cast<int>(quick.size()), 30'000).ready.size(), quick.size());
  EXPECT_TRUE(ray::Wait(std::vector<ray::ObjectRef<int>>{slow}, 1, 0).ready.empty());
}

TEST_F(RemoteTasksTest, ShortTasksThereDoNotWaitForALongOneEither) {
  std::vector<ray::ObjectRef<int>> quick;
  for (int i = 0; i < 3'000; ++i) quick.push_back(There(Add, i, 1));
  const auto slow = There(SleepMs, 60'000);
  for (int i = 0; i < 500; ++i) quick.push_back(There(Add, i, 1));
  EXPECT_EQ(ray::Wait(quick, static_cast<int>(quick.size()), 30'000).ready.size(), quick.size());
  EXPECT_TRUE(ray::Wait(std::vector<ray::ObjectRef<int>>{slow}, 1, 0).ready.empty());
}

TEST_F(RemoteTasksTest, TasksPinnedToOneOfThreeMachinesRunOnlyThere) {
  ray::Shutdown();
  const Machine a(token_, {"--num-cpus", "2", "--resources", R"({"pin0": 2})"});
  const Machine b(token_, {"--num-cpus", "2", "--resources", R"({"pin1": 2})", "--peers", a.address});
  const Machine c(token_, {"--num-cpus", "2", "--resources", R"({"pin2": 2})", "--peers", a.address});
  const int raylets[] = {a.raylet->pid(), b.raylet->pid(), c.raylet->pid()};
  ray::RayConfig config;
  config.address = a.socket();
  ray::Init(config);
  const auto pinned = [](int pin) { return ray::Task(ParentPid).SetResource("pin" + std::to_string(pin), 1).Remote(); };
  for (int pin = 0; pin < 3; ++pin) EXPECT_EQ(*pinned(pin).Get(20'000), raylets[pin]);  // A knows of B and C
  std::vector<ray::ObjectRef<int>> ordinary, there[3];
  for (int i = 0; i < 3'000; ++i) {
    ordinary.push_back(ray::Task(Add).Remote(i, 1));
    if (i % 5 == 0) there[i % 3].push_back(pinned(i % 3));
  }
  for (int pin = 0; pin < 3; ++pin)
    for (const auto& raylet : ray::Get(there[pin], 30'000)) ASSERT_EQ(*raylet, raylets[pin]) << "pinned to " << pin;
  EXPECT_EQ(ray::Get(ordinary, 30'000).size(), ordinary.size());
}

TEST_F(RemoteTasksTest, TasksOfAKilledMachineRunElsewhereOrSayWhyNot) {
  const auto lost = There(SleepMs, 60'000);
  const auto stored = There(Repeat, std::string("0123456789"), 300'000);
  raylet::test::DaemonProcess* const raylet = b_.raylet.get();
  EXPECT_EQ(*There(Add, 1, 1).Get(), 2);
  ASSERT_TRUE(ray::Wait(std::vector<ray::ObjectRef<std::string>>{stored}, 1, 30'000).ready.size() == 1);
  const auto array = There(Ramp, 10'000);  // its worker's
  ASSERT_EQ(ray::Wait(std::vector<ray::ObjectRef<ray::Array<float>>>{array}, 1, 30'000).ready.size(), 1u);
  raylet->Kill();
  try {
    stored.Get();
    FAIL() << "the machine that had it is dead";
  } catch (const ray::internal::RayException& e) {
    EXPECT_NE(std::string(e.what()).find("its last copy was on the machine at " + b_.address), std::string::npos)
        << e.what();
    EXPECT_NE(std::string(e.what()).find("refuses connections"), std::string::npos) << e.what();
  }
  try {
    array.Get();
    FAIL() << "the machine that had it is dead";
  } catch (const ray::internal::UnreconstructableException& e) {
    EXPECT_NE(std::string(e.what()).find(b_.address), std::string::npos) << e.what();
  }
  // Another machine that has what it asks for takes over.
  Machine c(token_, {"--num-cpus", "2", "--resources", R"({"there": 2})", "--peers", a_.address});
  const auto again = There(WorkerPid);
  EXPECT_EQ(ParentOf(*again.Get(20'000)), c.raylet->pid());
}

// How many files of `folder` have `words` in them.
int FilesWith(const std::string& folder, const std::string& words) {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(file.path());
    count += std::string(std::istreambuf_iterator<char>(in), {}).find(words) != std::string::npos ? 1 : 0;
  }
  return count;
}

// A failure only because the machine's store has ended is no failure of the task.
TEST_F(RemoteTasksTest, TaskWithoutItsMachinesStoreRunsElsewhereOrNamesTheMachine) {
  const std::string path = folder_.File("put");
  const auto retried = There(PutOnceToldTo, path);
  const auto once = ray::Task(PutOnceToldTo).SetResource("there", 1).SetMaxRetries(0).Remote(path);
  ASSERT_TRUE(Eventually(20s, [&] { return FilesWith(folder_.path(), "begins") == 2; }));
  const Machine c(token_, {"--num-cpus", "2", "--resources", R"({"there": 1})", "--peers", a_.address});
  b_.raylet->Signal(SIGSTOP);  // so that its workers notice before the raylet does
  b_.store->Kill();
  std::ofstream(path + ".put").flush();
  EXPECT_TRUE(
      Eventually(30s, [&] { return FilesWith(b_.folder.File("logs"), "ends with the store of its machine") == 2; }));
  b_.raylet->Signal(SIGCONT);
  EXPECT_EQ(ParentOf(*retried.Get(20'000)), c.raylet->pid());
  try {
    once.Get(20'000);
    FAIL() << "its machine is dead";
  } catch (const ray::internal::RayWorkerException& e) {
    EXPECT_NE(std::string(e.what()).find("the machine at " + b_.address), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace cluster_test
