#include "raylet/scheduling/resources.h"

#include <gtest/gtest.h>

#include "raylet/scheduling/bundle_resources.h"

namespace raylet {
namespace {

ResourceSet Set(std::initializer_list<std::pair<const char*, int64_t>> amounts) {
  ResourceSet set;
  for (const auto& [name, units] : amounts) EXPECT_TRUE(set.Add(name, units).has_value());
  return set;
}

TEST(ResourceSet, TakesWholesAndFractions) {
  ResourceSet set;
  EXPECT_TRUE(set.AddWhole("gpu", 0.5).has_value());
  EXPECT_TRUE(set.AddWhole("CPU", 4).has_value());
  EXPECT_TRUE(set.Add("sliver", 1).has_value());
  EXPECT_EQ(set.units("gpu"), 5'000);
  EXPECT_EQ(set.units("none"), 0);
  EXPECT_EQ(set.ToString(), "CPU 4, gpu 0.5, sliver 0.0001");
}

TEST(ResourceSet, RefusesRequestsThatMakeNoSense) {
  ResourceSet set;
  EXPECT_FALSE(set.Add("", 10'000).has_value());
  EXPECT_FALSE(set.Add("gpu", 0).has_value());
  EXPECT_FALSE(set.Add("gpu", -1).has_value());
  EXPECT_FALSE(set.Add("gpu", 10'001).has_value());
  EXPECT_FALSE(set.AddWhole("gpu", 1.5).has_value());
  EXPECT_FALSE(set.AddWhole("gpu", 1e300).has_value());
  EXPECT_NE(set.AddWhole("gpu", 1e-7).error().message.find("the least is 0.0001"), std::string::npos);
  EXPECT_FALSE(set.Add("gpu", INT64_MAX / 10'000 * 10'000).has_value());
  EXPECT_TRUE(set.empty());
  EXPECT_TRUE(set.Add("gpu", 1).has_value());
  EXPECT_NE(set.Add("gpu", 1).error().message.find("twice"), std::string::npos);
}

TEST(ResourceSet, TakesBytesOfMemoryExactly) {
  ResourceSet set;
  ASSERT_TRUE(set.AddWhole("memory", 123'456'789'012'345).has_value());
  EXPECT_EQ(set.ToString(), "memory 123456789012345");
  EXPECT_EQ(set.units("memory"), 123'456'789'012'345);
  EXPECT_EQ(ResourceSet().AddWhole("memory", 0.5).error().message,
            "resource memory has the amount 0.500000, and the least is 1");
  EXPECT_FALSE(ResourceSet().AddWhole("memory", 1.5).has_value());
}

TEST(ResourceSet, TakesMemoryUpTo2To53AndOtherResourcesUpTo400Trillion) {
  const double most = 9'007'199'254'740'992;
  for (const char* const name : {"memory", "object_store_memory"}) {
    ResourceSet set;
    ASSERT_TRUE(set.AddWhole(name, most).has_value());
    EXPECT_EQ(set.ToString(), std::string(name) + " 9007199254740992");
    EXPECT_EQ(
        ResourceSet().AddWhole(name, most + 2).error().message,
        std::string("resource ") + name + " has the amount 9007199254740994.000000, and the limit is 9007199254740992");
    EXPECT_FALSE(ResourceSet().Add(name, kMemoryAmountMax + 1).has_value());
  }
  EXPECT_TRUE(ResourceSet().AddWhole("gpu", 4e14).has_value());
  EXPECT_EQ(ResourceSet().AddWhole("gpu", 4.1e14).error().message,
            "resource gpu has the amount 410000000000000.000000, and the limit is 400000000000000");
  EXPECT_FALSE(ResourceSet().Add("gpu", kUnitsMax + kUnitsPerWhole).has_value());
}

TEST(ResourceLedger, AccountsForEachByteOfTheLargestMemory) {
  ResourceLedger ledger(Set({{"memory", kMemoryAmountMax}}));
  const auto all_but_one = *ledger.Resolve(Set({{"memory", kMemoryAmountMax - 1}}));
  ledger.Take(all_but_one);
  EXPECT_FALSE(ledger.Fits(ledger.Resolve(Set({{"memory", 2}}))));
  EXPECT_TRUE(ledger.Fits(ledger.Resolve(Set({{"memory", 1}}))));
  EXPECT_EQ(ledger.WhatLacks(Set({{"memory", 2}})), "memory 2 (free 1 of 9007199254740992)");
  ledger.Give(all_but_one);
  EXPECT_EQ(ledger.lines()[0].free_units, kMemoryAmountMax);
  // In a placement group the same bytes are counted in the same units.
  const auto group = PlacementGroupId::FromRandom();
  const Bundle bundle{0, Set({{"memory", kMemoryAmountMax}})};
  ledger.AddToGroup(group, ResourcesOf(group, bundle));
  const auto within = WithinGroup(bundle.resources, group, 0);
  EXPECT_TRUE(ledger.Fits(ledger.Resolve(within)));
  EXPECT_NE(DescribeRequest(within).find("memory 9007199254740992 in bundle 0"), std::string::npos);
}

TEST(ResourceSet, ASumOfManyRequestsStopsAtTheLimit) {
  ResourceSet sum;
  for (int i = 0; i < 5; ++i) sum.Accumulate("gpu", kUnitsMax);
  EXPECT_EQ(sum.units("gpu"), kUnitsMax);
}

TEST(ResourceSet, GivesBackWhatASumHadAndForgetsTheNameWithTheLastUnit) {
  ResourceSet sum;
  sum.Accumulate("gpu", 5);
  sum.Accumulate("CPU", 3);
  sum.Deduct("gpu", 2);
  EXPECT_EQ(sum.units("gpu"), 3);
  sum.Deduct("tpu", 1);
  sum.Deduct("gpu", 4);
  EXPECT_EQ(sum.units("gpu"), 0);
  ASSERT_EQ(sum.amounts().size(), 1u);
  EXPECT_EQ(sum.amounts().front().name, "CPU");
}

TEST(ResourceSet, ReadsJson) {
  EXPECT_EQ(ParseResources(R"({"gpu": 2, "half": 0.5})")->ToString(), "gpu 2, half 0.5");
  EXPECT_TRUE(ParseResources("{}")->empty());
  EXPECT_FALSE(ParseResources("[1]").has_value());
  EXPECT_FALSE(ParseResources("{\"gpu\": ").has_value());
  EXPECT_FALSE(ParseResources(R"({"gpu": "two"})").has_value());
  EXPECT_FALSE(ParseResources(R"({"gpu": 1.5})").has_value());
  EXPECT_NE(ParseResources(R"({"gpu": 1, "gpu": 1})").error().message.find("gpu is there twice"), std::string::npos);
}

TEST(ResourceLedger, GivesAndTakesBack) {
  ResourceLedger ledger(Set({{"CPU", 20'000}, {"gpu", 10'000}}));
  const auto one = *ledger.Resolve(Set({{"CPU", 10'000}, {"gpu", 5'000}}));
  EXPECT_TRUE(ledger.Fits(one));
  ledger.Take(one);
  ledger.Take(one);
  EXPECT_FALSE(ledger.Fits(one));
  EXPECT_EQ(ledger.WhatLacks(Set({{"gpu", 5'000}})), "gpu 0.5 (free 0 of 1)");
  ledger.Give(one);
  EXPECT_TRUE(ledger.Fits(one));
}

TEST(ResourceLedger, GpusAreTakenWithTheirDevices) {
  ResourceLedger ledger(Set({{"GPU", 20'000}}));
  const auto part = *ledger.Resolve(Set({{"GPU", 6'000}}));
  const DeviceIndexes first = ledger.Take(part);
  const DeviceIndexes second = ledger.Take(part);
  EXPECT_EQ(first, DeviceIndexes({0}));
  EXPECT_EQ(second, DeviceIndexes({1}));
  const auto half = *ledger.Resolve(Set({{"GPU", 5'000}}));
  EXPECT_FALSE(ledger.Fits(half)) << "0.8 are free, and 0.4 of each";
  EXPECT_EQ(ledger.WhatLacks(Set({{"GPU", 5'000}})),
            "GPU 0.5 (others hold parts of them: 0 are whole, and the most that one has free is 0.4)");
  ledger.Give(part, first);
  EXPECT_EQ(ledger.WhatLacks(Set({{"GPU", 5'000}})), "");
  EXPECT_EQ(ledger.Take(*ledger.Resolve(Set({{"GPU", 10'000}}))), first);
}

TEST(ResourceLedger, ABundleReservesGpusAndItsTasksTakeTheDevices) {
  ResourceLedger ledger(Set({{"GPU", 20'000}}));
  const auto bundle = *ledger.ResolveAmounts(Set({{"GPU", 10'000}}));
  EXPECT_EQ(ledger.Take(bundle), DeviceIndexes());
  EXPECT_FALSE(ledger.Fits(ledger.Resolve(Set({{"GPU", 20'000}}))));
  const PlacementGroupId group = PlacementGroupId::FromRandom();
  ledger.AddToGroup(group, ResourcesOf(group, {0, Set({{"GPU", 10'000}})}));
  const auto task = *ledger.Resolve(WithinGroup(Set({{"GPU", 10'000}}), group, 0));
  EXPECT_EQ(ledger.Take(*ledger.Resolve(Set({{"GPU", 10'000}}))), DeviceIndexes({0}));
  EXPECT_EQ(ledger.Take(task), DeviceIndexes({1}));
  EXPECT_FALSE(ledger.Fits(task));
  ledger.Give(task, {1});
  EXPECT_TRUE(ledger.Fits(task));
  ledger.CloseGroup(group);
  ledger.DropGroup(group);
  ledger.Give(bundle);
  EXPECT_EQ(ledger.devices().WholeOnes(), 1);
}

TEST(ResourceLedger, KnowsTheRequestsThatItCanNeverMeet) {
  const ResourceLedger ledger(Set({{"CPU", 20'000}}));
  EXPECT_FALSE(ledger.Resolve(Set({{"CPU", 30'000}})).has_value());
  EXPECT_FALSE(ledger.Resolve(Set({{"unicorn", 1}})).has_value());
  EXPECT_FALSE(ledger.Resolve(Set({{"CPU", 10'000}, {"unicorn", 1}})).has_value());
  EXPECT_TRUE(ledger.Resolve({}).has_value());
}

TEST(ResourceLedger, InfeasibleNeedsFitNowhereAndEqualNothingThatIsHeld) {
  const ResourceLedger ledger(Set({{"CPU", 20'000}, {"gpu", 10'000}}));
  const auto never = ledger.Resolve(Set({{"CPU", 10'000}, {"unicorn", 1}}));
  EXPECT_FALSE(ledger.Fits(never));
  EXPECT_FALSE(ResourceNeeds() == never);
  const ResourceNeeds held = *ledger.Resolve(Set({{"CPU", 10'000}}));
  EXPECT_FALSE(held == never);
  EXPECT_FALSE(held == ledger.Resolve(Set({{"CPU", 20'000}})));
  EXPECT_FALSE(held == ledger.Resolve(Set({{"gpu", 10'000}})));
  EXPECT_TRUE(held == ledger.Resolve(Set({{"CPU", 10'000}})));
}

TEST(ResourceLedger, GoesBelowZeroOnlyForAnUnblock) {
  ResourceLedger ledger(Set({{"CPU", 10'000}}));
  const auto one = *ledger.Resolve(Set({{"CPU", 10'000}}));
  ledger.Take(one);
  ledger.GiveCpu(one);
  ledger.Take(one);
  ledger.TakeCpuAnyway(one);
  EXPECT_EQ(ledger.lines()[0].free_units, -10'000);
  EXPECT_FALSE(ledger.Fits(one));
  EXPECT_TRUE(ledger.Fits(ledger.Resolve({})));
}

}  // namespace
}  // namespace raylet
