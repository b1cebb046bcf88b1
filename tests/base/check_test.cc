#include "base/check.h"

#include <gtest/gtest.h>

namespace raylet {
namespace {

TEST(CheckTest, ATrueConditionCostsNothingAndSaysNothing) {
  int evaluated = 0;
  const auto say = [&] {
    ++evaluated;
    return "text";
  };
  RAYLET_CHECK(1 + 1 == 2, say());
  EXPECT_EQ(evaluated, 0);
}

TEST(CheckDeathTest, ABrokenInvariantStopsWithASentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const int bound = 9;
  EXPECT_DEATH(RAYLET_CHECK(bound <= 8, "bound ", bound, " past size ", 8),
               "raylet: bug at base/check_test.cc:[0-9]+: expected bound <= 8: bound 9 past size 8");
}

}  // namespace
}  // namespace raylet
