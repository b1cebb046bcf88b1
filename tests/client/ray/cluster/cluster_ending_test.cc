// Programs that end while their threads are inside calls of ray:: exit cleanly, and soon.
#include <gtest/gtest.h>

#include <cstdlib>

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

// RAYLET_ENDING_RUNS asks for more of them, by hand.
int Runs() {
  const char* const runs = std::getenv("RAYLET_ENDING_RUNS");
  return runs != nullptr ? std::atoi(runs) : 20;
}

void ExpectCleanEnd(int seed, const std::string& address, const std::string& mode) {
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", address}};
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_ENDING, {std::to_string(seed), mode}, options);
  ASSERT_TRUE(driver) << driver.error().message;
  const auto end = driver->Wait(Deadline::After(30s));
  ASSERT_TRUE(end) << "seed " << seed << " hangs: " << driver->Output();
  EXPECT_EQ(end->exit_code, 0) << "seed " << seed << ", signal " << end->signal << ": " << driver->Output();
}

TEST(EndingTest, ThreadsInsideCallsOfAClusterHearThatItEnds) {
  const RunFolder folder;
  Machine machine(WriteToken(folder), {"--num-cpus", "2"});
  for (int seed = 1; seed <= Runs() && !::testing::Test::HasFailure(); ++seed) {
    ExpectCleanEnd(seed, machine.socket(), "cluster");
    ASSERT_TRUE(machine.raylet->Running() && machine.store->Running()) << "seed " << seed;
  }
}

TEST(EndingTest, ThreadsInsideCallsOfLocalModeHearThatItEnds) {
  for (int seed = 1; seed <= Runs() && !::testing::Test::HasFailure(); ++seed) ExpectCleanEnd(seed, "", "local");
}

}  // namespace
}  // namespace cluster_test
