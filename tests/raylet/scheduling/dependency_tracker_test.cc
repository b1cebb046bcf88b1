#include "raylet/scheduling/dependency_tracker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

namespace raylet {
namespace {

const ObjectId kObject = ObjectId::FromRandom();
const ObjectId kOtherObject = ObjectId::FromRandom();
const TaskId kTask = TaskId::FromRandom();
const TaskId kOtherTask = TaskId::FromRandom();
constexpr uint64_t kFirst = 1, kSecond = 2;  // their sequences

// That wait for nothing any more once the object is sealed.
std::vector<TaskId> ReadyWhenSealed(DependencyTracker& tracker, const ObjectId& object) {
  tracker.Sealed(object);
  size_t most = SIZE_MAX;
  return tracker.TakeReady(most);
}

ObjectId OwnedBy(ProcessId owner) {
  static std::atomic<uint64_t> counter{1};
  return NewObjectId(owner, counter);
}

std::vector<TaskId> TasksOf(const DependencyTracker::Waiting& waiting) {
  std::vector<TaskId> tasks;
  for (const auto& [sequence, task] : waiting) tasks.push_back(task);
  return tasks;
}

TEST(DependencyTracker, WatchesAnObjectOnceHoweverManyWaitForIt) {
  DependencyTracker tracker;
  EXPECT_EQ(tracker.Add(kTask, kFirst, std::vector{kObject, kObject}), std::vector{kObject});
  EXPECT_EQ(tracker.Add(kOtherTask, kSecond, std::vector{kObject, kOtherObject}), std::vector{kOtherObject});
  EXPECT_EQ(tracker.objects(), 2u);
}

TEST(DependencyTracker, TaskIsReadyWhenItsLastObjectIsSealed) {
  DependencyTracker tracker;
  tracker.Add(kTask, kFirst, std::vector{kObject, kOtherObject});
  EXPECT_TRUE(ReadyWhenSealed(tracker, kObject).empty());
  EXPECT_TRUE(tracker.Waits(kTask));
  EXPECT_EQ(ReadyWhenSealed(tracker, kOtherObject), std::vector{kTask});
  EXPECT_FALSE(tracker.Waits(kTask));
  EXPECT_TRUE(ReadyWhenSealed(tracker, kOtherObject).empty());
}

TEST(DependencyTracker, ForgetsARemovedTask) {
  DependencyTracker tracker;
  tracker.Add(kTask, kFirst, std::vector{kObject});
  tracker.Add(kOtherTask, kSecond, std::vector{kObject});
  EXPECT_TRUE(tracker.Remove(kTask).empty()) << "another task waits for it";
  EXPECT_TRUE(tracker.Remove(kTask).empty());
  EXPECT_EQ(ReadyWhenSealed(tracker, kObject), std::vector{kOtherTask});
  EXPECT_EQ(tracker.objects(), 0u);
}

TEST(DependencyTracker, NamesTheObjectsThatNobodyWaitsForAnyMore) {
  DependencyTracker tracker;
  tracker.Add(kTask, kFirst, std::vector{kObject, kOtherObject});
  tracker.Add(kOtherTask, kSecond, std::vector{kObject});
  EXPECT_EQ(tracker.Remove(kTask), std::vector{kOtherObject});
  EXPECT_EQ(tracker.Remove(kOtherTask), std::vector{kObject});
}

TEST(DependencyTracker, NamesTheTasksOfASealedObjectInOrderAndInParts) {
  DependencyTracker tracker;
  std::vector<TaskId> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(TaskId::FromRandom());
  for (uint64_t i = 10; i-- > 0;) tracker.Add(tasks[i], i, std::vector{kObject});
  tracker.Sealed(kObject);
  EXPECT_EQ(tracker.objects(), 0u);
  EXPECT_TRUE(tracker.Remove(tasks[2]).empty());
  tracker.Add(tasks[2], 20, std::vector{kObject});  // another task of that id waits anew
  size_t most = 4;
  EXPECT_EQ(tracker.TakeReady(most), (std::vector{tasks[0], tasks[1], tasks[3]}));
  EXPECT_EQ(most, 0u);
  EXPECT_TRUE(tracker.HasMore());
  most = 100;
  EXPECT_EQ(tracker.TakeReady(most), std::vector(tasks.begin() + 4, tasks.end()));
  EXPECT_EQ(most, 94u);
  EXPECT_FALSE(tracker.HasMore());
  EXPECT_TRUE(tracker.Waits(tasks[2]));
  EXPECT_EQ(tracker.tasks(), 1u);
}

TEST(DependencyTracker, NamesTheObjectsThatEndWithTheirOwnerInParts) {
  DependencyTracker tracker;
  const ObjectId owned = OwnedBy(77), other = OwnedBy(77), comes = OwnedBy(77), of_another = OwnedBy(78);
  tracker.Add(kTask, kFirst, std::vector{kObject, owned, other, comes, of_another});
  const auto may_be_sealed = [&](const ObjectId& object) { return object == comes; };
  tracker.OwnersEnded({77});
  std::set<ObjectId> lost;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(tracker.HasMore());
    size_t most = 1;
    const auto some = tracker.TakeLost(most, may_be_sealed);
    EXPECT_EQ(most, 0u);
    lost.insert(some.begin(), some.end());
  }
  EXPECT_FALSE(tracker.HasMore());
  EXPECT_EQ(lost, (std::set{owned, other}));
  tracker.OwnersEnded({77});  // what may come is looked at again
  size_t most = 100;
  EXPECT_EQ(tracker.TakeLost(most, {}), std::vector{comes});
}

TEST(DependencyTracker, NamesNoObjectOfAnEndedOwnerForWhichNoTaskWaitsAnyMore) {
  DependencyTracker tracker;
  const ObjectId owned = OwnedBy(77);
  tracker.Add(kTask, kFirst, std::vector{owned});
  tracker.OwnersEnded({77});
  tracker.Remove(kTask);
  size_t most = 100;
  EXPECT_TRUE(tracker.TakeLost(most, {}).empty());
}

TEST(DependencyTracker, ATaskOfALostObjectStaysUntilItIsRemovedAndAnotherOneWaitsAnew) {
  DependencyTracker tracker;
  tracker.Add(kTask, kFirst, std::vector{kObject, kOtherObject});
  EXPECT_EQ(TasksOf(tracker.Lost(kObject)), std::vector{kTask});
  EXPECT_TRUE(tracker.Lost(kObject).empty());
  EXPECT_EQ(tracker.objects(), 1u);
  EXPECT_EQ(tracker.Add(kOtherTask, kSecond, std::vector{kObject}), std::vector{kObject})
      << "it is to be watched again";
  EXPECT_TRUE(ReadyWhenSealed(tracker, kOtherObject).empty());
  EXPECT_TRUE(tracker.Waits(kTask));
  EXPECT_TRUE(tracker.Remove(kTask).empty()) << "another task waits for it";
  EXPECT_EQ(ReadyWhenSealed(tracker, kObject), std::vector{kOtherTask});
  EXPECT_EQ(tracker.tasks(), 0u);
  EXPECT_EQ(tracker.objects(), 0u);
}

}  // namespace
}  // namespace raylet
