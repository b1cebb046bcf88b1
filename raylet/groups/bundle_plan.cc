#include "raylet/groups/bundle_plan.h"

#include <algorithm>
#include <numeric>

namespace raylet {
namespace {

// For one number of machines, for all but the last number together, and for the last.
constexpr size_t kTriesMax = 1'000;
constexpr size_t kTriesOfAllMax = 5'000;
constexpr size_t kTriesOfLastMax = 5'000;

using Row = std::vector<int64_t>;  // units by resource, as the planner numbers them

class Planner {
 public:
  Planner(const std::vector<Bundle>& bundles, const std::vector<BundleSpace>& spaces) {
    std::map<std::string, size_t> numbers;
    for (const Bundle& bundle : bundles)
      for (const auto& amount : bundle.resources.amounts()) numbers.try_emplace(amount.name, numbers.size());
    for (const Bundle& bundle : bundles) {
      Row row(numbers.size());
      for (const auto& amount : bundle.resources.amounts()) row[numbers.at(amount.name)] = amount.units;
      bundles_.push_back(std::move(row));
    }
    for (const BundleSpace& space : spaces) {
      Row row(numbers.size());
      for (const auto& [name, number] : numbers) {
        const auto free = space.free.find(name);
        if (free != space.free.end()) row[number] = free->second;
      }
      free_.push_back(std::move(row));
      here_.push_back(space.taken);
    }
    machines_used_ = static_cast<size_t>(std::count_if(here_.begin(), here_.end(), [](size_t n) { return n > 0; }));
    places_.resize(bundles_.size());
    // The largest first: small ones find room between them.
    order_.resize(bundles_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [this](size_t a, size_t b) { return SizeOf(a) > SizeOf(b); });
  }

  std::optional<std::vector<size_t>> Plan(wire::PlacementStrategy strategy) {
    if (IsTooMuch()) return std::nullopt;
    switch (strategy) {
      case wire::PlacementStrategy::StrictPack: return PlacesIf(OnOneMachine());
      case wire::PlacementStrategy::StrictSpread: return PlacesIf(EachOnItsOwn());
      case wire::PlacementStrategy::Pack: return PlacesIf(Pack());
      case wire::PlacementStrategy::Spread: return PlacesIf(EachOnItsOwn() || Spread());
    }
    return std::nullopt;
  }

 private:
  // Whether all machines together have too little, or one of the bundles fits nowhere: most plans fail so.
  bool IsTooMuch() const {
    for (size_t i = 0; !bundles_.empty() && i < bundles_.front().size(); ++i) {
      double wanted = 0;
      double free = 0;
      for (const Row& bundle : bundles_) wanted += static_cast<double>(bundle[i]);
      for (const Row& machine : free_) free += static_cast<double>(std::max<int64_t>(0, machine[i]));
      if (wanted > free) return true;
    }
    for (size_t bundle = 0; bundle < bundles_.size(); ++bundle) {
      size_t machine = 0;
      while (machine < free_.size() && !Fits(bundle, machine)) ++machine;
      if (machine == free_.size()) return true;
    }
    return false;
  }
  // The largest share of a bundle in what the fullest machine has free of a resource.
  double SizeOf(size_t bundle) const {
    double size = 0;
    for (size_t i = 0; i < bundles_[bundle].size(); ++i) {
      int64_t most = 1;
      for (const Row& free : free_) most = std::max(most, free[i]);
      size = std::max(size, static_cast<double>(bundles_[bundle][i]) / static_cast<double>(most));
    }
    return size;
  }
  bool Fits(size_t bundle, size_t machine) const {
    for (size_t i = 0; i < bundles_[bundle].size(); ++i)
      if (bundles_[bundle][i] > 0 && free_[machine][i] < bundles_[bundle][i]) return false;
    return true;
  }
  void Put(size_t bundle, size_t machine) {
    for (size_t i = 0; i < bundles_[bundle].size(); ++i) free_[machine][i] -= bundles_[bundle][i];
    places_[bundle] = machine;
    machines_used_ += here_[machine]++ == 0 ? 1 : 0;
  }
  void TakeBack(size_t bundle, size_t machine) {
    for (size_t i = 0; i < bundles_[bundle].size(); ++i) free_[machine][i] += bundles_[bundle][i];
    machines_used_ -= --here_[machine] == 0 ? 1 : 0;
  }
  std::optional<std::vector<size_t>> PlacesIf(bool placed) const {
    return placed ? std::optional(places_) : std::nullopt;
  }

