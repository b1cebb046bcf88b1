// Forty seconds of faults. Every three seconds the test kills a process or a whole machine, or cuts a
// cable; two machines work on. One driver is this program, on a machine that lives. A second driver
// dies with its machine, or alone, and is started anew. Every result is right, or an error that names
// its cause. A call that may run once never runs twice. At the end no object, process or descriptor is
// left over. $RAYLET_CHAOS_SECONDS sets the length, $RAYLET_CHAOS_SEED the faults.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/cluster/chaos_work.h"
#include "tests/cluster/net_machines.h"
#include "tests/harness/run_before_others.h"

namespace cluster_test {
namespace {

using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::kShortPatience;
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
    raylet::test::RunBeforeOthers();
    std::cout << "RAYLET_CHAOS_SEED=" << seed_ << std::endl;
    if (parted_) machines_.network().Part(1, 2);
    machines_.StartWorking(0);
    for (const size_t host : {1, 2}) machines_.StartWorking(host);
    AwaitAllUp();
    for (const size_t host : {0, 1, 2}) {
      // The raylet opens its ring for small puts later: a bell, and in the store the ring's memory besides.
      raylet_descriptors_.push_back(machines_[host].raylet->OpenDescriptors() + 1);
      store_descriptors_.push_back(machines_[host].store->OpenDescriptors() + 2);
    }
    ray::RayConfig config;
    config.address = machines_[0].socket();
    ray::Init(config);
    StartDriver();
  }
  void TearDown() override { ray::Shutdown(); }

  void AwaitAllUp() {
    for (const size_t host : {0, 1, 2})
      for (const size_t other : {0, 1, 2})
        EXPECT_TRUE(host == other || (parted_ && host != 0 && other != 0) || machines_.Sees(host, other, "up"))
            << host << " and " << other;
  }

  void StartDriver() {
    driver_host_ = 1 + random_() % 2;
    driver_folder_ = machines_.folder.File("driver." + std::to_string(++drivers_));
    std::filesystem::create_directory(driver_folder_);
    std::cout << "driver " << drivers_ << " on " << driver_host_ << std::endl;
    raylet::test::ProcessOptions options;
    options.network = machines_.network().Namespace(driver_host_);
    options.environment = {{"RAY_ADDRESS", machines_[driver_host_].socket()}};
    driver_.reset();
    auto started = DaemonProcess::StartPlain(CHAOS_DRIVER, {std::to_string(random_()), driver_folder_}, options);
    ASSERT_TRUE(started) << started.error().message;
    driver_ = std::move(*started);
  }
  // The driver's machine was whole at last, so all its work is done and right.
  void EndDriver() {
    std::ofstream(driver_folder_ + "/stop").put('x');
    const auto end = driver_->Wait(raylet::Deadline::AfterMs(120'000));
    EXPECT_TRUE(end && end->exit_code == 0) << driver_->Output();
    std::cout << "driver " << drivers_ << ": " << driver_->Output() << std::flush;
  }

  // Makes one fault, and repairs the one before.
  void Fault() {
    Mend();
    const size_t host = 1 + random_() % 2;  // the driver ends with its own raylet and store
    switch (random_() % 7) {
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
      case 4:
        std::cout << "kill driver " << drivers_ << std::endl;
        driver_->Kill();
        StartDriver();
        break;
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
      if (pid != machines_[host].store->pid() && pid != machines_[host].store->server_pid() &&
          pid != machines_[host].raylet->pid() && pid != driver_->pid())
        workers.push_back(pid);
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
    if (*broken_ == driver_host_) StartDriver();
    broken_.reset();
  }

  const uint64_t seed_ = FromEnvironment("RAYLET_CHAOS_SEED", std::random_device()());
  const std::chrono::seconds length_{FromEnvironment("RAYLET_CHAOS_SECONDS", 40)};
  const bool parted_ =
      FromEnvironment("RAYLET_CHAOS_PARTED", 0) != 0;  // parts the two machines without the driver from each other
  std::mt19937_64 random_{seed_};
  NetMachines machines_{3, kShortPatience};
  std::vector<int> raylet_descriptors_, store_descriptors_;
  std::optional<size_t> broken_, cut_;
  std::optional<DaemonProcess> driver_;
  size_t driver_host_ = 0;
  int drivers_ = 0;  // so far
  std::string driver_folder_;
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
      std::this_thread::sleep_for(50ms);  // sets the load; the sleep waits for nothing
    }
    Mend();
    while (work.Check()) std::this_thread::sleep_for(20ms);
    EndDriver();
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
    // The raylet, and the store's keeper and server.
    EXPECT_TRUE(Eventually(30s, [&] { return machines_.network().Processes(host).size() == 3; }))
        << machines_.network().Processes(host).size();
    // Connections for objects are kept for the next one, three times as long as --peer-dead-after.
    EXPECT_TRUE(Eventually(30s, [&] { return machine.raylet->OpenDescriptors() <= raylet_descriptors_[host]; }))
        << machine.raylet->OpenDescriptors() << " instead of " << raylet_descriptors_[host];
    EXPECT_TRUE(Eventually(30s, [&] { return machine.store->OpenDescriptors() <= store_descriptors_[host]; }))
        << machine.store->OpenDescriptors() << " instead of " << store_descriptors_[host];
  }
}

}  // namespace
}  // namespace cluster_test
