// The names of a placement group's resources, and requests within one.
#include "raylet/scheduling/bundle_resources.h"

#include <gtest/gtest.h>

#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::Cpus;
using test::kOne;

const PlacementGroupId kGroup = PlacementGroupId::FromRandom();

TEST(BundleResources, ATaskInABundleFindsAllThatItAsksForInTheBundle) {
  const ResourceSet has = ResourcesOf(kGroup, {3, Cpus(2 * kOne)});
  for (const int32_t bundle : {3, kAnyBundle}) {
    const ResourceSet asks = WithinGroup(Cpus(kOne), kGroup, bundle);
    for (const auto& amount : asks.amounts()) EXPECT_GE(has.units(amount.name), amount.units) << amount.name;
  }
  const ResourceSet of_another = WithinGroup(Cpus(kOne), kGroup, 4);
  for (const auto& amount : of_another.amounts()) {
    const auto parsed = ParseGroupResource(amount.name);
    ASSERT_TRUE(parsed) << amount.name;
    EXPECT_EQ(has.units(amount.name) > 0, parsed->bundle == kAnyBundle) << amount.name;
  }
}

TEST(BundleResources, ATaskThatAsksForNothingIsTiedToItsBundle) {
  const ResourceSet request = WithinGroup({}, kGroup, 0);
  EXPECT_FALSE(request.empty());
  EXPECT_EQ(DescribeRequest(request), "nothing in bundle 0 of placement group " + kGroup.hex());
}

TEST(BundleResources, NamesAreTakenApart) {
  const std::string hex = kGroup.hex();
  const std::string bundle_name = "my_group_gpu_group_12_" + hex;  // what is parsed points into it
  const auto of_bundle = ParseGroupResource(bundle_name);
  ASSERT_TRUE(of_bundle);
  EXPECT_EQ(of_bundle->base, "my_group_gpu");
  EXPECT_EQ(of_bundle->bundle, 12);
  EXPECT_EQ(of_bundle->group, kGroup);
  const std::string any_name = "CPU_group_" + hex;
  const auto of_any = ParseGroupResource(any_name);
  ASSERT_TRUE(of_any);
  EXPECT_EQ(of_any->base, "CPU");
  EXPECT_EQ(of_any->bundle, kAnyBundle);
  for (const std::string& name : {std::string("CPU"), hex, "_" + hex, "CPU_group_x_" + hex, "CPU_group_-1_" + hex,
                                  "CPU_group_1" + hex, "CPU_group_0_" + hex.substr(1)})
    EXPECT_FALSE(ParseGroupResource(name)) << name;
  EXPECT_FALSE(CheckBundleResource("CPU_group_0_" + hex).has_value());
  EXPECT_FALSE(CheckBundleResource(std::string(200, 'x')).has_value());
  EXPECT_TRUE(CheckBundleResource("CPU").has_value());
}

}  // namespace
}  // namespace raylet
