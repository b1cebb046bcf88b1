#include "tests/harness/stop_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/harness/daemon_process.h"

namespace raylet::test {
namespace {

TEST(StopProcess, ABusyProcessUsesNoTimeOnceItHasReturned) {
  auto busy = DaemonProcess::StartPlain("/bin/sh", {"-c", "while :; do :; done"});
  ASSERT_TRUE(busy);
  for (int round = 0; round < 20; ++round) {
    const Duration before = busy->CpuTime();
    ASSERT_TRUE(Eventually(std::chrono::seconds(20), [&] { return busy->CpuTime() > before; }));
    ASSERT_TRUE(StopProcess(busy->pid()));
    const Duration stopped = busy->CpuTime();
    EXPECT_FALSE(Eventually(std::chrono::milliseconds(20), [&] { return busy->CpuTime() > stopped; }));
    ASSERT_EQ(::kill(busy->pid(), SIGCONT), 0);
  }
}

TEST(StopProcess, SaysThatThereIsNoSuchProcess) {
  auto ended = DaemonProcess::StartPlain("/bin/true", {});
  ASSERT_TRUE(ended);
  ASSERT_TRUE(ended->Wait(Deadline::AfterMs(30'000)));
  EXPECT_FALSE(StopProcess(ended->pid()));
}

}  // namespace
}  // namespace raylet::test
