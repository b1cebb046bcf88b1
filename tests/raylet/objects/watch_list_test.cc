#include "raylet/objects/watch_list.h"

#include <gtest/gtest.h>

#include <atomic>

namespace raylet {
namespace {

class WatchListTest : public testing::Test {
 protected:
  std::vector<ObjectId> Objects(size_t count) {
    std::vector<ObjectId> objects;
    for (size_t i = 0; i < count; ++i) objects.push_back(NewObjectId(7, next_));
    return objects;
  }
  std::vector<ObjectId> First(const std::vector<ObjectId>& objects, size_t count) {
    return {objects.begin(), objects.begin() + static_cast<std::ptrdiff_t>(count)};
  }
  WatchList::Orders TakeOrders() { return list_.TakeOrders(/*most=*/100); }

  std::atomic<uint64_t> next_{1};
  WatchList list_{4};
};

TEST_F(WatchListTest, AnObjectIsWatchedOnceForAllReasonsAndUntilTheLastOneEnds) {
  const auto object = Objects(1);
  list_.Add(object, WatchFor::kTask);
  list_.Add(object, WatchFor::kPull);
  EXPECT_EQ(TakeOrders().watch, object);
  list_.Remove(object, WatchFor::kTask);
  EXPECT_TRUE(TakeOrders().unwatch.empty());
  list_.Remove(object, WatchFor::kPull);
  EXPECT_EQ(TakeOrders().unwatch, object);
  EXPECT_EQ(list_.objects(), 1u) << "until the store confirms it";
  list_.Unwatched(object);
  EXPECT_EQ(list_.objects(), 0u);
}

TEST_F(WatchListTest, ASealEndsTheWatchAndMakesRoomForTheNextOne) {
  const auto objects = Objects(5);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch, First(objects, 4));
  EXPECT_EQ(list_.waiting(), 1u);
  EXPECT_TRUE(list_.Sealed(objects[2]));
  EXPECT_FALSE(list_.Sealed(objects[2]));
  EXPECT_EQ(TakeOrders().watch, std::vector{objects[4]});
}

TEST_F(WatchListTest, TheStoreIsAskedToEndTheWatchOfAnObjectThatTheRayletFoundSealed) {
  const auto objects = Objects(5);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch.size(), 4u);
  EXPECT_TRUE(list_.SealedHere(objects[4]));
  EXPECT_TRUE(TakeOrders().unwatch.empty()) << "it had no place at the store";
  EXPECT_TRUE(list_.SealedHere(objects[0]));
  EXPECT_EQ(TakeOrders().unwatch, First(objects, 1));
  EXPECT_FALSE(list_.Sealed(objects[0])) << "somebody has heard it already";
  list_.Unwatched(First(objects, 1));
  EXPECT_EQ(list_.objects(), 3u);
}

TEST_F(WatchListTest, AnObjectThatWaitsForRoomIsForgottenWithItsReason) {
  const auto objects = Objects(5);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch.size(), 4u);
  list_.Remove({&objects[4], 1}, WatchFor::kTask);
  EXPECT_EQ(list_.objects(), 4u);
  EXPECT_TRUE(TakeOrders().unwatch.empty());
}

TEST_F(WatchListTest, AnObjectThatIsWantedAgainIsWatchedAfterTheStoreHasStopped) {
  const auto object = Objects(1);
  list_.Add(object, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch, object);
  list_.Remove(object, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().unwatch, object);
  list_.Add(object, WatchFor::kPull);
  EXPECT_TRUE(TakeOrders().watch.empty());
  list_.Unwatched(object);
  EXPECT_EQ(TakeOrders().watch, object);
}

TEST_F(WatchListTest, ANoticeThatCrossesTheEndOfAWatchTellsNobody) {
  const auto object = Objects(1);
  list_.Add(object, WatchFor::kTask);
  TakeOrders();
  list_.Remove(object, WatchFor::kTask);
  EXPECT_FALSE(list_.Sealed(object[0]));
  list_.Unwatched(object);
  EXPECT_EQ(list_.objects(), 0u);
}

TEST_F(WatchListTest, ObjectsThatWaitForAPlaceAreLookedForInTurn) {
  const auto objects = Objects(10);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch, First(objects, 4));
  std::vector<ObjectId> looked_for;
  for (int i = 0; i < 3; ++i)
    for (const ObjectId& object : list_.NextToLookFor(2)) looked_for.push_back(object);
  EXPECT_EQ(looked_for, std::vector(objects.begin() + 4, objects.end()));
  EXPECT_EQ(list_.NextToLookFor(100).size(), 6u);
  EXPECT_TRUE(TakeOrders().unwatch.empty()) << "the store hears nothing of it";
  EXPECT_EQ(list_.at_store(), 4u);
}

TEST_F(WatchListTest, NothingIsLookedForWhileNothingWaits) {
  list_.Add(Objects(4), WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch.size(), 4u);
  EXPECT_TRUE(list_.NextToLookFor(100).empty());
}

TEST_F(WatchListTest, AnOrderNamesAtMostSoManyObjects) {
  const auto objects = Objects(4);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders(0).watch.size(), 0u);
  EXPECT_EQ(list_.TakeOrders(3).watch, First(objects, 3));
  list_.Remove(First(objects, 3), WatchFor::kTask);
  const auto two = list_.TakeOrders(2);
  EXPECT_EQ(two.unwatch, First(objects, 2));
  EXPECT_TRUE(two.watch.empty());
  const auto others = list_.TakeOrders(2);
  EXPECT_EQ(others.unwatch, std::vector{objects[2]});
  EXPECT_EQ(others.watch, std::vector{objects[3]});
}

TEST_F(WatchListTest, ARefusalOfNothingChangesNothing) {
  const auto objects = Objects(4);
  list_.Add({objects.data(), 1}, WatchFor::kTask);
  TakeOrders();
  list_.Refused({});
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch.size(), 3u);
}

TEST_F(WatchListTest, ARefusalMakesTheStoresShareSmallerAndLosesNoObject) {
  const auto objects = Objects(4);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(TakeOrders().watch, objects);
  list_.Refused({&objects[2], 2});
  EXPECT_EQ(list_.at_store(), 2u);
  EXPECT_TRUE(TakeOrders().watch.empty());
  EXPECT_TRUE(list_.Sealed(objects[0]));
  EXPECT_EQ(TakeOrders().watch.size(), 1u);
  EXPECT_EQ(list_.objects(), 3u);
}

}  // namespace
}  // namespace raylet
