#include "tests/harness/own_time.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/harness/run_folder.h"

namespace raylet::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OwnTimeTest : public ::testing::Test {
 protected:
  void Say(long waited_us) const {
    std::ofstream(pressure_) << "some avg10=0.00 avg60=0.00 avg300=0.00 total=" << waited_us << "\nfull total=7\n";
  }
  RunFolder folder_;
  const std::string pressure_ = folder_.File("cpu");
};

TEST_F(OwnTimeTest, IsAllTimeWithoutThatInWhichAProcessWaited) {
  Say(1'000'000);
  const OwnTime time(pressure_);
  std::this_thread::sleep_for(milliseconds(60));
  EXPECT_GE(time.Elapsed(), milliseconds(60));
  Say(1'050'000);
  EXPECT_GE(time.Elapsed(), milliseconds(10));
  Say(4'000'000'000);
  EXPECT_EQ(time.Elapsed(), Duration::zero());
}

TEST_F(OwnTimeTest, IsAllTimeWhereTheKernelDoesNotSay) {
  const OwnTime time(pressure_);
  std::this_thread::sleep_for(milliseconds(10));
  EXPECT_GE(time.Elapsed(), milliseconds(10));
}

TEST_F(OwnTimeTest, HearsOfThisMachinesBusyThreads) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4 * std::thread::hardware_concurrency(); ++i)
    threads.emplace_back([&stop] {
      while (!stop) {}
    });
  const OwnTime time;
  std::this_thread::sleep_for(seconds(1));
  const Duration own = time.Elapsed();
  if (std::ifstream("/proc/pressure/cpu")) {
    EXPECT_LT(own, milliseconds(500));
  } else {
    EXPECT_GE(own, seconds(1)) << "this kernel does not say";
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace raylet::test
