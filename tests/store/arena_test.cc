#include "store/arena.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "fbs/segment_layout.h"

namespace raylet::store {
namespace {

TEST(Arena, AnObjectAsLargeAsTheCapacityFits) {
  for (const uint64_t capacity :
       {uint64_t{1}, uint64_t{65536}, uint64_t{1000003}, uint64_t{32} << 20, uint64_t{41943041}}) {
    const auto arena = Arena::Create(capacity);
    ASSERT_TRUE(arena) << arena.error().message;
    const auto whole = (*arena)->Allocate(capacity);
    ASSERT_TRUE(whole) << capacity;
    std::memset((*arena)->data() + *whole, 0x5a, capacity);
    (*arena)->Free(*whole);
    EXPECT_EQ((*arena)->physical_bytes(), 0u);
  }
}

TEST(Arena, SaysNoWhenNothingIsLeft) {
  const auto arena = Arena::Create(1 << 20);
  ASSERT_TRUE(arena);
  EXPECT_FALSE((*arena)->Allocate((*arena)->arena_bytes() + 1));
  const auto most = (*arena)->Allocate((*arena)->LargestRun());
  ASSERT_TRUE(most);
  EXPECT_FALSE((*arena)->Allocate((*arena)->arena_bytes() / 2));
}

TEST(Arena, RandomRunsNeverOverlapAndGrowTogetherAgain) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const auto arena = Arena::Create(16 << 20);
    ASSERT_TRUE(arena);
    const uint64_t largest = (*arena)->LargestRun();
    std::mt19937_64 random(seed);
    std::map<uint64_t, uint64_t> runs;  // offset -> bytes
    for (int step = 0; step < 4000; ++step) {
      if (runs.empty() || random() % 5 < 3) {
        const uint64_t bytes = 1 + random() % (random() % 10 == 0 ? 2000000 : 6000);
        const auto offset = (*arena)->Allocate(bytes);
        if (!offset) continue;
        ASSERT_EQ(*offset % kAlignment, 0u);
        ASSERT_LE(*offset + bytes, (*arena)->arena_bytes());
        const auto next = runs.lower_bound(*offset);
        if (next != runs.end()) {
          ASSERT_LE(*offset + bytes, next->first) << "seed " << seed;
        }
        if (next != runs.begin()) {
          const auto before = std::prev(next);
          ASSERT_LE(before->first + before->second, *offset) << "seed " << seed;
        }
        runs[*offset] = bytes;
      } else {
        const auto victim = std::next(runs.begin(), static_cast<std::ptrdiff_t>(random() % runs.size()));
        (*arena)->Free(victim->first);
        runs.erase(victim);
      }
    }
    for (const auto& [offset, bytes] : runs) (*arena)->Free(offset);
    EXPECT_EQ((*arena)->physical_bytes(), 0u);
    EXPECT_EQ((*arena)->LargestRun(), largest) << "seed " << seed;
  }
}

