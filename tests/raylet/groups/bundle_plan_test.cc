// Where the bundles of a placement group go, by strategy; and plans for random groups and machines beside a search that
// looks at every placement.
#include "raylet/groups/bundle_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <random>
#include <set>

#include "tests/harness/node_number.h"
#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;
using test::kOne;
using test::NodeNumber;
using wire::PlacementStrategy;

constexpr PlacementStrategy kStrategies[] = {PlacementStrategy::Pack, PlacementStrategy::Spread,
                                             PlacementStrategy::StrictPack, PlacementStrategy::StrictSpread};

std::vector<Bundle> BundlesOf(const std::vector<int64_t>& cpus) {
  std::vector<Bundle> bundles;
  for (uint32_t i = 0; i < cpus.size(); ++i) bundles.push_back({i, Cpus(cpus[i] * kOne)});
  return bundles;
}

std::vector<BundleSpace> SpacesOf(const std::vector<int64_t>& cpus) {
  std::vector<BundleSpace> spaces;
  for (size_t i = 0; i < cpus.size(); ++i) spaces.push_back({NodeNumber(i + 1), {{kCpu, cpus[i] * kOne}}, 0});
  return spaces;
}

size_t MachinesOf(const std::vector<size_t>& plan) { return std::set<size_t>(plan.begin(), plan.end()).size(); }

