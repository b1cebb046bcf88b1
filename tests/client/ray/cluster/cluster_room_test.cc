// Programs that submit more tasks than there is room for wait in Remote, and lose none of them.
#include <gtest/gtest.h>

#include <memory>

#include "tests/client/ray/cluster/refused_flag.h"
#include "tests/cluster/machines.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::test::DaemonProcess;
using raylet::test::Eventually;
using raylet::test::Machine;
using raylet::test::ProcessOptions;
using raylet::test::RunFolder;
using raylet::test::WriteToken;
using namespace std::chrono_literals;

class RoomTest : public ::testing::Test {
 protected:
  void Start(const std::vector<std::string>& what, const std::string& tasks_max = "32", const char* cpus = "2") {
    machine_ =
        std::make_unique<Machine>(token_, std::vector<std::string>{"--num-cpus", cpus, "--max-tasks", tasks_max});
    ProcessOptions options;
    options.environment = {{"RAY_ADDRESS", machine_->socket()}};
    auto driver = DaemonProcess::StartPlain(RAY_CLUSTER_ROOM, what, options);
    ASSERT_TRUE(driver) << driver.error().message;
    driver_ = std::make_unique<DaemonProcess>(*std::move(driver));
  }
  bool Says(const std::string& words, raylet::Duration within) {
    return Eventually(within, [&] { return driver_->Output().find(words) != std::string::npos; });
  }
  std::string Outputs() const { return driver_->Output() + machine_->raylet->Output(); }

  RunFolder folder_;
  const std::string token_ = WriteToken(folder_);
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<DaemonProcess> driver_;
};

TEST_F(RoomTest, ADriverThatIsFastGetsEveryResult) {
  ASSERT_NO_FATAL_FAILURE(Start({"many", "20000"}));
  EXPECT_TRUE(Says("right: 20000\n", 60s)) << Outputs();
}

// The driver and its tasks together: those that wait for room have children that need it.
TEST_F(RoomTest, TasksThatSubmitMoreThanThereIsRoomForGoOn) {
  ASSERT_NO_FATAL_FAILURE(Start({"nested", "2", "16"}));
  EXPECT_TRUE(Says("counted: 4368\n", 90s)) << Outputs();
}

TEST_F(RoomTest, TasksThatSubmitMoreThanThereIsRoomForGoOnOnOneCpu) {
  ASSERT_NO_FATAL_FAILURE(Start({"nested", "1", "64"}, "33", "1"));
  EXPECT_TRUE(Says("counted: 4160\n", 90s)) << Outputs();
}

TEST_F(RoomTest, WhoeverWaitsUsesNoCpuAndHearsThatTheRayletHasGone) {
  ASSERT_NO_FATAL_FAILURE(Start({"full"}));
  ASSERT_TRUE(Says("submitted: 16\n", 30s)) << Outputs();
  const auto used = driver_->CpuTime();
  EXPECT_FALSE(driver_->Wait(Deadline::After(2s)));
  EXPECT_LE(driver_->CpuTime() - used, 50ms);
  machine_->raylet->Kill();
  EXPECT_TRUE(Says("thrown: the raylet at ", 10s)) << Outputs();
}

TEST_F(RoomTest, WhoeverWaitsHearsOfShutdown) {
  ASSERT_NO_FATAL_FAILURE(Start({"shutdown"}));
  ASSERT_TRUE(Says("thrown: Ray has been shut down", 30s)) << Outputs();
  const auto end = driver_->Wait(Deadline::After(10s));
  ASSERT_TRUE(end) << Outputs();
  EXPECT_EQ(end->exit_code, 0) << Outputs();
}

TEST(MaxTasks, OutsideItsLimitsIsRefused) {
  ExpectRefused("--max-tasks", {"0", "31", "10000001"}, "--max-tasks must be at least 32");
}

}  // namespace
}  // namespace cluster_test
