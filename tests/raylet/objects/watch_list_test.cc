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
  // The objects that the store is asked to watch now. It confirms at once that it stops watching others.
  std::vector<ObjectId> Watched() {
    auto orders = list_.TakeOrders();
    list_.Unwatched(orders.unwatch);
    const auto more = list_.TakeOrders();
    EXPECT_TRUE(more.unwatch.empty());
    orders.watch.insert(orders.watch.end(), more.watch.begin(), more.watch.end());
    return orders.watch;
  }

  std::atomic<uint64_t> next_{1};
  WatchList list_{4};
};

TEST_F(WatchListTest, AnObjectIsWatchedOnceForAllReasonsAndUntilTheLastOneEnds) {
  const auto object = Objects(1);
  list_.Add(object, WatchFor::kTask);
  list_.Add(object, WatchFor::kPull);
  EXPECT_EQ(list_.TakeOrders().watch, object);
  list_.Remove(object, WatchFor::kTask);
  EXPECT_TRUE(list_.TakeOrders().unwatch.empty());
  list_.Remove(object, WatchFor::kPull);
  EXPECT_EQ(list_.TakeOrders().unwatch, object);
  EXPECT_EQ(list_.objects(), 1u) << "until the store confirms it";
  list_.Unwatched(object);
  EXPECT_EQ(list_.objects(), 0u);
}

TEST_F(WatchListTest, ASealEndsTheWatchAndMakesRoomForTheNextOne) {
  const auto objects = Objects(5);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders().watch, First(objects, 4));
  EXPECT_EQ(list_.waiting(), 1u);
  EXPECT_TRUE(list_.Sealed(objects[2]));
  EXPECT_FALSE(list_.Sealed(objects[2]));
  EXPECT_EQ(list_.TakeOrders().watch, std::vector{objects[4]});
}

TEST_F(WatchListTest, AnObjectThatWaitsForRoomIsForgottenWithItsReason) {
  const auto objects = Objects(5);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders().watch.size(), 4u);
  list_.Remove({&objects[4], 1}, WatchFor::kTask);
  EXPECT_EQ(list_.objects(), 4u);
  EXPECT_TRUE(list_.TakeOrders().unwatch.empty());
}

TEST_F(WatchListTest, AnObjectThatIsWantedAgainIsWatchedAfterTheStoreHasStopped) {
  const auto object = Objects(1);
  list_.Add(object, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders().watch, object);
  list_.Remove(object, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders().unwatch, object);
  list_.Add(object, WatchFor::kPull);
  EXPECT_TRUE(list_.TakeOrders().watch.empty());
  list_.Unwatched(object);
  EXPECT_EQ(list_.TakeOrders().watch, object);
}

TEST_F(WatchListTest, ANoticeThatCrossesTheEndOfAWatchTellsNobody) {
  const auto object = Objects(1);
  list_.Add(object, WatchFor::kTask);
  list_.TakeOrders();
  list_.Remove(object, WatchFor::kTask);
  EXPECT_FALSE(list_.Sealed(object[0]));
  list_.Unwatched(object);
  EXPECT_EQ(list_.objects(), 0u);
}

TEST_F(WatchListTest, RotationGivesEachObjectItsTurn) {
  const auto objects = Objects(10);
  list_.Add(objects, WatchFor::kTask);
  auto watched = Watched();
  for (int i = 0; i < 3; ++i) {
    list_.Rotate(2);
    const auto more = Watched();
    EXPECT_EQ(more.size(), 2u);
    watched.insert(watched.end(), more.begin(), more.end());
  }
  EXPECT_EQ(watched, objects);
  EXPECT_EQ(list_.at_store(), 4u);
  EXPECT_EQ(list_.waiting(), 6u);
}

TEST_F(WatchListTest, NothingRotatesWhileNothingWaits) {
  list_.Add(Objects(4), WatchFor::kTask);
  list_.TakeOrders();
  list_.Rotate(100);
  EXPECT_TRUE(list_.TakeOrders().unwatch.empty());
}

TEST_F(WatchListTest, ARefusalOfNothingChangesNothing) {
  const auto objects = Objects(4);
  list_.Add({objects.data(), 1}, WatchFor::kTask);
  list_.TakeOrders();
  list_.Refused({});
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders().watch.size(), 3u);
}

TEST_F(WatchListTest, ARefusalMakesTheStoresShareSmallerAndLosesNoObject) {
  const auto objects = Objects(4);
  list_.Add(objects, WatchFor::kTask);
  EXPECT_EQ(list_.TakeOrders().watch, objects);
  list_.Refused({&objects[2], 2});
  EXPECT_EQ(list_.at_store(), 2u);
  EXPECT_TRUE(list_.TakeOrders().watch.empty());
  EXPECT_TRUE(list_.Sealed(objects[0]));
  EXPECT_EQ(list_.TakeOrders().watch.size(), 1u);
  EXPECT_EQ(list_.objects(), 3u);
}

}  // namespace
}  // namespace raylet
