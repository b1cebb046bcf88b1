// A minute of faults: every three seconds a process or all of a machine is killed, or a cable is cut, and two machines
// work on. Every result is right or an error that names its cause; nothing that may run once runs twice; and in the end
// there is no object, process or descriptor too many. $RAYLET_CHAOS_SECONDS and $RAYLET_CHAOS_SEED say how long, and
// what.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "tests/client/ray_cluster_functions.h"
#include "tests/cluster/chaos_work.h"
#include "tests/cluster/net_machines.h"

namespace cluster_test {
namespace {

using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::NetMachines;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

class NetworkChaos : public ::testing::Test {
 protected:
  NetworkChaos() {
    std::cout << "RAYLET_CHAOS_SEED=" << seed_ << std::endl;
    if (parted_) machines_.network().Part(1, 2);
    machines_.StartWorking(0);
    for (const size_t host : {1, 2}) machines_.StartWorking(host);
    AwaitAllUp();
    for (const size_t host : {0, 1, 2}) {
      raylet_descriptors_.push_back(machines_[host].raylet->OpenDescriptors());
      store_descriptors_.push_back(machines_[host].store->OpenDescriptors());
    }
    ray::RayConfig config;
    config.address = machines_[0].socket();
    ray::Init(config);
  }
  void TearDown() override { ray::Shutdown(); }

  void AwaitAllUp() {
    for (const size_t host : {0, 1, 2})
      for (const size_t other : {0, 1, 2})
        EXPECT_TRUE(host == other || (parted_ && host != 0 && other != 0) || machines_.Sees(host, other, "up"))
            << host << " and " << other;
  }

  // One fault, and what makes good for the one before.
  void Fault() {
    Mend();
    const size_t host = 1 + random_() % 2;  // the driver ends with its own raylet and store
    switch (random_() % 6) {
      case 0:
        std::cout << "kill raylet " << host << std::endl;
        machines_[host].raylet->Kill();
        broken_ = host;
        break;
      case 1:
        std::cout << "kill store " << host << std::endl;
        machines_[host].store->Kill();
        broken_ = host;
        break;
      case 2:
        std::cout << "kill machine " << host << std::endl;
        machines_.network().KillAll(host);
        broken_ = host;
        break;
      case 3: KillAWorker(random_() % 3); break;
      default:
        cut_ = random_() % 3;
        heal_at_ = Clock::now() + std::chrono::milliseconds(200 + random_() % 2'800);
        std::cout << "cut " << *cut_ << std::endl;
        machines_.network().Cut(*cut_);
    }
    // Half of the machines come back at once, the others with the next fault.
    if (broken_ && random_() % 2 == 0) Mend();
  }
  void KillAWorker(size_t host) {
    std::vector<pid_t> workers;
    for (const pid_t pid : machines_.network().Processes(host))
      if (pid != machines_[host].store->pid() && pid != machines_[host].raylet->pid()) workers.push_back(pid);
    if (workers.empty()) return;
    std::cout << "kill a worker of " << host << std::endl;
    ::kill(workers[random_() % workers.size()], SIGKILL);
  }
  void Heal() {
    if (cut_) machines_.network().Heal(*cut_);
    cut_.reset();
  }
  void Mend() {
    Heal();
    if (!broken_) return;
    machines_.Destroy(*broken_);
    machines_.StartWorking(*broken_);
    broken_.reset();
  }

  const uint64_t seed_ = FromEnvironment("RAYLET_CHAOS_SEED", std::random_device()());
  const std::chrono::seconds length_{FromEnvironment("RAYLET_CHAOS_SECONDS", 60)};
  const bool parted_ =
      FromEnvironment("RAYLET_CHAOS_PARTED", 0) != 0;  // the two that are not the driver's, from each other
  std::mt19937_64 random_{seed_};
  NetMachines machines_{3, {"--peer-silent-after", "0.5", "--peer-dead-after", "1.5"}};
  std::vector<int> raylet_descriptors_, store_descriptors_;
  std::optional<size_t> broken_, cut_;
  Clock::time_point heal_at_;
};

TEST_F(NetworkChaos, EveryResultIsRightOrAnErrorThatNamesItsCauseAndNothingIsLeft) {
  {
    ChaosWork work(seed_, machines_.folder.path());
    const auto end = Clock::now() + length_;
    for (auto next = Clock::now() + 1s; Clock::now() < end;) {
      work.Submit();
      work.Check();
      if (cut_ && Clock::now() >= heal_at_) Heal();
      if (Clock::now() >= next) {
        Fault();
        next = Clock::now() + 3s;
      }
      std::this_thread::sleep_for(50ms);  // the load that is wanted; nothing is waited for
    }
    Mend();
    while (work.Check()) std::this_thread::sleep_for(20ms);
    for (const std::string& each : work.wrong()) ADD_FAILURE() << each;
    EXPECT_EQ(work.Repeated(), 0u);
    for (const size_t host : {0, 1, 2})
      if (HasFailure()) std::cout << "raylet " << host << ": " << machines_[host].raylet->Output() << std::endl;
    EXPECT_GT(work.right(), work.errors());
    std::cout << work.right() << " right, " << work.errors() << " errors" << std::endl;
  }
  for (const size_t host : {0, 1, 2}) {
    SCOPED_TRACE(host);
    EXPECT_TRUE(Eventually(30s, [&] { return machines_[host].OwnedObjects() == 0; })) << machines_[host].OwnedObjects();
  }
  ray::Shutdown();
  AwaitAllUp();
  for (const size_t host : {0, 1, 2}) {
    SCOPED_TRACE(host);
    Machine& machine = machines_[host];
    EXPECT_TRUE(Eventually(30s, [&] { return machines_.network().Processes(host).size() == 2; }))
        << machines_.network().Processes(host).size();
    // Connections for objects are kept for the next one, three times as long as --peer-dead-after.
    EXPECT_TRUE(Eventually(15s, [&] { return machine.raylet->OpenDescriptors() <= raylet_descriptors_[host]; }))
        << machine.raylet->OpenDescriptors() << " instead of " << raylet_descriptors_[host];
    EXPECT_TRUE(Eventually(10s, [&] { return machine.store->OpenDescriptors() <= store_descriptors_[host]; }))
        << machine.store->OpenDescriptors() << " instead of " << store_descriptors_[host];
  }
}

}  // namespace
}  // namespace cluster_test
