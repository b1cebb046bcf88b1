// Random totals and requests for tests of schedulers, and whether a machine's total meets a request.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "raylet/scheduling/resources.h"

namespace raylet::test {

struct ResourceChoice {
  const char* name;
  std::vector<int64_t> units;  // one of these; 0 leaves the resource out
};

inline ResourceSet RandomResources(std::mt19937_64& random, const std::vector<ResourceChoice>& choices) {
  ResourceSet set;
  for (const ResourceChoice& choice : choices) {
    const size_t at = std::uniform_int_distribution<size_t>(0, choice.units.size() - 1)(random);
    set.Accumulate(choice.name, choice.units[at]);
  }
  return set;
}

// Whether `total` has all that `request` asks for, by name, without the ledger's own arithmetic.
inline bool Meets(const ResourceSet& total, const ResourceSet& request) {
  return std::all_of(request.amounts().begin(), request.amounts().end(),
                     [&](const ResourceSet::Amount& amount) { return total.units(amount.name) >= amount.units; });
}

inline void AddTo(ResourceSet& sum, const ResourceSet& more) {
  for (const auto& amount : more.amounts()) sum.Accumulate(amount.name, amount.units);
}

}  // namespace raylet::test
