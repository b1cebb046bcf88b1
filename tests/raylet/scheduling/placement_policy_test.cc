#include "raylet/scheduling/placement_policy.h"

#include <gtest/gtest.h>

#include "tests/raylet/scheduling/cluster_view_fixture.h"

namespace raylet {
namespace {

using namespace test;

class PlacementPolicyTest : public ClusterViewFixture {
 protected:
  Placement Choose(const ResourceSet& needs, const ResourceLedger& here, const ArgumentBytes& arguments) {
    return PlacementPolicy(view_).Choose(needs, here.Resolve(needs), here, arguments);
  }
};

TEST_F(PlacementPolicyTest, WorkStaysHereUntilHalfFullAndThenGoesWhereTheLoadIsLowest) {
  Join(kB, Load(4, 4));
  Join(kC, Load(4, 2, {{kB, Of(R"({"CPU": 2})")}}));
  const ResourceSet one = Of(R"({"CPU": 1})");
  ResourceLedger here(Of(R"({"CPU": 4})"));
  std::vector<std::string> went;
  for (int i = 0; i < 10; ++i) {
    const Placement placement = Choose(one, here, {});
    switch (placement.where) {
      case Placement::Where::kHere:
        here.Take(*here.Resolve(one));
        went.emplace_back("here");
        break;
      case Placement::Where::kThere:
        view_.Sent(placement.node, one);
        went.emplace_back(placement.node == kB ? "B" : "C");
        break;
      default: went.emplace_back("nowhere");
    }
  }
  EXPECT_EQ(went, (std::vector<std::string>{"here", "here", "B", "B", "here", "B", "C", "here", "B", "C"}));
  EXPECT_EQ(Choose(one, here, {}).where, Placement::Where::kNowhereYet);
  EXPECT_EQ(Choose(Of(R"({"gpu": 1})"), here, {}).where, Placement::Where::kInfeasible);
}

TEST_F(PlacementPolicyTest, LargeArgumentsDrawWorkToThemselves) {
  Join(kB, Load(4, 1));
  const ResourceSet one = Of(R"({"CPU": 1})");
  const ResourceLedger here(Of(R"({"CPU": 4})"));
  const Placement placement = Choose(one, here, {{kB, kLargeArgumentBytes}, {kOwn, 100}});
  EXPECT_EQ(placement.where, Placement::Where::kThere);
  EXPECT_EQ(placement.node, kB);
  EXPECT_EQ(Choose(one, here, {{kB, kLargeArgumentBytes - 1}}).where, Placement::Where::kHere);
  EXPECT_EQ(Choose(one, here, {{kB, kLargeArgumentBytes}, {kOwn, kLargeArgumentBytes}}).where, Placement::Where::kHere);
}

TEST_F(PlacementPolicyTest, CustomResourcesPinWorkAndWaitWhereTheyAre) {
  NodeLoad load = Load(2, 2);
  load.lines.push_back({"gpu", kUnitsPerWhole, 0});
  Join(kB, load);
  const ResourceLedger here(Of(R"({"CPU": 4})"));
  const ResourceSet gpu = Of(R"({"gpu": 1})");
  EXPECT_EQ(Choose(gpu, here, {}).where, Placement::Where::kNowhereYet);
  const Placement tpu = Choose(Of(R"({"tpu": 1})"), here, {});
  EXPECT_EQ(tpu.where, Placement::Where::kInfeasible);
  load.lines.back().free_units = kUnitsPerWhole;
  view_.Heard(kB, load, {});
  const Placement placement = Choose(gpu, here, {});
  EXPECT_EQ(placement.where, Placement::Where::kThere);
  EXPECT_EQ(placement.node, kB);
}

TEST_F(PlacementPolicyTest, SendsNothingToASilentMachineAndWaitsForIt) {
  Join(kB, Load(4, 4));
  const ResourceSet four = Of(R"({"CPU": 4})");
  const ResourceLedger here(Of(R"({"CPU": 2})"));
  EXPECT_EQ(Choose(four, here, {}).where, Placement::Where::kThere);
  view_.Silent(kB);
  EXPECT_EQ(Choose(four, here, {}).where, Placement::Where::kNowhereYet);
  view_.Dead(kB);
  EXPECT_EQ(Choose(four, here, {}).where, Placement::Where::kInfeasible);
}

TEST_F(PlacementPolicyTest, LargeArgumentsDoNotDrawWorkToABusyMachine) {
  Join(kB, Load(2, 0));
  const ResourceLedger here(Of(R"({"CPU": 2})"));
  const Placement placement = Choose(Of(R"({"CPU": 1})"), here, {{kB, 2 * kLargeArgumentBytes}});
  EXPECT_EQ(placement.where, Placement::Where::kHere);
}

TEST(Utilization, IsThatOfTheFullestResourceThatIsAskedFor) {
  ResourceLedger ledger(Of(R"({"CPU": 4, "gpu": 2})"));
  ledger.Take(*ledger.Resolve(Of(R"({"CPU": 1, "gpu": 1})")));
  EXPECT_DOUBLE_EQ(Utilization(ledger, Of(R"({"CPU": 1})")), 0.25);
  EXPECT_DOUBLE_EQ(Utilization(ledger, Of(R"({"CPU": 1, "gpu": 1})")), 0.5);
  EXPECT_DOUBLE_EQ(Utilization(ledger, {}), 0.5);
}

}  // namespace
}  // namespace raylet