TEST(BundlePlan, PackTakesOneMachineWhereOneIsEnough) {
  const auto plan = PlanBundles(PlacementStrategy::Pack, BundlesOf({2, 1, 1}), SpacesOf({3, 4, 2}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(*plan, (std::vector<size_t>{1, 1, 1}));
}

TEST(BundlePlan, PackTakesAsFewMachinesAsPossible) {
  const auto plan = PlanBundles(PlacementStrategy::Pack, BundlesOf({3, 3, 2, 2}), SpacesOf({3, 5, 5, 2}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(MachinesOf(*plan), 2u);
}

TEST(BundlePlan, SpreadTakesAsManyMachinesAsPossible) {
  const auto plan = PlanBundles(PlacementStrategy::Spread, BundlesOf({1, 1, 1, 1}), SpacesOf({9, 1, 1}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(MachinesOf(*plan), 3u);
}

TEST(BundlePlan, StrictPackWaitsForOneMachineThatHasRoomForAll) {
  EXPECT_FALSE(PlanBundles(PlacementStrategy::StrictPack, BundlesOf({1, 1, 1}), SpacesOf({2, 2})));
  EXPECT_TRUE(PlanBundles(PlacementStrategy::StrictPack, BundlesOf({1, 1, 1}), SpacesOf({2, 3})));
}

TEST(BundlePlan, StrictSpreadFindsTheOnlyMatching) {
  EXPECT_FALSE(PlanBundles(PlacementStrategy::StrictSpread, BundlesOf({1, 1, 1}), SpacesOf({9, 9})));
  // The small bundle fits everywhere, and must leave the large machine to the large one.
  const auto plan = PlanBundles(PlacementStrategy::StrictSpread, BundlesOf({1, 4}), SpacesOf({4, 1}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(*plan, (std::vector<size_t>{1, 0}));
}

TEST(BundlePlan, StrictSpreadLeavesOutMachinesThatHaveABundleAlready) {
  auto spaces = SpacesOf({4, 4});
  spaces[0].taken = 1;
  const auto plan = PlanBundles(PlacementStrategy::StrictSpread, BundlesOf({1}), spaces);
  ASSERT_TRUE(plan);
  EXPECT_EQ(*plan, std::vector<size_t>{1});
}

TEST(BundlePlan, PackStaysWhereTheGroupIsAlready) {
  auto spaces = SpacesOf({4, 4});
  spaces[1].taken = 2;
  const auto plan = PlanBundles(PlacementStrategy::Pack, BundlesOf({1}), spaces);
  ASSERT_TRUE(plan);
  EXPECT_EQ(*plan, std::vector<size_t>{1});
}

TEST(BundlePlan, AThousandBundlesOnAHundredMachinesArePlannedAtOnce) {
  const std::vector<Bundle> bundles = BundlesOf(std::vector<int64_t>(1'000, 1));
  for (const auto strategy : {PlacementStrategy::Pack, PlacementStrategy::Spread}) {
    const auto plan = PlanBundles(strategy, bundles, SpacesOf(std::vector<int64_t>(100, 16)));
    ASSERT_TRUE(plan);
    EXPECT_EQ(MachinesOf(*plan), strategy == PlacementStrategy::Pack ? 63u : 100u);
  }
}

// Every placement of the bundles, one after the other.
struct Exhaustive {
  const std::vector<Bundle>& bundles;
  const std::vector<BundleSpace>& spaces;
  std::vector<size_t> fewest_to_most{};  // numbers of machines of the placements that fit

  bool Fits(const std::vector<size_t>& plan) const {
    std::vector<ResourceSet> sums(spaces.size());
    for (size_t i = 0; i < plan.size(); ++i)
      for (const auto& amount : bundles[i].resources.amounts()) sums[plan[i]].Accumulate(amount.name, amount.units);
    for (size_t machine = 0; machine < spaces.size(); ++machine) {
      for (const auto& amount : sums[machine].amounts()) {
        const auto free = spaces[machine].free.find(amount.name);
        if (free == spaces[machine].free.end() || free->second < amount.units) return false;
      }
    }
    return true;
  }
  void Look(std::vector<size_t> plan = {}) {
    if (plan.size() == bundles.size()) {
      if (Fits(plan)) fewest_to_most.push_back(MachinesOf(plan));
      return;
    }
    for (size_t machine = 0; machine < spaces.size(); ++machine) {
      plan.push_back(machine);
      Look(plan);
      plan.pop_back();
    }
  }
};

TEST(BundlePlan, RandomPlansFitAndAreAsGoodAsAnyOther) {
  std::mt19937_64 random(7);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  size_t planned = 0;
  for (int round = 0; round < 400; ++round) {
    std::vector<Bundle> bundles;
    for (uint32_t i = 0; i < 1 + pick(4); ++i) {
      Bundle bundle{i, Cpus(static_cast<int64_t>(1 + pick(4)) * kOne)};
      if (pick(3) == 0) bundle.resources.Accumulate("gpu", static_cast<int64_t>(1 + pick(2)) * kOne);
      bundles.push_back(std::move(bundle));
    }
    std::vector<BundleSpace> spaces;
    for (size_t i = 0; i < 1 + pick(4); ++i) {
      BundleSpace space{NodeNumber(i + 1), {{kCpu, static_cast<int64_t>(pick(8)) * kOne}}, 0};
      if (pick(2) == 0) space.free["gpu"] = static_cast<int64_t>(pick(4)) * kOne;
      spaces.push_back(std::move(space));
    }
    Exhaustive all{bundles, spaces};
    all.Look();
    std::sort(all.fewest_to_most.begin(), all.fewest_to_most.end());
    const bool any = !all.fewest_to_most.empty();
    for (const auto strategy : kStrategies) {
      const auto plan = PlanBundles(strategy, bundles, spaces);
      const auto machines = [&] { return MachinesOf(*plan); };
      if (plan) {
        ASSERT_TRUE(all.Fits(*plan)) << round;
        ++planned;
      }
      switch (strategy) {
        case PlacementStrategy::Pack:
          ASSERT_EQ(plan.has_value(), any) << round;
          if (plan) {
            ASSERT_EQ(machines(), all.fewest_to_most.front()) << round;
          }
          break;
        case PlacementStrategy::Spread:
          ASSERT_EQ(plan.has_value(), any) << round;
          if (plan) {
            ASSERT_EQ(machines(), all.fewest_to_most.back()) << round;
          }
          break;
        case PlacementStrategy::StrictPack:
          ASSERT_EQ(plan.has_value(), any && all.fewest_to_most.front() == 1) << round;
          if (plan) {
            ASSERT_EQ(machines(), 1u) << round;
          }
          break;
        case PlacementStrategy::StrictSpread:
          ASSERT_EQ(plan.has_value(), any && all.fewest_to_most.back() == bundles.size()) << round;
          if (plan) {
            ASSERT_EQ(machines(), bundles.size()) << round;
          }
          break;
      }
    }
  }
  EXPECT_GT(planned, 400u);
}

}  // namespace
}  // namespace raylet
