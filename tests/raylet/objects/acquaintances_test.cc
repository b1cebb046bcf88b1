#include "raylet/objects/acquaintances.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <utility>

namespace raylet {
namespace {

constexpr MachineNumber kHere{5};
constexpr MachineNumber kThere{6};
ProcessId Here(uint32_t number) { return ProcessIdOf(kHere, number); }
ProcessId There(uint32_t number) { return ProcessIdOf(kThere, number); }

TEST(Acquaintances, ToHaveMetIsMutualAndOnlyOfTheTwo) {
  Acquaintances met;
  met.Meet(Here(1), Here(2));
  met.Meet(Here(2), There(1));
  EXPECT_EQ(met.Of({Here(1)}), (ProcessSet{Here(2)}));
  EXPECT_EQ(met.Of({Here(2)}), (ProcessSet{Here(1), There(1)}));
  EXPECT_EQ(met.Of({There(1)}), (ProcessSet{Here(2)}));
  EXPECT_TRUE(met.Of({Here(3)}).empty());
}

TEST(Acquaintances, APairCountsOnce) {
  Acquaintances met;
  met.Meet(Here(1), Here(2));
  met.Meet(Here(2), Here(1));
  met.Meet(Here(1), Here(1));
  EXPECT_EQ(met.pairs(), 1u);
}

TEST(Acquaintances, NothingIsLeftOfOneThatIsForgotten) {
  Acquaintances met;
  met.Meet(Here(1), Here(2));
  met.Meet(Here(1), There(1));
  met.Forget({Here(1)});
  EXPECT_EQ(met.pairs(), 0u);
  EXPECT_TRUE(met.Of({Here(2), There(1)}).empty());
}

TEST(Acquaintances, ALostMachineStandsForItsProcesses) {
  Acquaintances met;
  met.Meet(Here(1), There(1));
  met.Meet(Here(1), There(2));
  met.Meet(Here(2), Here(3));
  met.MachineLost(kThere);
  EXPECT_EQ(met.pairs(), 2u) << "however many processes of lost machines one has met";
  EXPECT_EQ(met.Of({There(7)}), (ProcessSet{Here(1)})) << "it may be reached again";
  EXPECT_EQ(met.Of({Here(1)}), (ProcessSet{AllProcessesOf(kThere)}));
  met.Forget({Here(1)});
  EXPECT_EQ(met.pairs(), 1u);
}

TEST(Acquaintances, RandomHistoriesAgreeWithAListOfPairs) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Acquaintances met;
    std::set<std::pair<ProcessId, ProcessId>> pairs;  // both ways
    const auto here = [&] { return Here(1 + static_cast<uint32_t>(random() % 6)); };
    const auto any = [&] { return random() % 2 == 0 ? here() : There(1 + static_cast<uint32_t>(random() % 6)); };
    for (int step = 0; step < 100; ++step) {
      const ProcessId one = here(), other = any();
      if (random() % 4 != 0) {
        met.Meet(one, other);
        if (one != other) pairs.insert({{one, other}, {other, one}});
      } else {
        const ProcessSet forgotten{any(), any()};
        met.Forget(forgotten);
        std::erase_if(
            pairs, [&](const auto& pair) { return forgotten.contains(pair.first) || forgotten.contains(pair.second); });
      }
      ASSERT_EQ(met.pairs() * 2, pairs.size());
      const ProcessId of = any();
      ProcessSet expected;
      for (const auto& [first, second] : pairs)
        if (first == of) expected.insert(second);
      ASSERT_EQ(met.Of({of}), expected);
    }
  }
}

}  // namespace
}  // namespace raylet
