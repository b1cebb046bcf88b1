// Resizes beside workers, step by step: every order of a small world, and random orders of larger ones. No deadline
// ever comes. So whatever ends here ends without one.
#include "tests/client/parameter_server/resize_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/client/parameter_server/explore.h"

namespace resize_world_test {

using parameter_server_test::Explored;
using parameter_server_test::ExploreFrom;
using parameter_server_test::ResizeWorld;
using parameter_server_test::Scenario;
namespace ps = ray::ps;

Explored Explore(const Scenario& scenario) { return ExploreFrom(ResizeWorld(scenario)); }

TEST(ResizeWorldTest, EveryOrderOfTwoWorkersEnds) {
  for (const Scenario& scenario : {Scenario{.policy = ps::Async{}, .layouts = {2, 1, 2}},
                                   Scenario{.policy = ps::Stale{.workers = 2}, .layouts = {2, 1}},
                                   Scenario{.policy = ps::Synchronous{.workers = 2}, .layouts = {2, 2}}}) {
    const Explored all = Explore(scenario);
    EXPECT_EQ(all.failure, "");
    EXPECT_EQ(all.stuck, 0U);
    EXPECT_EQ(all.refusals, 1U) << "a gradient was refused by two Resizes, one after the other";
    EXPECT_GT(all.worlds, 1000U);
    RecordProperty("worlds" + std::to_string(scenario.policy.index()), static_cast<int>(all.worlds));
  }
}

TEST(ResizeWorldTest, EveryOrderOfTwoUpdatesUnderWayEnds) {
  const Explored all = Explore({.layouts = {2, 2, 1}, .workers = 1, .gradients = 2, .kept = 2});
  EXPECT_EQ(all.failure, "");
  EXPECT_EQ(all.stuck, 0U);
  EXPECT_EQ(all.refusals, 2U) << "the first time while the worker waits for another one";
}

// Nobody calls the updates' Get, and so nobody sends again what a Resize has refused.
TEST(ResizeWorldTest, NoResizeWaitsForAWorkerThatDoesNotWait) {
  const Explored all = Explore({.layouts = {2, 1, 2}, .workers = 1, .gradients = 2, .collects = false});
  EXPECT_EQ(all.failure, "");
  EXPECT_EQ(all.stuck, 0U);
}

// Workers find out by themselves, and each gradient counts once.
TEST(ResizeWorldTest, EveryOrderEndsWhereTheOwnerDiesOrIsTakenForDead) {
  for (const Scenario& scenario :
       {Scenario{.layouts = {1, 2}, .owner_dies = true},
        Scenario{.layouts = {2, 1}, .workers = 1, .owner_dies = true, .give_ups = 1},
        Scenario{.layouts = {1, 2, 1}, .workers = 1, .owner_dies = true},
        Scenario{.layouts = {1, 2}, .workers = 1, .gradients = 2, .kept = 2, .owner_dies = true},
        Scenario{.policy = ps::Synchronous{.workers = 2}, .layouts = {1, 1}, .owner_dies = true}}) {
    const Explored all = Explore(scenario);
    EXPECT_EQ(all.failure, "");
    EXPECT_EQ(all.stuck, 0U);
    EXPECT_GT(all.worlds, 500U);
  }
}

// The worker waits for its first gradient, which the closed door keeps out. The Resize waits for the second one.
TEST(ResizeWorldTest, ADoorThatForgetsWhatItRefusedLeavesSomebodyWaiting) {
  EXPECT_GT(Explore({.layouts = {2, 2, 1}, .workers = 1, .gradients = 2, .kept = 2, .keeps_waiting = false}).stuck, 0U);
}

TEST(ResizeWorldTest, AResizeThatBeginsAtOnceRefusesAGradientAgainAndAgain) {
  EXPECT_EQ(Explore({.layouts = {2, 1, 2, 1}, .workers = 1, .awaits_refused = false}).refusals, 3U);
}

// Some of them are a thousand times slower than others.
TEST(ResizeWorldTest, RandomOrdersOfManyResizesEnd) {
  const std::vector<ps::Policy> policies = {ps::Async{}, ps::Stale{.workers = 3, .staleness = 1},
                                            ps::Synchronous{.workers = 3}};
  for (uint64_t seed = 0; seed < 150; ++seed) {
    std::mt19937_64 random(seed);
    Scenario scenario{.policy = policies[seed % 3], .workers = 3, .gradients = 4};
    if (seed % 3 == 0) scenario.kept = 1 + random() % 3;
    for (int i = 0; i < 8; ++i) scenario.layouts.push_back(1 + random() % 3);
    if (seed % 2 == 0) scenario.give_ups = 3;
    scenario.owner_dies = seed % 4 == 0;
    ResizeWorld world(scenario);
    std::vector<double> speed(5);  // the last one of deaths
    for (double& one : speed) one = std::pow(10, -3.0 * static_cast<double>(random() % 100) / 100);
    const int steps = WalkThrough(world, random, 200'000,
                                  [&](int step) { return speed[step == 0 ? 0 : 1 + ResizeWorld::RankOf(step)]; });
    ASSERT_NE(steps, 0) << "everybody waits, with the seed " << seed;
    ASSERT_TRUE(world.Done()) << "no end after " << steps << " steps, with the seed " << seed << " " << world.failure();
    world.CheckEnd();
    EXPECT_EQ(world.failure(), "") << "with the seed " << seed;
    EXPECT_LE(world.refusals(), scenario.kept == 1 ? 1U : 2U) << "with the seed " << seed;
  }
}

}  // namespace resize_world_test
