// Machines work for others while their cables are cut, their packets vanish and their processes die.
// The tests show which work runs again, which ends in an error, and that nothing is left.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/tcp_socket.h"
#include "base/unix_socket.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/net_machines.h"
#include "tests/harness/run_before_others.h"

namespace cluster_test {

using raylet::Deadline;
using raylet::test::Eventually;
using raylet::test::kShortPatience;
using raylet::test::Machine;
using raylet::test::NetMachines;
using raylet::test::Network;
using namespace std::chrono_literals;

// Leaves a line in a file each time that it runs, and waits until the file "go" is there.
int NoteAndWait(const std::string& folder, int number) {
  std::ofstream(folder + "/runs." + std::to_string(number), std::ios::app) << ::getpid() << std::endl;
  while (!std::filesystem::exists(folder + "/go")) SleepMs(5);
  return number;
}
int Note(const std::string& folder, int number) {
  std::ofstream(folder + "/runs." + std::to_string(number), std::ios::app) << ::getpid() << std::endl;
  return number;
}
RAY_REMOTE(NoteAndWait, Note);

namespace {

class NetworkFaults : public ::testing::Test {
 protected:
  NetworkFaults() { raylet::test::RunBeforeOthers(); }
  void TearDown() override { ray::Shutdown(); }

