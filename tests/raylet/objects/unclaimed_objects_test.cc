#include "raylet/objects/unclaimed_objects.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>

namespace raylet {
namespace {

ObjectId Numbered(uint64_t number) {
  std::atomic<uint64_t> counter{number};
  return NewObjectId(ProcessIdOf(MachineNumber{5}, 1), counter);
}

TEST(UnclaimedObjects, AllAreTakenInSteps) {
  std::mt19937 random(1);
  for (int history = 0; history < 200; ++history) {
    std::map<ProcessId, std::set<ObjectId>> known;
    std::multiset<ObjectId> wanted, taken;
    UnclaimedObjects unclaimed;
    uint64_t number = 0;
    const auto some = [&] {
      std::vector<ObjectId> objects;
      for (uint32_t i = random() % 8; i > 0; --i) objects.push_back(Numbered(++number));
      wanted.insert(objects.begin(), objects.end());
      return objects;
    };
    const auto known_of = [&](ProcessId owner, const ObjectId& after, size_t most) {
      std::vector<ObjectId> objects;
      const std::set<ObjectId>& all = known[owner];
      for (auto at = all.upper_bound(after); at != all.end() && objects.size() < most; ++at) objects.push_back(*at);
      return objects;
    };
    for (ProcessId owner = 1; owner <= random() % 6; ++owner) {
      if (random() % 2 == 0) unclaimed.Add(some());
      const std::vector<ObjectId> copied = some();
      known[owner].insert(copied.begin(), copied.end());
      unclaimed.AddOwner(owner, some());
    }
    const size_t most = 1 + random() % 5;
    while (!unclaimed.empty()) {
      const std::vector<ObjectId> step = unclaimed.Take(most, known_of);
      ASSERT_LE(step.size(), most);
      ASSERT_TRUE(step.size() == most || unclaimed.empty());
      taken.insert(step.begin(), step.end());
    }
    ASSERT_EQ(taken, wanted);
  }
}

}  // namespace
}  // namespace raylet
