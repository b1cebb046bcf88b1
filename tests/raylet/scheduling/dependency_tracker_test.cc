#include "raylet/scheduling/dependency_tracker.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

const ObjectId kA = ObjectId::FromRandom();
const ObjectId kB = ObjectId::FromRandom();
const TaskId kOne = TaskId::FromRandom();
const TaskId kTwo = TaskId::FromRandom();

TEST(DependencyTracker, WatchesAnObjectOnceHoweverManyWaitForIt) {
  DependencyTracker tracker;
  EXPECT_EQ(tracker.Add(kOne, std::vector{kA, kA}), std::vector{kA});
  EXPECT_EQ(tracker.Add(kTwo, std::vector{kA, kB}), std::vector{kB});
  EXPECT_EQ(tracker.objects(), 2u);
}

TEST(DependencyTracker, TaskIsReadyWhenItsLastObjectIsSealed) {
  DependencyTracker tracker;
  tracker.Add(kOne, std::vector{kA, kB});
  EXPECT_TRUE(tracker.Sealed(kA).empty());
  EXPECT_TRUE(tracker.Waits(kOne));
  EXPECT_EQ(tracker.Sealed(kB), std::vector{kOne});
  EXPECT_FALSE(tracker.Waits(kOne));
  EXPECT_TRUE(tracker.Sealed(kB).empty());
}

TEST(DependencyTracker, ForgetsARemovedTask) {
  DependencyTracker tracker;
  tracker.Add(kOne, std::vector{kA});
  tracker.Add(kTwo, std::vector{kA});
  EXPECT_TRUE(tracker.Remove(kOne).empty()) << "another task waits for it";
  EXPECT_TRUE(tracker.Remove(kOne).empty());
  EXPECT_EQ(tracker.Sealed(kA), std::vector{kTwo});
  EXPECT_EQ(tracker.objects(), 0u);
}

TEST(DependencyTracker, NamesTheObjectsThatNobodyWaitsForAnyMore) {
  DependencyTracker tracker;
  tracker.Add(kOne, std::vector{kA, kB});
  tracker.Add(kTwo, std::vector{kA});
  EXPECT_EQ(tracker.Remove(kOne), std::vector{kB});
  EXPECT_EQ(tracker.Remove(kTwo), std::vector{kA});
}

TEST(DependencyTracker, FindsTasksWhoseObjectsLostTheirOwner) {
  DependencyTracker tracker;
  std::atomic<uint64_t> counter{1};
  const ObjectId owned = NewObjectId(77, counter);
  tracker.Add(kOne, std::vector{kA, owned});
  const auto waiting = tracker.WaitingForOwners({77});
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0], std::pair(kOne, owned));
  EXPECT_TRUE(tracker.WaitingForOwners({78}).empty());
}

}  // namespace
}  // namespace raylet
