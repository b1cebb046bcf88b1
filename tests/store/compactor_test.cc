// Long runs that are made by moving objects: what moves, what stays, and readers that get objects meanwhile.
#include "store/compactor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "client/plasma/mapped_index.h"
#include "client/plasma/pin_table.h"
#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

constexpr uint64_t kObjectBytes = 16 << 10;  // pages of its own

class CompactorTest : public ObjectStoreTest {
 protected:
  // Leaves as much of the arena as the capacity has, so that its end has no run to spare.
  CompactorTest() {
    while (arena_->LargestRun() > kCapacity) ballast_.push_back(*arena_->Allocate(kObjectBytes));
  }
  ~CompactorTest() override {
    for (const uint64_t offset : ballast_) arena_->Free(offset);
  }
  // Owned objects of kObjectBytes, of which every second is deleted.
  void FillEverySecond(uint32_t client) {
    for (uint64_t id = 0; id < kCapacity / kObjectBytes; ++id) {
      ASSERT_NO_FATAL_FAILURE(Make(client, id, kObjectBytes, {.owned = true}));
      WriteContent(id);
    }
    for (uint64_t id = 0; id < kCapacity / kObjectBytes; id += 2) ASSERT_TRUE(store_->Delete(IdOf(id)));
  }
  client::MappedIndex Index() const {
    return *client::MappedIndex::Attach(memory_.data(), memory_.size() * sizeof(Page));
  }
  std::byte* Content(uint64_t id) const { return arena_->data() + Index().FindSealed(IdOf(id))->offset; }
  void WriteContent(uint64_t id) const { std::memset(Content(id), static_cast<int>(id % 251), kObjectBytes); }
  void ExpectContent(uint64_t id) const {
    const std::byte* const content = Content(id);
    for (uint64_t i = 0; i < kObjectBytes; ++i)
      ASSERT_EQ(content[i], static_cast<std::byte>(id % 251)) << "object " << id;
  }

 private:
  std::vector<uint64_t> ballast_;
};

TEST_F(CompactorTest, ALongRunIsMadeOfTheGapsBetweenOwnedObjects) {
  const uint32_t client = Connect();
  ASSERT_NO_FATAL_FAILURE(FillEverySecond(client));
  ASSERT_EQ(arena_->LargestRun(), kObjectBytes);
  ASSERT_TRUE(Create(client, 1000, kCapacity / 4, {.evict_if_full = false}));
  EXPECT_EQ(header_->counters.evictions, 0u);
  EXPECT_LE(store_->moved_bytes(), kCapacity / 4) << "half of the window was free";
  for (uint64_t id = 1; id < kCapacity / kObjectBytes; id += 2) ASSERT_NO_FATAL_FAILURE(ExpectContent(id));
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
  EXPECT_EQ(OwnedBytes(client), kCapacity / 2);
  for (uint64_t id = 1; id < kCapacity / kObjectBytes; id += 2) ASSERT_TRUE(store_->Delete(IdOf(id)));
  ASSERT_TRUE(store_->Abort(client, IdOf(1000)));
  EXPECT_EQ(arena_->LargestRun(), kCapacity);
}

TEST_F(CompactorTest, PinnedAndUnsealedObjectsStayWhereTheyAre) {
  const uint32_t client = Connect();
  ASSERT_NO_FATAL_FAILURE(FillEverySecond(client));
  const std::byte* const pinned = Content(31);
  Pin(client, 0, 31);
  const auto unsealed = Create(client, 2000, kObjectBytes);
  ASSERT_TRUE(unsealed);
  ASSERT_TRUE(Create(client, 1000, kCapacity / 4, {.evict_if_full = false}));
  EXPECT_EQ(Content(31), pinned);
  ASSERT_NO_FATAL_FAILURE(ExpectContent(31));
  EXPECT_EQ(Index().Find(IdOf(2000), EntryState::kUnsealed)->offset, *unsealed);
  Release(client, 0);
}

