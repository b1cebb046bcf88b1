// What a lend covers, beside a plain table.
#include "client/ray/cluster/covered_objects.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace raylet::client {
namespace {

ObjectId IdOf(uint8_t number) {
  ObjectId id;
  id.mutable_data()[0] = number;
  return id;
}

std::map<ObjectId, uint32_t> HeldIn(CoveredObjects& covered) {
  std::map<ObjectId, uint32_t> held;
  covered.ForEach([&](const ObjectId& object, const CoveredObject& each) {
    EXPECT_TRUE(held.emplace(object, each.held).second) << "twice";
  });
  return held;
}

TEST(CoveredObjectsTest, AnObjectIsAddedOnce) {
  CoveredObjects covered;
  for (const uint8_t number : {1, 2, 3, 4}) EXPECT_TRUE(covered.FindOrAdd(IdOf(number)).second);
  for (const uint8_t number : {1, 2, 3, 4}) EXPECT_FALSE(covered.FindOrAdd(IdOf(number)).second);
  EXPECT_EQ(HeldIn(covered).size(), 4U);
}

TEST(CoveredObjectsTest, OnlyAnObjectThatIsOverIsErased) {
  CoveredObjects covered;
  for (const uint8_t number : {1, 2, 3, 4}) covered.FindOrAdd(IdOf(number)).first.held = number % 2;
  covered.EraseIfOver(IdOf(1));
  covered.EraseIfOver(IdOf(2));
  covered.EraseIfOver(IdOf(4));
  EXPECT_EQ(HeldIn(covered), (std::map<ObjectId, uint32_t>{{IdOf(1), 1}, {IdOf(3), 1}}));
  covered.Find(IdOf(1))->held = covered.Find(IdOf(3))->held = 0;
  covered.EraseAllOver();
  EXPECT_TRUE(covered.empty());
}

TEST(CoveredObjectsTest, RandomStepsGiveWhatAPlainTableHolds) {
  std::mt19937 random(20261130);
  CoveredObjects covered;
  std::map<ObjectId, uint32_t> plain;
  for (int step = 0; step < 100'000; ++step) {
    const ObjectId id = IdOf(static_cast<uint8_t>(random() % 6));
    switch (random() % 8) {
      case 0: {
        covered.EraseAllOver();
        std::erase_if(plain, [](const auto& each) { return each.second == 0; });
        break;
      }
      case 1:
      case 2:
      case 3: {
        if (plain.contains(id) && plain[id] > 0) plain[id] = --covered.Find(id)->held;
        covered.EraseIfOver(id);
        if (plain.contains(id) && plain[id] == 0) plain.erase(id);
        break;
      }
      default: {
        const auto [object, added] = covered.FindOrAdd(id);
        ASSERT_EQ(added, !plain.contains(id)) << "step " << step;
        if (random() % 4 != 0) ++object.held;
        plain[id] = object.held;
      }
    }
    ASSERT_EQ(covered.Find(id) != nullptr, plain.contains(id)) << "step " << step;
    if (step % 64 == 0) {
      ASSERT_EQ(HeldIn(covered), plain) << "step " << step;
    }
    ASSERT_EQ(covered.empty(), plain.empty()) << "step " << step;
  }
}

}  // namespace
}  // namespace raylet::client
