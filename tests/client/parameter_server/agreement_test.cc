// What closed shards have in common.
#include "client/parameter_server/agreement.h"

#include <gtest/gtest.h>

#include <vector>

namespace agreement_test {

using ray::ps::internal::Agreement;
using ray::ps::internal::AgreementOf;
using ray::ps::internal::ClosedReply;
using ray::ps::internal::NewestOf;
using Sequences = std::vector<uint64_t>;

TEST(AgreementTest, AGradientOfSomeShardsIsPartialUnlessItIsOld) {
  const std::vector<ClosedReply> shards = {{7, {9, 1, 2, 4}, {2, 4}, 0, false, {}},
                                           {8, {1, 2, 3}, {3, 2}, 0, false, {}}};
  EXPECT_EQ(NewestOf(shards), (Sequences{2, 3, 4}));
  const Agreement agreement = AgreementOf(shards);
  EXPECT_EQ(agreement.version, 8U);
  EXPECT_EQ(agreement.recent, (Sequences{1, 9, 2})) << "the second shard has forgotten 9";
  EXPECT_EQ(agreement.partial, (Sequences{3, 4}));
}

TEST(AgreementTest, ARankIsBehindWhereAllShardsSaySo) {
  const std::vector<ClosedReply> shards = {{1, {}, {}, 0, false, {{3, true}, {5, true}}},
                                           {1, {}, {}, 0, false, {{4, true}, {2, false}}}};
  const auto ranks = AgreementOf(shards).ranks;
  ASSERT_EQ(ranks.size(), 2U);
  EXPECT_TRUE(ranks[0].behind);
  EXPECT_FALSE(ranks[1].behind);
  EXPECT_EQ(ranks[0].clock, 4U);
  EXPECT_EQ(ranks[1].clock, 5U);
}

TEST(AgreementTest, OneShardAgreesWithItself) {
  const Agreement agreement = AgreementOf({{3, {5, 4}, {5, 4}, 0, false, {{1, false}}}});
  EXPECT_EQ(agreement.recent, (Sequences{4, 5}));
  EXPECT_TRUE(agreement.partial.empty());
  EXPECT_EQ(agreement.ranks.size(), 1U);
}

}  // namespace agreement_test
