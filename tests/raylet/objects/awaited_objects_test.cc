#include "raylet/objects/awaited_objects.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace raylet {
namespace {

constexpr ProcessId kAnna = 1, kBert = 2;

class AwaitedObjectsTest : public ::testing::Test {
 protected:
  AwaitedObjects awaited_;
  const ObjectId a_ = ObjectId::FromRandom(), b_ = ObjectId::FromRandom();
};

TEST_F(AwaitedObjectsTest, EveryWaitingProcessHearsOfAnObjectOnce) {
  awaited_.Add(kAnna, a_);
  awaited_.Add(kBert, a_);
  awaited_.Add(kBert, b_);
  auto told = awaited_.Sealed(a_);
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (std::vector<ProcessId>{kAnna, kBert}));
  EXPECT_TRUE(awaited_.Sealed(a_).empty());
  EXPECT_EQ(awaited_.objects(), 1u);
  EXPECT_EQ(awaited_.processes(), 1u);
}

TEST_F(AwaitedObjectsTest, AnObjectIsUnwantedOnceNoProcessWaitsForIt) {
  awaited_.Add(kAnna, a_);
  awaited_.Add(kBert, a_);
  EXPECT_FALSE(awaited_.Remove(kAnna, a_));
  EXPECT_FALSE(awaited_.Remove(kAnna, a_));
  EXPECT_TRUE(awaited_.Remove(kBert, a_));
  EXPECT_EQ(awaited_.objects(), 0u);
}

TEST_F(AwaitedObjectsTest, AProcessThatGoesWaitsForNothing) {
  awaited_.Add(kAnna, a_);
  awaited_.Add(kAnna, b_);
  awaited_.Add(kBert, b_);
  EXPECT_EQ(awaited_.ProcessGone(kAnna), std::vector<ObjectId>{a_});
  EXPECT_EQ(awaited_.Sealed(b_), std::vector<ProcessId>{kBert});
  EXPECT_EQ(awaited_.processes(), 0u);
}

}  // namespace
}  // namespace raylet
