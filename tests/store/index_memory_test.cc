// An index that grows takes its memory from the arena: the store as a whole never takes more than at its start.
#include "store/index_memory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <memory>

#include "base/shm_segment.h"
#include "store/memory_budget.h"
#include "store/object_store.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/pin_page.h"

namespace raylet::store {
namespace {

constexpr uint64_t kCapacity = uint64_t{16} << 20;

ObjectId IdOf(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

uint64_t MemoryOf(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

class IndexMemoryTest : public testing::Test {
 protected:
  IndexMemoryTest()
      : budget_(MemoryBudget::For(kCapacity)),
        fd_(*CreateMemfd("index", IndexSegmentBytes(budget_.index_entries_max), false)),
        mapping_(*Mapping::Map(fd_.get(), IndexSegmentBytes(budget_.index_entries_max), Mapping::Access::kReadWrite)),
        header_(InitIndexSegment(mapping_.data(), budget_.index_entries_max)),
        arena_(*Arena::Create(kCapacity)),
        page_(test::MakePinPage()),
        store_(kCapacity, *arena_, header_, clock_, {fd_.get(), budget_.index_entries}),
        client_(*store_.AddClient(1, "test", page_.get())) {}
  Result<uint64_t> Make(uint64_t number, const ObjectOptions& options) {
    auto offset = store_.Create(client_, IdOf(number), options, full_);
    if (offset) {
      EXPECT_TRUE(store_.Seal(client_, IdOf(number)));
    }
    return offset;
  }

  const MemoryBudget budget_;
  const UniqueFd fd_;
  const Mapping mapping_;
  IndexHeader* const header_;
  const std::unique_ptr<Arena> arena_;
  const test::PinPagePtr page_;
  test::ManualClock clock_;
  ObjectStore store_;
  const uint32_t client_;
  FullNumbers full_;
};

TEST_F(IndexMemoryTest, ObjectsBeyondTheFirstEntriesTakeTheArenasFreePages) {
  const uint64_t arena_at_start = MemoryOf(arena_->fd());
  const uint64_t objects = budget_.index_entries + 2 * kIndexStep;
  for (uint64_t i = 0; i < objects; ++i) ASSERT_TRUE(Make(i, {.data_bytes = 64})) << i;
  EXPECT_EQ(header_->counters.evictions, 0u);
  EXPECT_EQ(header_->counters.sealed_count, objects);
  EXPECT_EQ(arena_->lent_bytes(), 2 * kIndexStep * kMemoryPerEntry);
  EXPECT_EQ(header_->counters.lent_bytes, arena_->lent_bytes());
  EXPECT_EQ(MemoryOf(arena_->fd()), arena_at_start - arena_->lent_bytes());
  EXPECT_LE(MemoryOf(fd_.get()) + objects * kNoteBytesPerEntry + MemoryOf(arena_->fd()), budget_.total_bytes());
  for (uint64_t i = 0; i < objects; ++i) ASSERT_TRUE(store_.IsSealed(IdOf(i)));
}

TEST_F(IndexMemoryTest, AtTheMostEntriesTheOldestMakeRoomAndTheLargestObjectFitsAfterwards) {
  uint64_t made = 0;
  while (header_->counters.evictions == 0) ASSERT_TRUE(Make(made++, {.data_bytes = 8}));
  EXPECT_GE(made, budget_.index_entries_max - kIndexStep) << "as many as the segment has places for";
  EXPECT_EQ(header_->counters.evictions, kEvictedForEntries);
  EXPECT_FALSE(store_.IsSealed(IdOf(0)));
  EXPECT_TRUE(store_.IsSealed(IdOf(kEvictedForEntries)));
  ASSERT_TRUE(Make(made, {.data_bytes = kCapacity - 1, .metadata_bytes = 1}))
      << "the index took no more than the arena has for rounding";
  EXPECT_EQ(header_->counters.sealed_count, 1u);
  // The entries stay, so nothing more is taken.
  const uint64_t lent = arena_->lent_bytes();
  for (uint64_t i = 0; i < made / 2; ++i) ASSERT_TRUE(Make(made + 1 + i, {.data_bytes = 8}));
  EXPECT_EQ(arena_->lent_bytes(), lent);
}

TEST_F(IndexMemoryTest, OwnedObjectsAreRefusedOnceNoPageIsLeftAndNothingIsLost) {
  const ObjectOptions owned = {.data_bytes = 200, .owned = true};
  uint64_t made = 0;
  for (;; ++made) {
    const auto offset = Make(made, owned);
    if (offset) continue;
    EXPECT_EQ(offset.error().code, ErrorCode::kFull) << offset.error().message;
    break;
  }
  EXPECT_GT(made * (256 + kMemoryPerEntry), kCapacity) << "memory is the bound";
  EXPECT_EQ(header_->counters.evictions, 0u);
  EXPECT_EQ(header_->counters.sealed_count, made);
}

}  // namespace
}  // namespace raylet::store
