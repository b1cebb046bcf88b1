// ray::Wait and ray::Get of many references in local mode.
#include <gtest/gtest.h>

#include "tests/client/ray/api/local_mode.h"
#include "tests/client/ray/api/waits.h"

namespace {

using WaitTest = ray_test::InLocalMode;

TEST_F(WaitTest, HasNoMoreReadyOnesThanAskedFor) { waits::ExpectNoMoreThanAskedFor(); }
TEST_F(WaitTest, FindsReadyOnesBehindPendingOnes) { waits::ExpectReadyFoundBehindPending(); }
TEST_F(WaitTest, FindsThoseThatBecomeReadyMeanwhile) { waits::ExpectReadyFoundWhileItWaits(); }
TEST_F(WaitTest, HasAtTheTimeoutAllThatBecameReady) { waits::ExpectReadyFoundAtTheTimeout(); }
TEST_F(WaitTest, CountsNoneTwiceWhereAnEarlierOneBecomesReady) { waits::ExpectEarlierOneCountedOnce(); }
TEST_F(WaitTest, CountsEachOfTwoEqualReferences) { waits::ExpectEachOfTwoEqualOnesCounted(); }
TEST_F(WaitTest, RefusesBadCountsAndNullReferences) { waits::ExpectBadCountsAndReferencesRefused(); }
TEST_F(WaitTest, ReturnsListsOfTheStandardLibrary) { waits::ExpectStandardLists(); }
TEST_F(WaitTest, ItsListsKeepTheirObjects) { waits::ExpectListsToKeepTheirObjects(); }

using GetManyTest = ray_test::InLocalMode;

TEST_F(GetManyTest, GivesValuesInOrder) { waits::ExpectValuesInOrder(); }
TEST_F(GetManyTest, ThrowsTheFirstError) { waits::ExpectFirstErrorThrown(); }
TEST_F(GetManyTest, TellsOfAnUnreadableValueBeforeItWaitsForALaterOne) { waits::ExpectErrorBeforeTheNextWait(); }
TEST_F(GetManyTest, KeepsWhatItsValuesReferTo) { waits::ExpectReferencesInValuesToKeepTheirObjects(); }

}  // namespace
