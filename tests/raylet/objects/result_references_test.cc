#include "raylet/objects/result_references.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TEST(ResultReferences, KnowsWhatAResultRefersToUntilItIsFreed) {
  ResultReferences all;
  const ObjectId result = ObjectId::FromRandom();
  const std::vector<ObjectId> inner{ObjectId::FromRandom(), ObjectId::FromRandom()};
  all.Add(result, inner);
  EXPECT_EQ(all.Of(result), inner);
  EXPECT_TRUE(all.Of(inner[0]).empty());
  all.Freed(std::vector{inner[0], result});
  EXPECT_TRUE(all.Of(result).empty());
  EXPECT_EQ(all.results(), 0u);
}

TEST(ResultReferences, KeepsNoEntryForAResultWithoutReferences) {
  ResultReferences all;
  all.Add(ObjectId::FromRandom(), {});
  EXPECT_EQ(all.results(), 0u);
}

}  // namespace
}  // namespace raylet
