#include "raylet/scheduling/dependency_tracker.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

const ObjectId kObject = ObjectId::FromRandom();
const ObjectId kOtherObject = ObjectId::FromRandom();
const TaskId kTask = TaskId::FromRandom();
const TaskId kOtherTask = TaskId::FromRandom();

TEST(DependencyTracker, WatchesAnObjectOnceHoweverManyWaitForIt) {
  DependencyTracker tracker;
  EXPECT_EQ(tracker.Add(kTask, std::vector{kObject, kObject}), std::vector{kObject});
  EXPECT_EQ(tracker.Add(kOtherTask, std::vector{kObject, kOtherObject}), std::vector{kOtherObject});
  EXPECT_EQ(tracker.objects(), 2u);
}

TEST(DependencyTracker, TaskIsReadyWhenItsLastObjectIsSealed) {
  DependencyTracker tracker;
  tracker.Add(kTask, std::vector{kObject, kOtherObject});
  EXPECT_TRUE(tracker.Sealed(kObject).empty());
  EXPECT_TRUE(tracker.Waits(kTask));
  EXPECT_EQ(tracker.Sealed(kOtherObject), std::vector{kTask});
  EXPECT_FALSE(tracker.Waits(kTask));
  EXPECT_TRUE(tracker.Sealed(kOtherObject).empty());
}

TEST(DependencyTracker, ForgetsARemovedTask) {
  DependencyTracker tracker;
  tracker.Add(kTask, std::vector{kObject});
  tracker.Add(kOtherTask, std::vector{kObject});
  EXPECT_TRUE(tracker.Remove(kTask).empty()) << "another task waits for it";
  EXPECT_TRUE(tracker.Remove(kTask).empty());
  EXPECT_EQ(tracker.Sealed(kObject), std::vector{kOtherTask});
  EXPECT_EQ(tracker.objects(), 0u);
}

TEST(DependencyTracker, NamesTheObjectsThatNobodyWaitsForAnyMore) {
  DependencyTracker tracker;
  tracker.Add(kTask, std::vector{kObject, kOtherObject});
  tracker.Add(kOtherTask, std::vector{kObject});
  EXPECT_EQ(tracker.Remove(kTask), std::vector{kOtherObject});
  EXPECT_EQ(tracker.Remove(kOtherTask), std::vector{kObject});
}

TEST(DependencyTracker, FindsTasksWhoseObjectsLostTheirOwner) {
  DependencyTracker tracker;
  std::atomic<uint64_t> counter{1};
  const ObjectId owned = NewObjectId(77, counter);
  tracker.Add(kTask, std::vector{kObject, owned});
  const auto waiting = tracker.WaitingForOwners({77});
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0], std::pair(kTask, owned));
  EXPECT_TRUE(tracker.WaitingForOwners({78}).empty());
}

TEST(DependencyTracker, ATaskOfALostObjectStaysUntilItIsRemovedAndAnotherOneWaitsAnew) {
  DependencyTracker tracker;
  tracker.Add(kTask, std::vector{kObject, kOtherObject});
  EXPECT_EQ(tracker.Lost(kObject), std::vector{kTask});
  EXPECT_TRUE(tracker.Lost(kObject).empty());
  EXPECT_EQ(tracker.objects(), 1u);
  EXPECT_EQ(tracker.Add(kOtherTask, std::vector{kObject}), std::vector{kObject}) << "it is to be watched again";
  EXPECT_TRUE(tracker.Sealed(kOtherObject).empty());
  EXPECT_TRUE(tracker.Waits(kTask));
  EXPECT_TRUE(tracker.Remove(kTask).empty()) << "another task waits for it";
  EXPECT_EQ(tracker.Sealed(kObject), std::vector{kOtherTask});
  EXPECT_EQ(tracker.tasks(), 0u);
  EXPECT_EQ(tracker.objects(), 0u);
}

}  // namespace
}  // namespace raylet
