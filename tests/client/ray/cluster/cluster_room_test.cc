// Programs that submit more tasks than there is room for wait in Remote, and lose none of them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/client/ray/cluster/refused_flag.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using namespace std::chrono_literals;

class RoomTest : public DriverTest {
 protected:
  void Start(const std::vector<std::string>& what, const std::string& tasks_max = "32", const char* cpus = "2") {
    StartMachine({"--num-cpus", cpus, "--max-tasks", tasks_max});
    StartProgram(RAY_CLUSTER_ROOM, what);
  }
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

TEST_F(RoomTest, AWaiterUsesNoCpuAndHearsThatTheRayletHasGone) {
  ASSERT_NO_FATAL_FAILURE(Start({"full", "16"}));
  ASSERT_TRUE(Says("submitted: 16\n", 30s)) << Outputs();
  const auto used = driver_->CpuTime();
  EXPECT_FALSE(driver_->Wait(Deadline::After(2s)));
  EXPECT_LE(driver_->CpuTime() - used, 50ms);
  machine_->raylet->Kill();
  EXPECT_TRUE(Says("thrown: the raylet at ", 30s)) << Outputs();
}

TEST_F(RoomTest, AWaiterHearsOfShutdown) {
  ASSERT_NO_FATAL_FAILURE(Start({"shutdown", "16"}));
  ASSERT_TRUE(Says("thrown: Ray has been shut down", 30s)) << Outputs();
  const auto end = driver_->Wait(Deadline::After(30s));
  ASSERT_TRUE(end) << Outputs();
  EXPECT_EQ(end->exit_code, 0) << Outputs();
}

// Three times the memory of the store.
TEST_F(RoomTest, DriverWhoseObjectsDoNotFitGetsAllFromDisk) {
  ASSERT_EQ(::setenv("PLASMA_STORE_SPILL_DIR", folder_.File("spill").c_str(), 1), 0);
  ASSERT_NO_FATAL_FAILURE(Start({"spill", "384"}));
  EXPECT_TRUE(Says("right: 384\n", 90s)) << Outputs();
  EXPECT_TRUE(Says("summed: 24\n", 60s)) << Outputs();
  EXPECT_EQ(::unsetenv("PLASMA_STORE_SPILL_DIR"), 0);
}

TEST(MaxTasks, OutsideItsLimitsIsRefused) {
  ExpectRefused("--max-tasks", {"0", "31", "10000001"}, "--max-tasks must be at least 32");
}

}  // namespace
}  // namespace cluster_test
