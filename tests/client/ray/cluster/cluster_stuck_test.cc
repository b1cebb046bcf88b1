// A driver whose work cannot go on hears why on its standard error, once.
#include <gtest/gtest.h>

#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/client/ray/cluster/refused_flag.h"

namespace cluster_test {
namespace {

using raylet::test::Machine;
using namespace std::chrono_literals;

size_t CountOf(const std::string& what, const std::string& text) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

class StuckDriverTest : public DriverTest {
 protected:
  void Start(const std::string& why, std::vector<std::string> flags = {}) {
    flags.insert(flags.end(), {"--num-cpus", "2"});
    StartMachine(flags);
    // Its stderr alone is kept.
    StartProgram("/bin/sh", {"-c", "exec \"$0\" \"$1\" >/dev/null", RAY_CLUSTER_STUCK, why});
  }
};

TEST_F(StuckDriverTest, HearsOfAResourceThatNoMachineHas) {
  ASSERT_NO_FATAL_FAILURE(Start("resource"));
  const std::string first =
      "raylet: 12 tasks wait for 2 of the resource \"none\", which no machine has: start a raylet with --resources "
      "'{\"none\": 2}', or take SetResource away\n";
  ASSERT_TRUE(Says(first, 20s)) << driver_->Output() << machine_->raylet->Output();
  ASSERT_TRUE(Says("raylet: 1 task waits for 2 of the resource \"nothing\"", 20s)) << driver_->Output();
  EXPECT_EQ(CountOf("\n", driver_->Output()), 2u) << driver_->Output();
}

TEST_F(StuckDriverTest, HearsThatThePoolIsFull) {
  ASSERT_NO_FATAL_FAILURE(Start("pool", {"--max-workers", "3"}));
  ASSERT_TRUE(
      Says("raylet: 1 task and 1 actor wait for a worker process, and the pool is full with 3 workers (3 of "
           "actors, 0 blocked, 0 idle): raise the raylet's --max-workers, or end actors that nobody needs\n",
           30s))
      << driver_->Output() << machine_->raylet->Output();
}

TEST_F(StuckDriverTest, HearsThatThePoolOfAnotherMachineIsFull) {
  const Machine there(token_, {"--num-cpus", "2", "--resources", R"({"there": 8})", "--max-workers", "3"});
  ASSERT_NO_FATAL_FAILURE(Start("elsewhere", {"--peers", there.address}));
  ASSERT_TRUE(
      Says("raylet: at " + there.address +
               ": 1 actor waits for a worker process, and the pool is full with 3 workers (3 of actors, 0 blocked, 0 "
               "idle): raise the raylet's --max-workers, or end actors that nobody needs\n",
           30s))
      << driver_->Output() << there.raylet->Output();
}

TEST(MaxWorkers, OutsideItsLimitsIsRefused) {
  ExpectRefused("--max-workers", {"0", "-1", "481"}, "--max-workers must be at least 1 and 480 at most");
}

}  // namespace
}  // namespace cluster_test
