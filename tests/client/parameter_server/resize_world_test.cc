// Resizes beside workers, step by step: every order of a small world, and random orders of larger ones. No deadline
// ever comes. So whatever ends here ends without one.
#include "tests/client/parameter_server/resize_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace resize_world_test {

using parameter_server_test::ResizeWorld;
using parameter_server_test::Scenario;
namespace ps = ray::ps;

struct Explored {
  size_t worlds = 0;
  size_t stuck = 0;  // worlds from which no order leads to the end
  size_t refusals = 0;
  std::string failure;
};

// Every world that some order of steps leads to.
Explored Explore(const Scenario& scenario) {
  std::vector<ResizeWorld> worlds = {ResizeWorld(scenario)};
  std::unordered_map<std::string, size_t> known = {{worlds[0].Key(), 0}};
  std::vector<std::vector<size_t>> before(1);  // for each world
  std::vector<size_t> leads_to_the_end;
  Explored result;
  for (size_t i = 0; i < worlds.size(); ++i) {
    result.refusals = std::max(result.refusals, worlds[i].refusals());
    if (worlds[i].Done()) {
      worlds[i].CheckEnd();
      leads_to_the_end.push_back(i);
    }
    if (!worlds[i].failure().empty()) result.failure = worlds[i].failure();
    for (const int step : worlds[i].Enabled()) {
      ResizeWorld next = worlds[i];
      next.Take(step);
      const auto [found, is_new] = known.try_emplace(next.Key(), worlds.size());
      if (is_new) {
        worlds.push_back(std::move(next));
        before.emplace_back();
      }
      before[found->second].push_back(i);
    }
  }
  std::vector<bool> ends(worlds.size());
  for (const size_t world : leads_to_the_end) ends[world] = true;
  while (!leads_to_the_end.empty()) {
    const size_t world = leads_to_the_end.back();
    leads_to_the_end.pop_back();
    for (const size_t earlier : before[world])
      if (!ends[earlier]) {
        ends[earlier] = true;
        leads_to_the_end.push_back(earlier);
      }
  }
  result.worlds = worlds.size();
  result.stuck = static_cast<size_t>(std::count(ends.begin(), ends.end(), false));
  return result;
}

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
    int steps = 0;
    for (; !world.Done() && world.failure().empty() && steps < 200'000; ++steps) {
      const auto enabled = world.Enabled();
      ASSERT_FALSE(enabled.empty()) << "everybody waits, with the seed " << seed;
      std::vector<double> weights;
      for (const int step : enabled) weights.push_back(speed[step == 0 ? 0 : 1 + ResizeWorld::RankOf(step)]);
      world.Take(enabled[std::discrete_distribution<size_t>(weights.begin(), weights.end())(random)]);
    }
    ASSERT_TRUE(world.Done()) << "no end after " << steps << " steps, with the seed " << seed << " " << world.failure();
    world.CheckEnd();
    EXPECT_EQ(world.failure(), "") << "with the seed " << seed;
    EXPECT_LE(world.refusals(), scenario.kept == 1 ? 1U : 2U) << "with the seed " << seed;
  }
}

}  // namespace resize_world_test