  static void InitAt(Machine& machine) {
    ray::RayConfig config;
    config.address = machine.socket();
    ray::Init(config);
  }
  static size_t Runs(const NetMachines& machines, int number) {
    std::ifstream file(machines.folder.File("runs." + std::to_string(number)));
    return static_cast<size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }
  static void Go(const NetMachines& machines) { std::ofstream(machines.folder.File("go")).put('x'); }
  // Tasks that ask for "there" do not run at the driver's machine.
  template <class F, class... Arguments>
  static auto There(F function, int retries, Arguments&&... arguments) {
    return ray::Task(function)
        .SetResource("there", 1)
        .SetMaxRetries(retries)
        .Remote(std::forward<Arguments>(arguments)...);
  }
  static void ExpectLost(const ray::ObjectRef<int>& ref, const std::string& address) {
    try {
      ref.Get(60'000);
      ADD_FAILURE() << "it did not throw";
    } catch (const ray::internal::RayWorkerException& e) {
      EXPECT_NE(std::string(e.what()).find("the machine at " + address), std::string::npos) << e.what();
      EXPECT_TRUE(e.may_have_run());
    }
  }
};

TEST_F(NetworkFaults, AMachineBehindACutCableIsSuspectedAfterThreeSecondsAndDeadByTen) {
  NetMachines machines(3);
  InitAt(machines.StartWorking(0));
  machines.StartWorking(1);
  ASSERT_TRUE(machines.Sees(0, 1, "up"));
  const auto retried = There(NoteAndWait, 3, machines.folder.path(), 0);
  const auto once = There(NoteAndWait, 0, machines.folder.path(), 1);
  ASSERT_TRUE(Eventually(60s, [&] { return Runs(machines, 0) == 1 && Runs(machines, 1) == 1; }));
  machines.StartWorking(2);
  ASSERT_TRUE(machines.Sees(0, 2, "up"));

  const auto since = std::chrono::steady_clock::now();
  machines.network().Cut(1);
  ASSERT_TRUE(machines.Sees(0, 1, "silent"));
  // Three seconds, of which half a second may have passed before.
  EXPECT_GE(std::chrono::steady_clock::now() - since, 2s);
  EXPECT_EQ(Runs(machines, 0), 1u);  // a silent machine is not dead
  ASSERT_TRUE(machines.Sees(0, 1, "dead"));
  const auto took = std::chrono::steady_clock::now() - since;
  EXPECT_GE(took, 9s);
  EXPECT_LE(took, 40s) << "ten, on a machine that has the CPU for it";
  EXPECT_TRUE(Eventually(60s, [&] { return Runs(machines, 0) == 2; })) << "it runs at the third machine";
  ExpectLost(once, machines.Address(1));
  Go(machines);
  EXPECT_EQ(*retried.Get(60'000), 0);
  EXPECT_EQ(Runs(machines, 1), 1u);
  // The other half of the cluster agrees, and has given up its work for us.
  EXPECT_TRUE(machines.Sees(1, 0, "dead"));
  machines.network().Heal(1);
  EXPECT_TRUE(machines.Sees(0, 1, "up"));
  EXPECT_TRUE(machines.Sees(1, 0, "up"));
}

TEST_F(NetworkFaults, PacketsThatVanishForFiveSecondsDelayWorkAndRepeatNone) {
  NetMachines machines(2, {"--peer-dead-after", "60"});
  InitAt(machines.StartWorking(0));
  machines.StartWorking(1);
  ASSERT_TRUE(machines.Sees(0, 1, "up"));
  std::vector<ray::ObjectRef<int>> results;
  const auto submit = [&](int count) {
    for (int i = 0; i < count; ++i)
      results.push_back(There(Note, 0, machines.folder.path(), static_cast<int>(results.size())));
  };
  submit(200);
  results[20].Get(60'000);  // in the middle of it
  machines.network().Drop(1);
  const auto end = std::chrono::steady_clock::now() + 5s;
  const auto text = There(Repeat, 0, std::string("0123456789"), 50'000);
  submit(100);
  ASSERT_TRUE(machines.Sees(0, 1, "silent"));
  EXPECT_EQ(*ray::Task(Add).Remote(1, 2).Get(60'000), 3) << "local work goes on";
  std::this_thread::sleep_until(end);  // the length of the fault; the wait comes after it
  machines.network().Pass(1);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(*results[i].Get(60'000), static_cast<int>(i));
  EXPECT_EQ(text.Get(60'000)->size(), 500'000u);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(Runs(machines, static_cast<int>(i)), 1u) << i;
  EXPECT_EQ(machines.StateOf(0, 1), "up");
}

// By then TCP waits six seconds for its next attempt: too long for this session, which has two left.
TEST_F(NetworkFaults, AnOutageThatEndsShortlyBeforeTheOtherIsDeadIsSurvived) {
  NetMachines machines(2, {"--peer-silent-after", "0.5", "--peer-dead-after", "6"});
  InitAt(machines.StartWorking(0));
  machines.StartWorking(1);
  ASSERT_TRUE(machines.Sees(0, 1, "up"));
  EXPECT_EQ(*There(Note, 0, machines.folder.path(), 0).Get(60'000), 0);
  machines.network().Drop(1);
  const auto end = std::chrono::steady_clock::now() + 3'700ms;
  const auto during = There(Note, 0, machines.folder.path(), 1);
  std::this_thread::sleep_until(end);  // the length of the outage
  machines.network().Pass(1);
  EXPECT_EQ(*during.Get(60'000), 1);
  const auto peer = machines.Status(0)["peers"][0];
  EXPECT_EQ(machines.Status(0)["peers"].size(), 1u);
  EXPECT_EQ(peer["state"], "up");
  EXPECT_GE(peer["connections"], 2) << "of one session: its counters begin with it";
  EXPECT_EQ(Runs(machines, 1), 1u);
}

TEST_F(NetworkFaults, ALinkThatPassesPacketsOneWayOnlyIsNoLink) {
  NetMachines machines(2, kShortPatience);
  InitAt(machines.StartWorking(0));
  machines.StartWorking(1);
  ASSERT_TRUE(machines.Sees(0, 1, "up"));
  for (const auto way : {Network::Packets::kIn, Network::Packets::kOut}) {
    machines.network().Drop(1, way);
    EXPECT_TRUE(machines.Sees(0, 1, "dead"));
    EXPECT_TRUE(machines.Sees(1, 0, "dead"));
    machines.network().Pass(1);
    EXPECT_TRUE(machines.Sees(0, 1, "up"));
    EXPECT_TRUE(machines.Sees(1, 0, "up"));
    EXPECT_EQ(*There(Add, 0, 1, 2).Get(60'000), 3);
  }
}

TEST_F(NetworkFaults, WorkOfAKilledMachineRunsElsewhereOrSaysWhyNotAndLeavesNoProcess) {
  NetMachines machines(3, kShortPatience);
  InitAt(machines.StartWorking(0));
  int number = 0;
  for (const std::string victim : {"raylet", "store", "everything"}) {
    SCOPED_TRACE(victim);
    std::filesystem::remove(machines.folder.File("go"));
    machines.StartWorking(1);
    ASSERT_TRUE(machines.Sees(0, 1, "up"));
    const int first = number;
    const auto retried = There(NoteAndWait, 3, machines.folder.path(), number++);
    const auto once = There(NoteAndWait, 0, machines.folder.path(), number++);
    ASSERT_TRUE(Eventually(60s, [&] { return Runs(machines, first) == 1 && Runs(machines, first + 1) == 1; }));
    machines.StartWorking(2);
    ASSERT_TRUE(machines.Sees(0, 2, "up"));
    if (victim == "raylet") machines[1].raylet->Signal(SIGKILL);
    if (victim == "store") machines[1].store->Signal(SIGKILL);
    if (victim == "everything") machines.network().KillAll(1);
    EXPECT_TRUE(Eventually(60s, [&] { return Runs(machines, first) == 2; }));
    ExpectLost(once, machines.Address(1));
    Go(machines);
    EXPECT_EQ(*retried.Get(60'000), first);
    EXPECT_EQ(Runs(machines, first + 1), 1u);
    // Processes that were not killed notice that they have lost their machine.
    EXPECT_TRUE(Eventually(60s, [&] {
      const raylet::test::DaemonProcess& store = *machines[1].store;
      const auto left = machines.network().Processes(1);
      return left.empty() ||
             (victim == "raylet" && std::set(left.begin(), left.end()) == std::set{store.pid(), store.server_pid()});
    })) << machines.network().Processes(1).size();
    machines.Destroy(1);
    machines.Destroy(2);
    EXPECT_TRUE(machines.Sees(0, 2, "dead"));
  }
}

}  // namespace
}  // namespace cluster_test
