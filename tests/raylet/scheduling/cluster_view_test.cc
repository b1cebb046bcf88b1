#include "raylet/scheduling/cluster_view.h"

#include <gtest/gtest.h>

#include "tests/raylet/scheduling/cluster_view_fixture.h"

namespace raylet {
namespace {

using namespace test;

using ClusterViewTest = ClusterViewFixture;

TEST_F(ClusterViewTest, CountsSentWorkAtOnceAndNotAgainFromTheReport) {
  Join(kB, Load(2, 2));
  const ResourceSet one = Of(R"({"CPU": 1})");
  EXPECT_TRUE(view_.Fits(At(kB), one));
  view_.Sent(kB, one);
  view_.Sent(kB, one);
  EXPECT_FALSE(view_.Fits(At(kB), one));
  view_.Heard(kB, Load(2, 0, {{kOwn, Of(R"({"CPU": 2})")}}), {});
  EXPECT_FALSE(view_.Fits(At(kB), one));
  view_.Ended(kB, one);  // the report still counts it
  EXPECT_TRUE(view_.Fits(At(kB), one));
  view_.Ended(kB, one);
  EXPECT_DOUBLE_EQ(view_.Utilization(At(kB), one), 0);
}

TEST_F(ClusterViewTest, WorkQueuedByOthersReducesWhatIsFree) {
  NodeLoad load = Load(4, 1);
  load.lines[0].queued_units = 3 * kUnitsPerWhole;
  Join(kB, load);
  EXPECT_FALSE(view_.Fits(At(kB), Of(R"({"CPU": 1})")));
  EXPECT_DOUBLE_EQ(view_.Utilization(At(kB), Of(R"({"CPU": 1})")), 1);
  // Ours among it is counted once.
  load.held[kOwn] = Of(R"({"CPU": 4})");
  view_.Heard(kB, load, {});
  EXPECT_TRUE(view_.Fits(At(kB), Of(R"({"CPU": 2})")));
  EXPECT_FALSE(view_.Fits(At(kB), Of(R"({"CPU": 3})")));
}

TEST_F(ClusterViewTest, SaysWhyANodeIsDeadUntilItIsUpAgain) {
  Join(kB, Load(2, 2));
  view_.Dead(kB, "nothing was heard of it for 10 s");
  EXPECT_EQ(At(kB).why_dead, "nothing was heard of it for 10 s");
  view_.Up(kB, 1, MachineNumber{kB.data()[0]}, "10.0.0.1:1", {});
  EXPECT_EQ(At(kB).why_dead, "");
}

TEST_F(ClusterViewTest, WorkOfOthersStaysCounted) {
  Join(kB, Load(2, 0, {{kC, Of(R"({"CPU": 2})")}}));
  EXPECT_FALSE(view_.Fits(At(kB), Of(R"({"CPU": 1})")));
  EXPECT_TRUE(view_.Feasible(At(kB), Of(R"({"CPU": 1})")));
  EXPECT_FALSE(view_.Feasible(At(kB), Of(R"({"CPU": 3})")));
  EXPECT_FALSE(view_.Feasible(At(kB), Of(R"({"gpu": 1})")));
}

TEST_F(ClusterViewTest, SilentAndDeadNodesGetNothingAndANewLifeStartsFresh) {
  Join(kB, Load(2, 2));
  const ResourceSet one = Of(R"({"CPU": 1})");
  view_.Silent(kB);
  EXPECT_FALSE(view_.Fits(At(kB), one));
  EXPECT_TRUE(view_.Feasible(At(kB), one));
  view_.Heard(kB, Load(2, 2), {});
  EXPECT_TRUE(view_.Fits(At(kB), one));
  view_.Sent(kB, one);
  view_.Dead(kB);
  EXPECT_FALSE(view_.Feasible(At(kB), one));
  view_.Heard(kB, Load(2, 2), {});  // late
  EXPECT_FALSE(view_.Feasible(At(kB), one));
  view_.Up(kB, 2, MachineNumber{77}, "10.0.0.1:2", {});
  EXPECT_FALSE(view_.Usable(kB));  // has not said what it has
  view_.Heard(kB, Load(2, 2), {});
  EXPECT_TRUE(view_.Usable(kB));
  EXPECT_EQ(At(kB).in_flight_tasks, 0u);
  EXPECT_EQ(view_.NodeOf(ProcessIdOf(MachineNumber{77}, 5))->id, kB);
  EXPECT_EQ(view_.NodeOf(ProcessIdOf(MachineNumber{2}, 5)), nullptr);
}

}  // namespace
}  // namespace raylet
