#include "client/parameter_server/recent.h"

#include <gtest/gtest.h>

namespace recent_sequences_test {

using ray::ps::internal::RecentSequences;

TEST(RecentSequencesTest, TheOldestIsForgottenWhenFull) {
  RecentSequences recent;
  for (uint64_t i = 0; i < RecentSequences::kMax + 2; ++i) {
    EXPECT_FALSE(recent.Has(i));
    recent.Add(i);
    EXPECT_TRUE(recent.Has(i));
  }
  EXPECT_FALSE(recent.Has(0));
  EXPECT_FALSE(recent.Has(1));
  EXPECT_TRUE(recent.Has(2));
  EXPECT_EQ(recent.all().size(), RecentSequences::kMax);
}

}  // namespace recent_sequences_test
