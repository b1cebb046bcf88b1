#include "client/ray/cluster/task_room.h"

#include <gtest/gtest.h>

#include <vector>

namespace raylet::client {
namespace {

using Places = std::vector<TaskRoom::Place>;

void Fill(TaskRoom& room, Places& places, size_t bytes = 0) {
  while (auto place = room.TryTake(bytes)) places.push_back(*std::move(place));
}

TEST(TaskRoom, IsFullAtItsBound) {
  TaskRoom room({.tasks_max = 160});
  Places places;
  Fill(room, places);
  EXPECT_EQ(places.size(), 160u);
  EXPECT_EQ(room.tasks(), 160u);
}

TEST(TaskRoom, ThatWasFullHasRoomOnceASixteenthHasEnded) {
  TaskRoom room({.tasks_max = 160});
  Places places;
  Fill(room, places);
  for (int ended = 1; ended < 10; ++ended) {
    places.pop_back();
    EXPECT_FALSE(room.TryTake(0)) << ended;
  }
  places.pop_back();
  Fill(room, places);
  EXPECT_EQ(places.size(), 160u);
}

TEST(TaskRoom, OfFewTasksHasRoomOnceOneHasEnded) {
  TaskRoom room({.tasks_max = 3});
  Places places;
  Fill(room, places);
  places.erase(places.begin());
  Fill(room, places);
  EXPECT_EQ(places.size(), 3u);
}

TEST(TaskRoom, IsFullWhereItsTasksHaveTooManyBytes) {
  TaskRoom room({.tasks_max = 1'000, .bytes_max = 160});
  Places places;
  Fill(room, places, 50);
  EXPECT_EQ(places.size(), 4u) << "one task passes the bound";
  places.pop_back();
  EXPECT_TRUE(room.TryTake(50)) << "no more than fifteen sixteenths are left";
}

TEST(TaskRoom, TakesATaskThatIsLargerThanTheBoundAlone) {
  TaskRoom room({.tasks_max = 1'000, .bytes_max = 160});
  Places places;
  Fill(room, places, 1'000);
  EXPECT_EQ(places.size(), 1u);
  places.clear();
  EXPECT_TRUE(room.TryTake(1'000));
}

TEST(TaskRoom, HasNoneUntilWhatTheRayletReturnedIsSentAgain) {
  TaskRoom room({.tasks_max = 10});
  const auto place = room.TryTake(0);
  ASSERT_TRUE(place);
  const auto id = TaskId::FromRandom();
  room.Return({id, "f", Bytes(3)});
  room.Return({TaskId::FromRandom(), "g", Bytes(4)});
  EXPECT_FALSE(room.TryTake(0));
  const auto returned = room.TakeReturned();
  ASSERT_EQ(returned.size(), 2u);
  EXPECT_EQ(returned[0].id, id);
  EXPECT_EQ(returned[0].spec, Bytes(3));
  EXPECT_TRUE(room.TryTake(0));
  EXPECT_TRUE(room.TakeReturned().empty());
}

TEST(TaskRoom, PlacesThatMoveAreGivenBackOnce) {
  TaskRoom room({.tasks_max = 10});
  {
    auto first = room.TryTake(5);
    TaskRoom::Place second = *std::move(first);
    TaskRoom::Place third;
    third = std::move(second);
    EXPECT_EQ(room.tasks(), 1u);
    third = *room.TryTake(6);
    EXPECT_EQ(room.tasks(), 1u);
  }
  EXPECT_EQ(room.tasks(), 0u);
}

}  // namespace
}  // namespace raylet::client
