#include "raylet/objects/unreached_nodes.h"

#include <gtest/gtest.h>

#include "tests/harness/manual_clock.h"

namespace raylet {
namespace {

using namespace std::chrono_literals;

class UnreachedNodesTest : public ::testing::Test {
 protected:
  // Looks once a second, as a raylet that runs does.
  void Run(Duration time) {
    for (; time > 0s; time -= 1s) {
      clock_.Advance(1s);
      nodes_.Forget();
    }
  }
  test::ManualClock clock_;
  UnreachedNodes nodes_{clock_, 10s};
  const NodeId node_ = NodeId::FromRandom();
};

TEST_F(UnreachedNodesTest, ANodeFailsFromItsFirstFailureOn) {
  nodes_.Failed(node_);
  Run(9s);
  nodes_.Failed(node_);
  EXPECT_TRUE(nodes_.SinceAtLeast(node_, 9s));
  EXPECT_FALSE(nodes_.SinceAtLeast(node_, 10s));
}

TEST_F(UnreachedNodesTest, AWordFromANodeEndsItsFailures) {
  nodes_.Failed(node_);
  nodes_.Heard(node_);
  EXPECT_FALSE(nodes_.SinceAtLeast(node_, 0s));
  EXPECT_EQ(nodes_.NextTick(), TimePoint::max());
}

TEST_F(UnreachedNodesTest, ANodeThatFailsNoMoreIsForgotten) {
  nodes_.Failed(node_);
  Run(10s);
  EXPECT_FALSE(nodes_.SinceAtLeast(node_, 0s));
}

TEST_F(UnreachedNodesTest, AStallOfThisProcessCountsAsOneSecond) {
  nodes_.Failed(node_);
  clock_.Advance(60s);
  EXPECT_FALSE(nodes_.SinceAtLeast(node_, 2s));
  nodes_.Forget();
  EXPECT_TRUE(nodes_.SinceAtLeast(node_, 1s));
}

}  // namespace
}  // namespace raylet
