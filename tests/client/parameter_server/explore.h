// Explore: every world that some order of steps leads to, and whether each of them can come to an end. For worlds whose
// steps are numbers. And a walk through one random order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace parameter_server_test {

struct Explored {
  size_t worlds = 0;
  size_t stuck = 0;  // worlds from which no order leads to the end
  size_t refusals = 0;
  std::string failure;
};

template <class World>
Explored ExploreFrom(World first) {
  std::vector<World> worlds = {std::move(first)};
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
      World next = worlds[i];
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

// Steps at random, until the end. weight(step): how likely it is. Returns the number of steps; 0: everybody waits.
template <class World, class Weight>
int WalkThrough(World& world, std::mt19937_64& random, int steps_max, const Weight& weight) {
  int steps = 0;
  for (; !world.Done() && world.failure().empty() && steps < steps_max; ++steps) {
    const auto enabled = world.Enabled();
    if (enabled.empty()) return 0;
    std::vector<double> weights;
    for (const int step : enabled) weights.push_back(weight(step));
    world.Take(enabled[std::discrete_distribution<size_t>(weights.begin(), weights.end())(random)]);
  }
  return steps;
}

}  // namespace parameter_server_test
