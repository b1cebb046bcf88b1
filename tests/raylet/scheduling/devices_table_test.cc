// Which GPU is held by whom, by hand and with random holders.
#include "raylet/scheduling/devices_table.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/raylet/scheduling/cpus.h"

namespace raylet {
namespace {

using test::kOne;

TEST(DevicesTable, GivesWholeDevicesToOneHolderEach) {
  DevicesTable devices(3);
  EXPECT_EQ(devices.Take(kOne), DeviceIndexes({0}));
  EXPECT_EQ(devices.Take(2 * kOne), DeviceIndexes({1, 2}));
  EXPECT_FALSE(devices.Fits(kOne));
  EXPECT_FALSE(devices.Fits(1));
  devices.Give({0}, kOne);
  EXPECT_FALSE(devices.Fits(2 * kOne));
  EXPECT_EQ(devices.Take(kOne), DeviceIndexes({0}));
}

TEST(DevicesTable, FractionsShareADeviceSoThatWholeOnesRemain) {
  DevicesTable devices(2);
  EXPECT_EQ(devices.Take(kOne / 2), DeviceIndexes({0}));
  EXPECT_EQ(devices.Take(kOne / 4), DeviceIndexes({0}));
  EXPECT_EQ(devices.Take(kOne / 4), DeviceIndexes({0}));
  EXPECT_EQ(devices.Take(kOne), DeviceIndexes({1}));
  EXPECT_FALSE(devices.Fits(1));
}

TEST(DevicesTable, AFractionGoesWhereTheLeastRoomIsEnough) {
  DevicesTable devices(2);
  EXPECT_EQ(devices.Take(kOne / 2), DeviceIndexes({0}));
  EXPECT_EQ(devices.Take(3 * kOne / 4), DeviceIndexes({1}));
  EXPECT_EQ(devices.Take(kOne / 4), DeviceIndexes({1}));
}

TEST(DevicesTable, RoomThatIsSpreadOverDevicesFitsNobodyWhoWantsItOnOne) {
  DevicesTable devices(2);
  const DeviceIndexes first = devices.Take(6 * kOne / 10);
  const DeviceIndexes second = devices.Take(6 * kOne / 10);
  EXPECT_NE(first, second);
  EXPECT_FALSE(devices.Fits(kOne / 2)) << "0.8 are free, and 0.4 at most of one device";
  EXPECT_EQ(devices.MostOfOne(), 4 * kOne / 10);
  EXPECT_EQ(devices.WholeOnes(), 0);
  devices.Give(second, 6 * kOne / 10);
  EXPECT_EQ(devices.Take(kOne), second);
}

TEST(DevicesTable, ATableWithoutDevicesHasRoomForNothing) {
  const DevicesTable none;
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(none.Fits(1));
  EXPECT_FALSE(none.Fits(kOne));
}

// Holders come and go at random. A model counts what each device has lent.
TEST(DevicesTable, RandomHoldersNeverShareAWholeDeviceNorExceedOne) {
  constexpr int64_t kAmounts[] = {1, kOne / 4, kOne / 3, kOne / 2, 6 * kOne / 10, kOne - 1, kOne, 2 * kOne, 3 * kOne};
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto count = std::uniform_int_distribution<int64_t>(1, 8)(random);
    DevicesTable devices(count);
    struct Holder {
      DeviceIndexes devices;
      int64_t units = 0;
    };
    std::vector<Holder> holders;
    std::vector<int64_t> lent(static_cast<size_t>(count), 0);
    const auto lend = [&](const Holder& holder, int64_t sign) {
      for (const uint32_t device : holder.devices) lent.at(device) += sign * std::min(holder.units, kOne);
    };
    for (int step = 0; step < 300; ++step) {
      const int64_t units = kAmounts[std::uniform_int_distribution<size_t>(0, std::size(kAmounts) - 1)(random)];
      const auto room =
          std::count_if(lent.begin(), lent.end(), [&](int64_t each) { return each + std::min(units, kOne) <= kOne; });
      const bool fits = room >= std::max<int64_t>(1, units / kOne);
      ASSERT_EQ(devices.Fits(units), fits);
      if (fits && random() % 2 == 0) {
        holders.push_back({devices.Take(units), units});
        ASSERT_EQ(holders.back().devices.size(), static_cast<size_t>(std::max<int64_t>(1, units / kOne)));
        lend(holders.back(), 1);
      } else if (!holders.empty()) {
        std::swap(holders[random() % holders.size()], holders.back());
        devices.Give(holders.back().devices, holders.back().units);
        lend(holders.back(), -1);
        holders.pop_back();
      }
      for (const int64_t each : lent) ASSERT_TRUE(each >= 0 && each <= kOne);
    }
    for (const Holder& holder : holders) devices.Give(holder.devices, holder.units);
    ASSERT_EQ(devices.WholeOnes(), count) << "not all came back";
  }
}

}  // namespace
}  // namespace raylet
