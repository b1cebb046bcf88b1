// Values are what went in, through real daemons and real processes.
#include <gtest/gtest.h>

#include "tests/client/ray/api/round_trips.h"
#include "tests/client/ray/cluster/cluster_fixture.h"

namespace cluster_test {
namespace {

using ClusterValuesTest = ClusterTest;

TEST_F(ClusterValuesTest, NumbersComeBackWithTheirBits) { round_trips::ExpectNumbersKept(); }
TEST_F(ClusterValuesTest, NumbersInContainersComeBackWithTheirBits) { round_trips::ExpectContainersKept(); }
TEST_F(ClusterValuesTest, UserTypesComeBackWithTheirBits) { round_trips::ExpectUserTypesKept(); }
TEST_F(ClusterValuesTest, OptionalsComeBackAsPresentAsTheyWere) { round_trips::ExpectOptionalsKept(); }
TEST_F(ClusterValuesTest, AnyComesBackWithItsType) { round_trips::ExpectAnyKept(); }
TEST_F(ClusterValuesTest, LargeVectorsAndStringsComeBackAsTheyWere) { round_trips::ExpectLargeKept(); }
TEST_F(ClusterValuesTest, AValueThatWouldComeBackOtherwiseIsRefused) { round_trips::ExpectLossRefused(); }
TEST_F(ClusterValuesTest, AnExceptionWithoutTextIsToldByItsType) { round_trips::ExpectNullWhatTold(); }

}  // namespace
}  // namespace cluster_test
