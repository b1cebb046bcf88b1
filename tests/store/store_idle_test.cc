#include <gtest/gtest.h>

#include <thread>

#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

TEST(IdleStore, UsesLessThanAThousandthOfACoreOverTenSeconds) {
  const RunFolder folder;
  auto daemon = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder.File("store")});
  ASSERT_TRUE(daemon) << daemon.error().message;
  const Duration before = daemon->CpuTime();
  std::this_thread::sleep_for(std::chrono::seconds(10));  // the time itself is what is measured
  EXPECT_LE(daemon->CpuTime() - before, std::chrono::milliseconds(10));
}

}  // namespace
}  // namespace raylet::test
