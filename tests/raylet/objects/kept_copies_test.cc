#include "raylet/objects/kept_copies.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

class KeptCopiesTest : public ::testing::Test {
 protected:
  ObjectId Keep(ProcessId owner) {
    const ObjectId object = NewObjectId(owner, next_);
    kept_.Add(object);
    return object;
  }
  std::set<ObjectId> DropAll() {
    std::set<ObjectId> dropped;
    while (kept_.drops()) {
      const auto some = kept_.TakeDropped(2);
      EXPECT_LE(some.size(), 2u);
      dropped.insert(some.begin(), some.end());
    }
    return dropped;
  }

  static constexpr MachineNumber kThere{9};
  static constexpr ProcessId kFirst = ProcessIdOf(kThere, 1), kSecond = ProcessIdOf(kThere, 2);
  static constexpr ProcessId kThird = ProcessIdOf(MachineNumber{10}, 1);
  std::atomic<uint64_t> next_{1};
  KeptCopies kept_;
};

TEST_F(KeptCopiesTest, ASettledOwnersObjectsGoExceptThoseThatItsMachineKeeps) {
  const ObjectId stays = Keep(kFirst), freed = Keep(kFirst), goes = Keep(kFirst), others = Keep(kSecond);
  kept_.StayWhenSettled(std::vector<ObjectId>{stays, freed, NewObjectId(kThird, next_)});
  kept_.Add(stays);
  EXPECT_EQ(kept_.count(), 4u);
  kept_.Remove(freed);
  kept_.OwnerSettled(kFirst);
  EXPECT_EQ(kept_.count(), 2u);
  EXPECT_EQ(DropAll(), std::set<ObjectId>{goes});
  kept_.Remove(stays);
  kept_.Remove(others);
  EXPECT_EQ(kept_.count(), 0u);
}

TEST_F(KeptCopiesTest, AMachinesObjectsGoBitByBitButNoneThatIsKeptAnew) {
  std::set<ObjectId> all;
  for (int i = 0; i < 5; ++i) all.insert(Keep(kFirst));
  const ObjectId stays = Keep(kSecond), again = Keep(kSecond), others = Keep(kThird);
  kept_.StayWhenSettled({&stays, 1});
  all.insert(stays);
  kept_.MachineLost(kThere);
  EXPECT_EQ(kept_.count(), 1u);
  kept_.Add(again);
  EXPECT_EQ(DropAll(), all);
  EXPECT_EQ(kept_.count(), 2u);
  kept_.MachineLost(MachineOf(kThird));
  EXPECT_EQ(DropAll(), std::set<ObjectId>{others});
}

TEST_F(KeptCopiesTest, AnOwnerWithoutObjectsLeavesNothing) {
  kept_.OwnerSettled(kFirst);
  kept_.MachineLost(kThere);
  kept_.Remove(NewObjectId(kFirst, next_));
  EXPECT_FALSE(kept_.drops());
}

}  // namespace
}  // namespace raylet
