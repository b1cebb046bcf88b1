// A store whose index has grown out of the arena, or is about to, and that is killed: after each of its stores to the
// index, and between the steps of a growth, another one takes over a copy of the index.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "base/shm_segment.h"
#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "store/object_store.h"
#include "store/recovery.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/pin_page.h"
#include "tests/store/each_store.h"

namespace raylet::store {
namespace {

class GrowthRecoveryTest : public testing::Test {
 protected:
  static constexpr uint64_t kBytes = uint64_t{16} << 20;
  static constexpr uint64_t kObjectBytes = 64;
  static constexpr uint64_t kEntries = kIndexStep, kEntriesMax = 6 * kIndexStep;

  // The index of one store, in a file of its own, which is a hole but for what the store reserves.
  struct IndexOf {
    explicit IndexOf(uint64_t entries_max)
        : fd(*CreateMemfd("index", IndexSegmentBytes(entries_max), /*reserve=*/false)),
          memory(IndexSegmentBytes(entries_max), fd.get()) {}
    IndexHeader* header() const { return static_cast<IndexHeader*>(memory.memory); }
    UniqueFd fd;
    Shared memory;
  };
  // A store on an index and an arena that others may have left.
  struct Server {
    Server(const IndexOf& index, int arena_fd, uint64_t entries)
        : arena(*Arena::Open(UniqueFd(::dup(arena_fd)), kBytes)),
          store(kBytes, *arena, index.header(), clock, {index.fd.get(), entries}) {}
    Result<uint64_t> Make(uint64_t number) {
      FullNumbers full;
      auto made = store.Create(1, IdOf(number), {.data_bytes = kObjectBytes, .evict_if_full = false}, full);
      if (made) {
        EXPECT_TRUE(store.Seal(1, IdOf(number)));
      }
      return made;
    }
    test::ManualClock clock;
    std::unique_ptr<Arena> arena;
    ObjectStore store;
  };

  GrowthRecoveryTest() : index_(kEntriesMax), page_(test::MakePinPage()) {
    InitIndexSegment(index_.memory.memory, kEntriesMax);
    killed_.emplace(index_, arena_fd_.get(), kEntries);
    EXPECT_EQ(*killed_->store.AddClient(1, "test", page_.get()), 1u);
  }

  static ObjectId IdOf(uint64_t number) {
    ObjectId id;
    std::memcpy(id.mutable_data(), &number, sizeof number);
    return id;
  }

  void MakeUpTo(uint64_t objects) {
    while (made_ < objects) ASSERT_TRUE(killed_->Make(made_++)) << made_;
  }

  // Another server goes on with a copy of the index. Objects below `made_` are there, the next one perhaps. `grows`:
  // it makes as many objects as let the index grow by another step.
  void ExpectWhole(bool grows) const {
    const IndexOf copy(kEntriesMax);
    std::memcpy(copy.memory.memory, index_.memory.memory, index_.memory.bytes);
    Server next(copy, arena_fd_.get(), kEntries);
    const auto recovered = Recovery(next.store).Run(std::vector<Recovery::ClientPage>{{1, page_.get()}});
    ASSERT_TRUE(recovered) << recovered.error().message;
    Recovery(next.store).LoseUnsealed(1);
    const IndexHeader& header = *copy.header();
    const uint64_t entries = header.entries_with_memory;
    ASSERT_EQ(next.arena->lent_bytes(), (entries - kEntries) * kMemoryPerEntry);
    ASSERT_GE(header.counters.sealed_count, made_);
    ASSERT_LE(header.counters.sealed_count, made_ + 1);
    ASSERT_EQ(next.store.free_bytes(), kBytes - header.counters.sealed_bytes);
    const auto reader = client::MappedIndex::Attach(copy.memory.memory, copy.memory.bytes);
    ASSERT_TRUE(reader);
    for (uint64_t number = grows ? 0 : made_ - 500; number < made_; ++number)
      ASSERT_TRUE(reader->FindSealed(IdOf(number))) << number;
    if (!grows) return;
    constexpr uint64_t kOthers = uint64_t{1} << 32;
    for (uint64_t number = kOthers; header.entries_with_memory < entries + kIndexStep; ++number)
      ASSERT_TRUE(next.Make(number)) << number - kOthers;
    for (uint64_t number = 0; number < made_; ++number) ASSERT_TRUE(next.store.IsSealed(IdOf(number))) << number;
    next.store.RemoveClient(1);
    next.store.Evict(kBytes);
    next.store.SweepDying();
    ASSERT_EQ(next.store.free_bytes(), kBytes);
    ASSERT_EQ(next.arena->physical_bytes(), 0u);
  }

  const UniqueFd arena_fd_ = *Arena::CreateMemory(kBytes);
  const IndexOf index_;
  const test::PinPagePtr page_;
  std::optional<Server> killed_;
  uint64_t made_ = 0;
};

TEST_F(GrowthRecoveryTest, AStoreWhoseIndexHasGrownGoesOn) {
  for (const uint64_t steps : {1, 2, 3}) {
    ASSERT_NO_FATAL_FAILURE(MakeUpTo(kEntries + steps * kIndexStep - 100));
    ASSERT_EQ(index_.header()->entries_with_memory, kEntries + steps * kIndexStep);
    ASSERT_NO_FATAL_FAILURE(ExpectWhole(/*grows=*/true));
  }
}

// Each create splits a chain by now, and one of them makes the index grow.
TEST_F(GrowthRecoveryTest, AStoreThatIsKilledAtAnyStoreOfAGrowthGoesOn) {
  ASSERT_NO_FATAL_FAILURE(MakeUpTo(kEntries - 2));
  const uint64_t entries = index_.header()->entries_with_memory;
  uint64_t looks = 0, grown = 0;
  const auto look = [&] {
    grown += index_.header()->entries_with_memory > entries ? 1 : 0;
    ASSERT_NO_FATAL_FAILURE(ExpectWhole(/*grows=*/looks++ % 20 == 0)) << "store " << looks << " of object " << made_;
  };
  {
    const EachStore each(index_.memory, look);
    for (int i = 0; i < 5 && !HasFatalFailure(); ++i) {
      ASSERT_TRUE(killed_->Make(made_));
      ++made_;
    }
  }
  EXPECT_EQ(index_.header()->entries_with_memory, entries + kIndexStep);
  EXPECT_GT(grown, 20u);
  EXPECT_LT(grown, looks - 10);
}

// IndexMemory::Grow, one system call after the other: the pages that it has taken from the arena are of nobody then.
TEST_F(GrowthRecoveryTest, AStoreThatIsKilledBetweenTheStepsOfAGrowthGoesOn) {
  ASSERT_NO_FATAL_FAILURE(MakeUpTo(kEntries));
  index_.header()->has_lent.store(1);
  ASSERT_NO_FATAL_FAILURE(ExpectWhole(/*grows=*/true));
  ASSERT_FALSE(killed_->arena->Lend(kIndexStep * kMemoryPerEntry).empty());
  ASSERT_NO_FATAL_FAILURE(ExpectWhole(/*grows=*/true));
  for (const SegmentRange& range : IndexStepRanges(kEntriesMax, kEntries, kIndexStep)) {
    ASSERT_EQ(::fallocate(index_.fd.get(), 0, static_cast<off_t>(range.offset), static_cast<off_t>(range.bytes)), 0);
    ASSERT_NO_FATAL_FAILURE(ExpectWhole(/*grows=*/true));
  }
}

}  // namespace
}  // namespace raylet::store
