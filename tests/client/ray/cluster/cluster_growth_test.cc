// Repeated calls leave nothing behind in a program's memory.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/cluster/machines.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::test::DaemonProcess;
using raylet::test::Machine;
using raylet::test::ProcessOptions;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

#ifndef RAYLET_SANITIZED  // a sanitizer's heap is not the C library's

struct Growth {
  double bytes_each = 0;
  long mappings = 0;  // fewer than before is no growth
};

// `of`: the driver, or a worker of its.
enum class Of { kDriver, kWorker };
Growth GrowthOf(const std::string& what, int warm_up, int times, Of of = Of::kDriver) {
  const RunFolder folder;
  const Machine machine(WriteToken(folder), {"--num-cpus", "2"});
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", machine.socket()}};
  std::vector<std::string> arguments = {what, std::to_string(warm_up), std::to_string(times)};
  if (of == Of::kWorker) arguments.emplace_back("worker");
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_GROWTH, arguments, options);
  EXPECT_TRUE(driver);
  if (!driver) return {};
  const auto end = driver->Wait(Deadline::After(250s));
  EXPECT_TRUE(end && end->exit_code == 0) << driver->Output();
  Growth growth;
  EXPECT_EQ(
      std::sscanf(driver->Output().c_str(), "bytes each: %lf\nmappings: %ld", &growth.bytes_each, &growth.mappings), 2)
      << driver->Output();
  return growth;
}

TEST(GrowthTest, InitAndShutdownLeaveNothingBehind) {
  const Growth growth = GrowthOf("pairs", 50, 300);
  EXPECT_LT(growth.bytes_each, 16);
  EXPECT_LT(growth.mappings, 5);
}

TEST(GrowthTest, AnActorThatDiedLeavesNothingBehindInItsCreator) {
  const Growth growth = GrowthOf("actors", 200, 300);
  EXPECT_LT(growth.bytes_each, 16);
  EXPECT_LT(growth.mappings, 5);
}

TEST(GrowthTest, ATaskThatEndedLeavesNothingBehindInItsOwner) {
  EXPECT_LT(GrowthOf("objects", 2'000, 10'000).bytes_each, 1);
}

TEST(GrowthTest, AnActorThatDiedLeavesNothingBehindInAWorkerThatMadeIt) {
  const Growth growth = GrowthOf("actors", 100, 200, Of::kWorker);
  EXPECT_LT(growth.bytes_each, 16);
  EXPECT_LT(growth.mappings, 5);
}

TEST(GrowthTest, ATaskThatEndedLeavesNothingBehindInAWorkerThatOwnsItsResult) {
  EXPECT_LT(GrowthOf("objects", 2'000, 10'000, Of::kWorker).bytes_each, 1);
}

TEST(GrowthTest, ACallLeavesNothingBehindInItsActor) {
  EXPECT_LT(GrowthOf("calls", 2'000, 10'000, Of::kWorker).bytes_each, 1);
}

#endif

}  // namespace
}  // namespace cluster_test
