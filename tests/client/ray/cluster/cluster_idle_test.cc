// A system that has nothing to do uses no CPU: daemons, workers, actors and drivers, parked or in Get.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::ProcessesWith;
using raylet::test::ProcessOptions;
using raylet::test::RunFolder;
using namespace std::chrono_literals;

// The CPU time of all its threads so far. It comes from the kernel's scheduler, which counts nanoseconds;
// /proc/pid/stat counts hundredths of a second.
std::chrono::nanoseconds CpuTimeOf(int pid) {
  int64_t sum = 0;
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    int64_t ran = 0;
    std::ifstream(thread.path() / "schedstat") >> ran;
    sum += ran;
  }
  return std::chrono::nanoseconds(sum);
}

// Whether a thread of it runs, or wants to. On a busy machine the store's thread that clears pages ahead is the last to
// finish.
bool WantsToRun(int pid) {
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    std::ifstream file(thread.path() / "stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    const size_t name_end = stat.rfind(") ");
    if (name_end != std::string::npos && stat[name_end + 2] != 'S') return true;
  }
  return false;
}

class ClusterIdleTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ClusterIdleTest, NoProcessUsesAThousandthOfACoreOverTenSeconds) {
  const RunFolder folder;
  const std::string store_socket = folder.File("store.sock");
  const std::string raylet_socket = folder.File("raylet.sock");
  auto store = DaemonProcess::Start("plasma_store", {"-m", "64M", "-s", store_socket});
  ASSERT_TRUE(store) << store.error().message;
  auto raylet = DaemonProcess::Start("raylet", {"--socket", raylet_socket, "--store-socket", store_socket, "--num-cpus",
                                                "2", "--logs-folder", folder.path()});
  ASSERT_TRUE(raylet) << raylet.error().message;
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", raylet_socket}};
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_DRIVER, {GetParam()}, options);
  ASSERT_TRUE(driver) << driver.error().message;
  ASSERT_TRUE(Eventually(20s, [&] { return driver->Output().find("pids ") != std::string::npos; })) << driver->Output();

  std::vector<std::pair<std::string, int>> processes = {
      {"store's keeper", store->pid()}, {"store", store->server_pid()}, {"raylet", raylet->pid()}};
  for (const int pid : ProcessesWith(raylet_socket))
    processes.emplace_back(pid == driver->pid() ? "driver" : "worker or actor", pid);
  ASSERT_GE(processes.size(), 5u);
  const auto total = [&] {
    std::chrono::nanoseconds sum{0};
    for (const auto& [name, pid] : processes) sum += CpuTimeOf(pid);
    return sum;
  };
  ASSERT_GT(total(), 0ns) << "this kernel counts no CPU time of threads";
  // All of them have finished once they have been still for a while.
  ASSERT_TRUE(Eventually(60s, [&] {
    const auto before = total();
    std::this_thread::sleep_for(200ms);
    return total() - before < 1ms &&
           std::none_of(processes.begin(), processes.end(), [](const auto& each) { return WantsToRun(each.second); });
  })) << "they are never still";
  std::vector<std::chrono::nanoseconds> before;
  for (const auto& [name, pid] : processes) before.push_back(CpuTimeOf(pid));
  std::this_thread::sleep_for(10s);  // the time itself is what is measured
  for (size_t i = 0; i < processes.size(); ++i) {
    const auto& [name, pid] = processes[i];
    const auto used = CpuTimeOf(pid) - before[i];
    std::printf("%s: %.3f ms\n", name.c_str(), static_cast<double>(used.count()) / 1e6);
    EXPECT_LT(used, 10ms) << name;
    EXPECT_GT(CpuTimeOf(pid), 0ns) << name << " has ended";
  }
}

INSTANTIATE_TEST_SUITE_P(Driver, ClusterIdleTest, ::testing::Values("idle", "waiting"),
                         [](const auto& mode) { return std::string(mode.param); });

}  // namespace
}  // namespace cluster_test
