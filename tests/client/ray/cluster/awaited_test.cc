#include "client/ray/cluster/awaited.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace raylet::client {
namespace {

using namespace std::chrono_literals;

// Its process stands still for an hour between the first look and the second.
class StoppedForAnHour final : public Clock {
 public:
  TimePoint Now() const override {
    return SteadyClock().Now() + (looks_.fetch_add(1) == 0 ? Duration::zero() : Duration(1h));
  }
  int looks() const { return looks_; }

 private:
  mutable std::atomic<int> looks_{0};
};

TEST(AwaitedTest, HasAnAnswerThatComesAfterAStall) {
  const StoppedForAnHour clock;
  Awaited<int> answer;
  std::thread other([&] {
    while (clock.looks() < 3) std::this_thread::yield();  // the wait has seen the stall
    EXPECT_TRUE(answer.Set(7));
  });
  EXPECT_EQ(answer.Await(30s, clock), 7);
  other.join();
}

TEST(AwaitedTest, AnAnswerThatIsThereAlreadyNeedsNoPatience) {
  Awaited<int> answer;
  ASSERT_TRUE(answer.Set(7));
  EXPECT_EQ(answer.Await(0s), 7);
}

TEST(AwaitedTest, AnAnswerAfterTheEndOfThePatienceIsTooLate) {
  Awaited<int> answer;
  EXPECT_FALSE(answer.Await(10ms));
  EXPECT_FALSE(answer.Set(7));
}

}  // namespace
}  // namespace raylet::client
