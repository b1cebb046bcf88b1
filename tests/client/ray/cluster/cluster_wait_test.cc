// ray::Wait and ray::Get of many references with real daemons: to objects of this process, and to borrowed ones.
#include <gtest/gtest.h>

#include "tests/client/ray/api/waits.h"
#include "tests/client/ray/cluster/cluster_fixture.h"

namespace cluster_test {

// How many of them were ready.
int ReadyOf(const std::vector<ray::ObjectRef<int>>& refs, int count, int timeout_ms) {
  const auto [ready, unready] = ray::Wait(refs, count, timeout_ms);
  if (ready.size() + unready.size() != refs.size()) return -1;
  return static_cast<int>(ready.size());
}
// The same of `refs` and of puts of the worker before and behind them.
int ReadyOfMixed(std::vector<ray::ObjectRef<int>> refs, int count, int timeout_ms) {
  refs.insert(refs.begin(), ray::Put(1));
  refs.push_back(ray::Put(2));
  return ReadyOf(refs, count, timeout_ms);
}
std::vector<int> ValuesOf(const std::vector<ray::ObjectRef<int>>& refs) {
  std::vector<int> values;
  for (const auto& value : ray::Get(refs, 60'000)) values.push_back(*value);
  return values;
}
RAY_REMOTE(ReadyOf, ReadyOfMixed, ValuesOf);

namespace {

using ClusterWaitTest = ClusterTest;

TEST_F(ClusterWaitTest, HasNoMoreReadyOnesThanAskedFor) { waits::ExpectNoMoreThanAskedFor(); }
TEST_F(ClusterWaitTest, FindsReadyOnesBehindPendingOnes) { waits::ExpectReadyFoundBehindPending(); }
TEST_F(ClusterWaitTest, FindsThoseThatBecomeReadyMeanwhile) { waits::ExpectReadyFoundWhileItWaits(); }
TEST_F(ClusterWaitTest, HasAtTheTimeoutAllThatBecameReady) { waits::ExpectReadyFoundAtTheTimeout(); }
TEST_F(ClusterWaitTest, CountsNoneTwiceWhereAnEarlierOneBecomesReady) { waits::ExpectEarlierOneCountedOnce(); }
TEST_F(ClusterWaitTest, CountsEachOfTwoEqualReferences) { waits::ExpectEachOfTwoEqualOnesCounted(); }
TEST_F(ClusterWaitTest, RefusesBadCountsAndNullReferences) { waits::ExpectBadCountsAndReferencesRefused(); }
TEST_F(ClusterWaitTest, ReturnsListsOfTheStandardLibrary) { waits::ExpectStandardLists(); }
TEST_F(ClusterWaitTest, ItsListsKeepTheirObjects) { waits::ExpectListsToKeepTheirObjects(); }

TEST_F(ClusterWaitTest, HasNoMoreBorrowedOnesThanAskedFor) {
  std::vector<ray::ObjectRef<int>> refs;
  for (int i = 0; i < 20; ++i) refs.push_back(ray::Put(i));
  for (const int count : {0, 1, 7, 20}) EXPECT_EQ(*ray::Task(ReadyOf).Remote(refs, count, 60'000).Get(), count);
  for (const int count : {1, 2, 12, 22}) EXPECT_EQ(*ray::Task(ReadyOfMixed).Remote(refs, count, 60'000).Get(), count);
}

TEST_F(ClusterWaitTest, FindsBorrowedOnesOfWhichOneIsNeverReady) {
  auto never = ray::Task(Add).SetResource("no such resource", 1).Remote(1, 2);
  const std::vector<ray::ObjectRef<int>> refs{never, ray::Put(1), ray::Put(2)};
  EXPECT_EQ(*ray::Task(ReadyOf).Remote(refs, 2, 60'000).Get(), 2);
  EXPECT_EQ(*ray::Task(ReadyOf).Remote(refs, 3, 50).Get(), 2);
  EXPECT_EQ(*ray::Task(ReadyOfMixed).Remote(refs, 4, 60'000).Get(), 4);
  EXPECT_EQ(*ray::Task(ReadyOfMixed).Remote(refs, 5, 50).Get(), 4);
  ray::Cancel(never);
  EXPECT_EQ(*ray::Task(ReadyOf).Remote(refs, 3, 60'000).Get(), 3);
}

using ClusterGetManyTest = ClusterTest;

TEST_F(ClusterGetManyTest, GivesValuesInOrder) { waits::ExpectValuesInOrder(); }
TEST_F(ClusterGetManyTest, ThrowsTheFirstError) { waits::ExpectFirstErrorThrown(); }
TEST_F(ClusterGetManyTest, TellsOfAnUnreadableValueBeforeItWaitsForALaterOne) { waits::ExpectErrorBeforeTheNextWait(); }
TEST_F(ClusterGetManyTest, KeepsWhatItsValuesReferTo) { waits::ExpectReferencesInValuesToKeepTheirObjects(); }

TEST_F(ClusterGetManyTest, GivesBorrowedValuesInOrder) {
  std::vector<ray::ObjectRef<int>> refs;
  for (int i = 0; i < 100; ++i) refs.push_back(i % 2 == 0 ? ray::Put(i) : ray::Task(Add).Remote(i, 0));
  const auto values = *ray::Task(ValuesOf).Remote(refs).Get();
  ASSERT_EQ(values.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], i);
}

}  // namespace
}  // namespace cluster_test
