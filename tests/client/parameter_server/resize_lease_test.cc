// How long a Resize is under way without a sign of its conductor.
#include "client/parameter_server/resize_lease.h"

#include <gtest/gtest.h>

#include <chrono>

namespace resize_lease_test {

using ray::ps::internal::ResizeLease;
using namespace std::chrono_literals;

class ResizeLeaseTest : public testing::Test {
 protected:
  // Asked each 50 ms, for this long.
  uint64_t AskFor(std::chrono::milliseconds time) {
    uint64_t under_way = 0;
    for (const auto end = now_ + time; now_ < end;) under_way = lease_.UnderWay(now_ += 50ms);
    return under_way;
  }
  ResizeLease lease_;
  ResizeLease::TimePoint now_{1h};
};

TEST_F(ResizeLeaseTest, AResizeIsGivenUpAfterItsTimeWithoutASign) {
  EXPECT_EQ(AskFor(50ms), 0U);
  lease_.Begin(7, now_);
  EXPECT_EQ(AskFor(ResizeLease::kTime - 50ms), 7U);
  EXPECT_TRUE(lease_.Renew(7, now_));
  EXPECT_EQ(AskFor(ResizeLease::kTime - 50ms), 7U);
  EXPECT_EQ(AskFor(50ms), 0U);
  EXPECT_FALSE(lease_.Renew(7, now_)) << "a worker was told that it is over";
  EXPECT_EQ(AskFor(50ms), 0U);
}

TEST_F(ResizeLeaseTest, TimeInWhichNobodyAsksDoesNotCount) {
  lease_.Begin(7, now_);
  now_ += 1h;  // the home was busy, and signs wait in its queue
  EXPECT_EQ(lease_.UnderWay(now_), 7U);
  EXPECT_EQ(AskFor(ResizeLease::kTime - ResizeLease::kBetweenLooksMax - 50ms), 7U);
  EXPECT_EQ(AskFor(50ms), 0U);
}

TEST_F(ResizeLeaseTest, AnotherResizeTakesItsPlace) {
  lease_.Begin(7, now_);
  AskFor(ResizeLease::kTime / 2);
  lease_.Begin(8, now_);
  EXPECT_FALSE(lease_.Renew(7, now_));
  EXPECT_EQ(AskFor(ResizeLease::kTime - 50ms), 8U);
  lease_.End();
  EXPECT_EQ(lease_.UnderWay(now_), 0U);
  EXPECT_FALSE(lease_.Renew(0, now_)) << "0 is no Resize";
}

}  // namespace resize_lease_test
