#include "raylet/objects/awaited_objects.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace raylet {
namespace {

constexpr ProcessId kFirst = 1, kSecond = 2;

class AwaitedObjectsTest : public ::testing::Test {
 protected:
  AwaitedObjects awaited_;
  const ObjectId a_ = ObjectId::FromRandom(), b_ = ObjectId::FromRandom();
};

TEST_F(AwaitedObjectsTest, EveryWaitingProcessHearsOfAnObjectOnce) {
  awaited_.Add(kFirst, a_);
  awaited_.Add(kSecond, a_);
  awaited_.Add(kSecond, b_);
  auto told = awaited_.Sealed(a_);
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (std::vector<ProcessId>{kFirst, kSecond}));
  EXPECT_TRUE(awaited_.Sealed(a_).empty());
  EXPECT_EQ(awaited_.objects(), 1u);
  EXPECT_EQ(awaited_.processes(), 1u);
}

TEST_F(AwaitedObjectsTest, AnObjectIsUnwantedOnceNoProcessWaitsForIt) {
  awaited_.Add(kFirst, a_);
  awaited_.Add(kSecond, a_);
  EXPECT_FALSE(awaited_.Remove(kFirst, a_));
  EXPECT_FALSE(awaited_.Remove(kFirst, a_));
  EXPECT_TRUE(awaited_.Remove(kSecond, a_));
  EXPECT_EQ(awaited_.objects(), 0u);
}

TEST_F(AwaitedObjectsTest, AProcessThatGoesWaitsForNothing) {
  awaited_.Add(kFirst, a_);
  awaited_.Add(kFirst, b_);
  awaited_.Add(kSecond, b_);
  std::vector<ObjectId> unwanted;
  EXPECT_TRUE(awaited_.ProcessGone(kFirst, 10, unwanted));
  EXPECT_EQ(unwanted, std::vector<ObjectId>{a_});
  EXPECT_EQ(awaited_.Sealed(b_), std::vector<ProcessId>{kSecond});
  EXPECT_EQ(awaited_.processes(), 0u);
}

TEST_F(AwaitedObjectsTest, AProcessThatWaitedForManyObjectsIsForgottenInSteps) {
  awaited_.Add(kFirst, a_);
  awaited_.Add(kFirst, b_);
  std::vector<ObjectId> unwanted;
  EXPECT_FALSE(awaited_.ProcessGone(kFirst, 1, unwanted));
  EXPECT_EQ(unwanted.size(), 1u);
  EXPECT_TRUE(awaited_.ProcessGone(kFirst, 1, unwanted));
  EXPECT_EQ(unwanted.size(), 2u);
  EXPECT_EQ(awaited_.objects(), 0u);
}

}  // namespace
}  // namespace raylet
