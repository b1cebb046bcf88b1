// A store whose memory is parted: what it evicts for a long run, and what it leaves alone.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

constexpr uint64_t kEach = 16 << 10;  // pages of its own

class Fragmentation : public ObjectStoreTest {
 protected:
  // As many objects of kEach as fit.
  void Fill(uint32_t client) {
    for (; count_ < kCapacity / kEach; ++count_) ASSERT_NO_FATAL_FAILURE(Make(client, count_, kEach));
  }
  uint64_t count_ = 0;
};

TEST_F(Fragmentation, NothingIsEvictedWherePinnedObjectsLeaveNoRunLongEnough) {
  const uint32_t client = Connect();
  // The whole arena, so that its end has no run either.
  std::vector<uint64_t> ballast;
  while (arena_->LargestRun() > kCapacity) ballast.push_back(*arena_->Allocate(kEach));
  ASSERT_NO_FATAL_FAILURE(Fill(client));
  const uint64_t pins = count_ / 8;
  for (uint32_t i = 0; i < pins; ++i) Pin(client, i, uint64_t{i} * 8 + 4);
  const auto refused = Create(client, 1000, kCapacity / 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_EQ(header_->counters.evictions, 0u);
  for (uint64_t id = 0; id < count_; ++id) EXPECT_TRUE(store_->IsSealed(IdOf(id))) << id;

  ASSERT_TRUE(Create(client, 1001, 6 * kEach)) << "this run fits between two pins";
  EXPECT_LE(header_->counters.evictions, 13u) << "at most the oldest fifth";
  for (uint32_t i = 0; i < pins; ++i) Release(client, i);
  EXPECT_TRUE(Create(client, 1000, kCapacity / 2));
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
  for (const uint64_t offset : ballast) arena_->Free(offset);
}

TEST_F(Fragmentation, NothingIsEvictedWhereTheBytesAreMissing) {
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < 40; ++id) ASSERT_NO_FATAL_FAILURE(Make(client, id, kEach, {.owned = id >= 8}));
  EXPECT_FALSE(Create(client, 1000, kCapacity - 20 * kEach));
  EXPECT_EQ(header_->counters.evictions, 0u);
}

// Every second object is owned but for one stretch, so the oldest fifth leaves no long run.
TEST_F(Fragmentation, TheCheapestWindowIsClearedWhereTheOldestLeaveNoRun) {
  const uint32_t client = Connect();
  std::vector<uint64_t> ballast;
  while (arena_->LargestRun() > kCapacity) ballast.push_back(*arena_->Allocate(kEach));
  constexpr uint64_t kFirst = 30, kLast = 42;
  for (; count_ < kCapacity / kEach; ++count_) {
    const bool owned = count_ % 2 == 1 && (count_ < kFirst || count_ >= kLast);
    ASSERT_NO_FATAL_FAILURE(Make(client, count_, kEach, {.owned = owned}));
  }
  const uint64_t wanted = 10 * kEach;
  ASSERT_TRUE(Create(client, 1000, wanted));
  EXPECT_EQ(header_->counters.evictions, 10u);
  for (uint64_t id = 0; id < kFirst - 1; ++id) EXPECT_TRUE(store_->IsSealed(IdOf(id))) << id;
  for (const uint64_t offset : ballast) arena_->Free(offset);
}

// Random operations: a create of any size succeeds iff evictable objects and free pages give the run.
TEST_F(Fragmentation, ACreateFailsOnlyAfterNothingWasEvicted) {
  const uint32_t client = Connect();
  std::mt19937_64 random(3);
  std::vector<uint64_t> owned;
  uint64_t next = 0, refusals = 0;
  for (int step = 0; step < 6000; ++step) {
    const auto bytes = static_cast<uint64_t>(std::exp2(std::uniform_real_distribution<double>(6, 18)(random)));
    const uint64_t evictions = header_->counters.evictions;
    const bool own = random() % 3 == 0;
    if (Create(client, next, bytes, {.owned = own})) {
      ASSERT_TRUE(store_->Seal(client, IdOf(next)));
      if (own) owned.push_back(next);
      ++next;
    } else {
      ++refusals;
      ASSERT_EQ(header_->counters.evictions, evictions) << "step " << step << ": evicted, and refused all the same";
    }
    while (!owned.empty() && random() % 4 == 0) {
      std::swap(owned[random() % owned.size()], owned.back());
      ASSERT_TRUE(store_->Delete(IdOf(owned.back())));
      owned.pop_back();
    }
    if (step % 500 == 0) {
      ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
    }
  }
  EXPECT_GT(refusals, 0u);
  EXPECT_GT(header_->counters.evictions, 0u);
}

}  // namespace
}  // namespace raylet::store
