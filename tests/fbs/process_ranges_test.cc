#include "fbs/process_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace raylet {
namespace {

TEST(ProcessRanges, NeighboursBecomeOneRangeInAnyOrder) {
  std::vector<ProcessId> numbers;
  for (ProcessId n = 1; n <= 1'000; ++n) numbers.push_back(ProcessIdOf(MachineNumber{7}, static_cast<uint32_t>(n)));
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(1));
  ProcessRanges ranges;
  for (const ProcessId each : numbers) ranges.Add(each);
  EXPECT_EQ(ranges.ranges(), 1u);
  EXPECT_FALSE(ranges.Contains(ProcessIdOf(MachineNumber{7}, 0)));
  EXPECT_FALSE(ranges.Contains(ProcessIdOf(MachineNumber{7}, 1'001)));
}

TEST(ProcessRanges, HaveExactlyWhatWasAdded) {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    ProcessRanges ranges;
    std::set<ProcessId> added;
    for (int i = 0; i < 60; ++i) {
      const ProcessId each = random() % 100;
      ranges.Add(each);
      added.insert(each);
    }
    size_t gaps = 0;
    for (ProcessId n = 0; n < 101; ++n) {
      ASSERT_EQ(ranges.Contains(n), added.contains(n)) << n;
      gaps += added.contains(n) && !added.contains(n + 1) ? 1 : 0;
    }
    EXPECT_EQ(ranges.ranges(), gaps);
  }
}

}  // namespace
}  // namespace raylet