TEST_F(CompactorTest, AMovedObjectThatCanBeEvictedStillIs) {
  const uint32_t client = Connect();
  for (uint64_t id = 0; id < kCapacity / kObjectBytes; ++id) ASSERT_NO_FATAL_FAILURE(Make(client, id, kObjectBytes));
  for (uint64_t id = 0; id < kCapacity / kObjectBytes; id += 2) ASSERT_TRUE(store_->Delete(IdOf(id)));
  ASSERT_TRUE(Create(client, 1000, kCapacity / 4));
  EXPECT_EQ(header_->counters.evictions, 0u) << "the bytes were there";
  EXPECT_GT(store_->moved_bytes(), 0u);
  ASSERT_TRUE(store_->Abort(client, IdOf(1000)));
  ASSERT_TRUE(Create(client, 1001, kCapacity));
  EXPECT_EQ(header_->counters.sealed_count, 0u);
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
}

// Readers get objects as clients do while the store moves them, and see the right bytes while they pin
// them.
TEST_F(CompactorTest, ReadersSeeEveryObjectWholeWhileItMoves) {
  constexpr uint64_t kObjects = 24;
  constexpr int kReaders = 2, kRounds = 3000;
  const uint32_t writer = Connect();
  // Each object's bytes say which it is.
  const auto bytes_of = [](uint64_t id) { return kObjectBytes + id * 517; };
  const auto make = [&](uint64_t id) {
    const auto offset = Create(writer, id, bytes_of(id), {.evict_if_full = false, .owned = true});
    ASSERT_TRUE(offset) << offset.error().message;
    std::memset(arena_->data() + *offset, static_cast<int>(1 + id), bytes_of(id));
    ASSERT_TRUE(store_->Seal(writer, IdOf(id)));
  };
  for (uint64_t id = 0; id < kObjects; ++id) ASSERT_NO_FATAL_FAILURE(make(id));

  std::atomic<bool> stop{false};
  std::atomic<uint64_t> gets{0}, wrong{0}, missed{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < kReaders; ++reader) {
    const uint32_t client = Connect();
    PinPage& page = *page_of_[client];
    page.magic = kPinsMagic;
    page.layout_version = kLayoutVersion;
    page.client = client;
    readers.emplace_back([&, client] {
      auto pins = client::PinTable::Attach(&page, sizeof page, client);
      const client::MappedIndex index = Index();
      for (uint64_t turn = client; !stop.load(); ++turn) {
        const uint64_t id = turn % kObjects;
        const auto found = index.FindSealed(IdOf(id));
        // Even ids are never deleted.
        if (!found) {
          missed += id % 2 == 0 ? 1 : 0;
          continue;
        }
        const auto slot = pins->Pin(found->entry);
        if (index.StillThere(*found)) {
          const std::byte* const content = arena_->data() + found->offset;
          for (uint64_t at = 0; at < found->data_bytes; at += 512)
            wrong += content[at] == static_cast<std::byte>(1 + id) ? 0 : 1;
          ++gets;
        }
        pins->Unpin(*slot);
      }
    });
  }
  std::mt19937_64 random(5);
  uint64_t made = 0, refused = 0;
  for (int round = 0; round < kRounds || gets.load() < 1000; ++round) {
    std::vector<uint64_t> deleted;
    for (int i = 0; i < 3; ++i) {
      const uint64_t id = random() % (kObjects / 2) * 2 + 1;
      if (store_->Delete(IdOf(id))) deleted.push_back(id);
    }
    // A page more than the longest run has.
    const uint64_t wanted = arena_->LargestRun() + kPageBytes;
    if (const auto offset = Create(writer, 1000, wanted, {.evict_if_full = false})) {
      std::memset(arena_->data() + *offset, 0xff, wanted);  // over whatever lay there
      ASSERT_TRUE(store_->Abort(writer, IdOf(1000)));
      ++made;
    } else {
      ++refused;
    }
    store_->SweepDying();
    for (const uint64_t id : deleted) ASSERT_NO_FATAL_FAILURE(make(id));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_EQ(missed.load(), 0u) << "an object that moves is there at every moment";
  EXPECT_GT(made, 0u);
  EXPECT_GT(store_->moved_bytes(), 0u);
  store_->SweepDying();
  EXPECT_FALSE(store_->HasDying());
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
}

}  // namespace
}  // namespace raylet::store
