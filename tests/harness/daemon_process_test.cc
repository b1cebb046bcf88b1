#include "tests/harness/daemon_process.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

TEST(DaemonProcess, KeepsTheOutputAndTheExitCode) {
  auto process = DaemonProcess::StartPlain("/bin/sh", {"-c", "echo to stdout; echo to stderr >&2; exit 3"});
  ASSERT_TRUE(process) << process.error().message;
  const auto end = process->Wait(Deadline::AfterMs(30'000));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 3);
  EXPECT_EQ(process->Output(), "to stdout\nto stderr\n");
}

TEST(DaemonProcess, StartReturnsWhenTheProgramSaysThatItIsReady) {
  auto process = DaemonProcess::Start("/bin/sh", {"-c", "echo up; echo >&3; cat <&4 >/dev/null; echo lifeline gone"});
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ(process->Output(), "up\n");
  EXPECT_TRUE(process->Running());
  process->CloseLifeline();
  ASSERT_TRUE(process->Wait(Deadline::AfterMs(30'000)));
  EXPECT_EQ(process->Output(), "up\nlifeline gone\n");
}

TEST(DaemonProcess, AProgramThatEndsBeforeItIsReadyIsAnErrorWithItsOutput) {
  const auto process = DaemonProcess::Start("/bin/sh", {"-c", "echo no luck; exit 1"});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, ErrorCode::kNotRunning);
  EXPECT_NE(process.error().message.find("no luck"), std::string::npos);
}

TEST(DaemonProcess, KillEndsAndReaps) {
  auto process = DaemonProcess::StartPlain("/bin/sleep", {"1000"});
  ASSERT_TRUE(process);
  EXPECT_FALSE(process->Wait(Deadline::AfterMs(0)));
  process->Kill();
  const auto end = process->Wait(Deadline::AfterMs(0));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGKILL);
  EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(process->pid())));
}

TEST(DaemonProcess, MeasuresCpuTimeAndMemory) {
  auto busy = DaemonProcess::StartPlain("/bin/sh", {"-c", "while :; do :; done"});
  ASSERT_TRUE(busy);
  EXPECT_TRUE(Eventually(std::chrono::seconds(20), [&] { return busy->CpuTime() > std::chrono::milliseconds(50); }));
  EXPECT_GT(busy->ResidentBytes(), 0u);
  EXPECT_GE(busy->OpenDescriptors(), 3);
}

TEST(RunFolder, IsPrivateAndGoesWithAllThatIsInIt) {
  std::string path;
  {
    const RunFolder folder;
    path = folder.path();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    std::filesystem::create_directories(folder.File("a/b"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace raylet::test