  bool OnOneMachine() {
    const bool somewhere = machines_used_ > 0;
    for (size_t machine = 0; machine < free_.size(); ++machine) {
      if (somewhere && here_[machine] == 0) continue;
      size_t placed = 0;
      while (placed < bundles_.size() && Fits(placed, machine)) Put(placed++, machine);
      if (placed == bundles_.size()) return true;
      while (placed > 0) TakeBack(--placed, machine);
    }
    return false;
  }

  // Gives each bundle a machine that has none of the group, by augmenting paths.
  bool EachOnItsOwn() {
    std::vector<std::optional<size_t>> bundle_at(free_.size());
    for (const size_t bundle : order_) {
      std::vector<bool> seen(free_.size());
      if (!Augment(bundle, bundle_at, seen)) return false;
    }
    for (size_t machine = 0; machine < free_.size(); ++machine)
      if (bundle_at[machine]) places_[*bundle_at[machine]] = machine;
    return true;
  }
  bool Augment(size_t bundle, std::vector<std::optional<size_t>>& bundle_at, std::vector<bool>& seen) const {
    for (size_t machine = 0; machine < free_.size(); ++machine) {
      if (seen[machine] || here_[machine] > 0 || !Fits(bundle, machine)) continue;
      seen[machine] = true;
      if (bundle_at[machine] && !Augment(*bundle_at[machine], bundle_at, seen)) continue;
      bundle_at[machine] = bundle;
      return true;
    }
    return false;
  }

  bool Pack() {
    size_t tries = 0;
    for (size_t machines = std::max<size_t>(1, machines_used_); machines < free_.size(); ++machines) {
      tries_left_ = std::min(kTriesMax, kTriesOfAllMax - std::min(tries, kTriesOfAllMax));
      const size_t before = tries_left_;
      if (PlaceFrom(0, {.used_first = true, .machines_max = machines, .machines_min = 0})) return true;
      tries += before - tries_left_;
    }
    tries_left_ = kTriesOfLastMax;
    return PlaceFrom(0, {.used_first = true, .machines_max = free_.size(), .machines_min = 0});
  }
  bool Spread() {
    const size_t most = std::min(free_.size(), machines_used_ + bundles_.size());
    size_t tries = 0;
    for (size_t machines = most; machines > 1; --machines) {
      tries_left_ = std::min(kTriesMax, kTriesOfAllMax - std::min(tries, kTriesOfAllMax));
      const size_t before = tries_left_;
      if (PlaceFrom(0, {.used_first = false, .machines_max = free_.size(), .machines_min = machines})) return true;
      tries += before - tries_left_;
    }
    tries_left_ = kTriesOfLastMax;
    return PlaceFrom(0, {.used_first = false, .machines_max = free_.size(), .machines_min = 0});
  }

  struct Goal {
    bool used_first;
    size_t machines_max, machines_min;
  };
  bool PlaceFrom(size_t next, const Goal& goal) {
    if (next == order_.size()) return machines_used_ >= goal.machines_min;
    if (machines_used_ + (order_.size() - next) < goal.machines_min) return false;
    const size_t bundle = order_[next];
    std::vector<size_t> machines(free_.size());
    std::iota(machines.begin(), machines.end(), size_t{0});
    std::stable_sort(machines.begin(), machines.end(), [&](size_t a, size_t b) {
      return goal.used_first ? (here_[a] > 0) > (here_[b] > 0) : here_[a] < here_[b];
    });
    for (size_t i = 0; i < machines.size(); ++i) {
      const size_t machine = machines[i];
      if (!Fits(bundle, machine)) continue;
      if (here_[machine] == 0 && machines_used_ == goal.machines_max) continue;
      // What failed on one machine fails on another that has the same.
      if (i > 0 && here_[machines[i - 1]] == here_[machine] && free_[machines[i - 1]] == free_[machine]) continue;
      if (tries_left_ == 0) return false;
      --tries_left_;
      Put(bundle, machine);
      if (PlaceFrom(next + 1, goal)) return true;
      TakeBack(bundle, machine);
    }
    return false;
  }

  std::vector<Row> bundles_, free_;
  std::vector<size_t> here_;  // bundles of the group on each machine
  size_t machines_used_ = 0;
  std::vector<size_t> order_, places_;
  size_t tries_left_ = 0;
};

}  // namespace

std::optional<std::vector<size_t>> PlanBundles(wire::PlacementStrategy strategy, const std::vector<Bundle>& bundles,
                                               const std::vector<BundleSpace>& spaces) {
  return Planner(bundles, spaces).Plan(strategy);
}

}  // namespace raylet
