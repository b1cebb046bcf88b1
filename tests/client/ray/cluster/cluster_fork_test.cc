// fork() of a program whose threads are inside calls of ray:: and plasma::.
#include <gtest/gtest.h>

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

TEST(ForkTest, EachCallInAForkedChildIsRefusedAtOnceAndTheParentIsUnharmed) {
  const RunFolder folder;
  const Machine machine(WriteToken(folder), {"--num-cpus", "2"});
  ProcessOptions options;
  options.environment = {{"RAY_ADDRESS", machine.socket()}};
  auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_FORK, {machine.store_socket(), "200"}, options);
  ASSERT_TRUE(driver) << driver.error().message;
  const auto end = driver->Wait(Deadline::After(100s));
  ASSERT_TRUE(end) << driver->Output();
  EXPECT_EQ(end->exit_code, 0) << "signal " << end->signal << ": " << driver->Output();
}

}  // namespace
}  // namespace cluster_test