uint64_t MemoryOf(const Arena& arena) {
  struct stat status {};
  EXPECT_EQ(::fstat(arena.fd(), &status), 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST(Arena, IdlePagesGoBackAndAreReservedAtTheirNextUse) {
  const auto made = Arena::Create(32 << 20);
  ASSERT_TRUE(made);
  Arena& arena = **made;
  arena.Decay();
  const auto kept = arena.Allocate(5 << 20), freed = arena.Allocate(3 << 20);
  ASSERT_TRUE(kept && freed);
  std::memset(arena.data() + *kept, 0x5a, 5 << 20);
  const uint64_t all = MemoryOf(arena);
  arena.GiveBackIdle();
  EXPECT_LT(MemoryOf(arena), all / 2) << "all but what was used just now";
  arena.Free(*freed);
  arena.GiveBackIdle();
  EXPECT_GE(MemoryOf(arena), 7u << 20) << "it was used until now";
  arena.GiveBackIdle();
  EXPECT_LT(MemoryOf(arena), 7u << 20);
  EXPECT_GE(MemoryOf(arena), 5u << 20);
  for (uint64_t i = 0; i < 5 << 20; ++i) ASSERT_EQ(arena.data()[*kept + i], std::byte{0x5a});
  const auto large = arena.Allocate(20 << 20);
  ASSERT_TRUE(large) << "of pieces that went back";
  EXPECT_GE(MemoryOf(arena), 25u << 20) << "reserved before it is written";
  arena.Free(*large);
  arena.Free(*kept);
  arena.GiveBackIdle();
  arena.GiveBackIdle();
  EXPECT_LT(MemoryOf(arena), 1u << 20);
  const auto whole = arena.Allocate(32 << 20);
  ASSERT_TRUE(whole);
  std::memset(arena.data() + *whole, 0x5a, 32 << 20);
  EXPECT_FALSE(arena.Allocate(arena.arena_bytes()));
}

TEST(Arena, RandomRunsNeverOverlapWhilePagesGoBack) {
  const auto made = Arena::Create(16 << 20);
  ASSERT_TRUE(made);
  Arena& arena = **made;
  arena.Decay();
  std::mt19937_64 random(7);
  std::map<uint64_t, std::pair<uint64_t, int>> runs;  // offset -> bytes, and what they hold
  for (int step = 0; step < 4000; ++step) {
    if (random() % 50 == 0) arena.GiveBackIdle();
    if (runs.empty() || random() % 5 < 2) {
      const uint64_t bytes = 1 + random() % (random() % 10 == 0 ? 2000000 : 6000);
      const auto offset = arena.Allocate(bytes);
      if (!offset) continue;
      std::memset(arena.data() + *offset, step & 0x7f, bytes);
      runs[*offset] = {bytes, step & 0x7f};
    } else {
      const auto victim = std::next(runs.begin(), static_cast<std::ptrdiff_t>(random() % runs.size()));
      const auto& [bytes, value] = victim->second;
      for (uint64_t at = 0; at < bytes; at += 997)
        ASSERT_EQ(arena.data()[victim->first + at], static_cast<std::byte>(value)) << "step " << step;
      arena.Free(victim->first);
      runs.erase(victim);
    }
  }
  for (const auto& [offset, run] : runs) arena.Free(offset);
  EXPECT_EQ(arena.physical_bytes(), 0u);
  EXPECT_TRUE(arena.Allocate(16 << 20)) << "all of it comes back";
}

TEST(Arena, LentPagesAreTheMachinesUntilTheyAreTakenBack) {
  const auto made = Arena::Create(16 << 20);
  ASSERT_TRUE(made);
  Arena& arena = **made;
  const uint64_t whole = arena.LargestRun();
  constexpr uint64_t kLent = 1 << 20;
  const auto lent = arena.Lend(kLent);
  ASSERT_FALSE(lent.empty());
  EXPECT_EQ(arena.lent_bytes(), kLent);
  EXPECT_EQ(MemoryOf(arena), whole - kLent);
  EXPECT_EQ(arena.LargestRun(), whole - kLent);
  EXPECT_TRUE(arena.Lend(whole).empty()) << "more than is free";
  arena.TakeBack(lent);
  EXPECT_EQ(arena.lent_bytes(), 0u);
  EXPECT_EQ(MemoryOf(arena), whole);
  EXPECT_EQ(arena.LargestRun(), whole);
}

TEST(Arena, LentPagesBetweenObjectsPartNoRunOnceTheObjectsHaveGone) {
  const auto made = Arena::Create(16 << 20);
  ASSERT_TRUE(made);
  Arena& arena = **made;
  const uint64_t whole = arena.LargestRun();
  constexpr uint64_t kEach = 256 << 10;
  std::vector<uint64_t> objects;
  while (const auto offset = arena.Allocate(kEach)) objects.push_back(*offset);
  const uint64_t rest = arena.LargestRun();
  for (const size_t gap : {size_t{5}, size_t{11}, size_t{30}}) {
    arena.Free(objects[gap]);
    objects[gap] = ~uint64_t{0};
  }
  ASSERT_FALSE(arena.Lend(3 * kEach + rest).empty()) << "in the middle, since nothing else is free";
  for (const uint64_t offset : objects)
    if (offset != ~uint64_t{0}) arena.Free(offset);
  const uint64_t left = whole - 3 * kEach - rest;
  const auto large = arena.Allocate(left);
  ASSERT_TRUE(large) << "the lent pages are at the end";
  EXPECT_EQ(*large, 0u);
  EXPECT_EQ(arena.lent_bytes(), 3 * kEach + rest);
  EXPECT_EQ(MemoryOf(arena), left);
  arena.Free(*large);
  EXPECT_EQ(arena.LargestRun(), left);
}

TEST(Arena, FillsToItsCapacityWithOddSizes) {
  const uint64_t capacity = 32 << 20;
  for (const uint64_t each : {uint64_t{1025}, uint64_t{5000}, uint64_t{70001}, uint64_t{1048577}}) {
    const auto arena = Arena::Create(capacity);
    ASSERT_TRUE(arena);
    for (uint64_t used = 0; used + each <= capacity; used += each)
      ASSERT_TRUE((*arena)->Allocate(each)) << "objects of " << each << " bytes, " << used << " in use";
  }
}

}  // namespace
}  // namespace raylet::store
