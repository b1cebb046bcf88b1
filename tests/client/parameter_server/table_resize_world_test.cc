// Resizes of a table beside workers, step by step: every order of a small world, and random orders of larger ones. No
// deadline ever comes. So whatever ends here ends without one.
#include "tests/client/parameter_server/table_resize_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/client/parameter_server/explore.h"

namespace table_resize_world_test {

using parameter_server_test::Explored;
using parameter_server_test::ExploreFrom;
using parameter_server_test::TableResizeWorld;
using parameter_server_test::TableScenario;

Explored Explore(const TableScenario& scenario) { return ExploreFrom(TableResizeWorld(scenario)); }

// Where no answer is lost, a push of a key is refused by one Resize at most.
TEST(TableResizeWorldTest, EveryOrderOfTwoWorkersEnds) {
  const Explored all = Explore({.layouts = {2, 1, 2}, .keys = 2});
  EXPECT_EQ(all.failure, "");
  EXPECT_EQ(all.stuck, 0U);
  EXPECT_EQ(all.refusals, 1U) << "a push was refused by two Resizes, one after the other";
  EXPECT_GT(all.worlds, 1000U);
  RecordProperty("worlds", static_cast<int>(all.worlds));
}

// Of a part that counted and is sent again to another layout, no part of it counts.
TEST(TableResizeWorldTest, EveryOrderOfLostAnswersCountsEachPushOnce) {
  for (const TableScenario& scenario : {TableScenario{.layouts = {2, 3}, .workers = 1, .losses = 1},
                                        TableScenario{.layouts = {1, 2, 1}, .keys = 2, .workers = 1, .losses = 2}}) {
    const Explored all = Explore(scenario);
    EXPECT_EQ(all.failure, "");
    EXPECT_EQ(all.stuck, 0U);
    EXPECT_GT(all.worlds, 500U);
  }
}

TEST(TableResizeWorldTest, APartThatDoesNotNameItsOriginCountsTwice) {
  EXPECT_NE(Explore({.layouts = {2, 3}, .workers = 1, .losses = 1, .names_origin = false}).failure, "");
}

TEST(TableResizeWorldTest, EveryOrderOfTwoPushesUnderWayEnds) {
  const Explored all = Explore({.layouts = {2, 2, 1}, .keys = 2, .workers = 1, .pushes = 2, .kept = 2});
  EXPECT_EQ(all.failure, "");
  EXPECT_EQ(all.stuck, 0U);
}

// Workers find out by themselves, and each push counts once.
TEST(TableResizeWorldTest, EveryOrderEndsWhereTheOwnerDiesOrIsTakenForDead) {
  for (const TableScenario& scenario :
       {TableScenario{.layouts = {1, 2}, .keys = 2, .owner_dies = true},
        TableScenario{.layouts = {2, 1}, .keys = 2, .workers = 1, .owner_dies = true, .give_ups = 1},
        TableScenario{.layouts = {2, 1, 2}, .workers = 1, .losses = 1, .owner_dies = true},
        TableScenario{.layouts = {1, 2}, .workers = 1, .pushes = 2, .kept = 2, .owner_dies = true}}) {
    const Explored all = Explore(scenario);
    EXPECT_EQ(all.failure, "");
    EXPECT_EQ(all.stuck, 0U);
    EXPECT_GT(all.worlds, 300U);
  }
}

// The owner waits for each shard's answer about a push that the Resize before refused.
TEST(TableResizeWorldTest, AShardThatHearsNothingOfAPartHoldsTheNextResizeUp) {
  EXPECT_GT(Explore({.layouts = {1, 3, 1}, .keys = 1, .workers = 1, .tells_all = false}).stuck, 0U);
}

TEST(TableResizeWorldTest, AResizeThatBeginsAtOnceRefusesAPushAgainAndAgain) {
  EXPECT_EQ(Explore({.layouts = {2, 1, 2, 1}, .keys = 1, .workers = 1, .awaits_refused = false}).refusals, 3U);
}

// Some of them are a thousand times slower than others.
TEST(TableResizeWorldTest, RandomOrdersOfManyResizesEnd) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    std::mt19937_64 random(seed);
    TableScenario scenario{.keys = 6, .workers = 3, .pushes = 4};
    scenario.kept = 1 + random() % 3;
    for (int i = 0; i < 8; ++i) scenario.layouts.push_back(1 + random() % 4);
    if (seed % 2 == 0) scenario.give_ups = 3;
    if (seed % 3 == 0) scenario.losses = 5;
    scenario.owner_dies = seed % 4 == 0;
    TableResizeWorld world(scenario);
    std::vector<double> speed(4);  // the first one of the owner and of deaths
    for (double& one : speed) one = std::pow(10, -3.0 * static_cast<double>(random() % 100) / 100);
    const int steps = WalkThrough(world, random, 200'000, [&](int step) {
      return speed[TableResizeWorld::IsOfWorker(step) ? 1 + TableResizeWorld::RankOf(step) : 0];
    });
    ASSERT_NE(steps, 0) << "everybody waits, with the seed " << seed;
    ASSERT_TRUE(world.Done()) << "no end after " << steps << " steps, with the seed " << seed;
    world.CheckEnd();
    EXPECT_EQ(world.failure(), "") << "with the seed " << seed;
    if (scenario.kept == 1 && scenario.losses == 0 && scenario.give_ups == 0) {
      EXPECT_LE(world.refusals(), 1U) << "with the seed " << seed;
    }
  }
}

}  // namespace table_resize_world_test
