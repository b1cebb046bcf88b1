// An ObjectStore of 1 MiB with its clients' pin pages, and a look at its ledger. For tests of the verbs.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "store/object_store.h"
#include "tests/harness/manual_clock.h"
#include "tests/harness/pin_page.h"

namespace raylet::store {

inline constexpr uint64_t kCapacity = 1 << 20;
inline constexpr uint64_t kEntries = 4096;

class ObjectStoreTest : public testing::Test {
 protected:
  ObjectStoreTest() : memory_(IndexSegmentBytes(kEntries) / sizeof(Page)) {
    header_ = InitIndexSegment(memory_.data(), kEntries);
    arena_ = std::move(*Arena::Create(kCapacity));
    store_.emplace(kCapacity, *arena_, header_, clock_);
  }
  uint32_t Connect(uint32_t heir = 0) {
    pages_.push_back(test::MakePinPage());
    const auto number = store_->AddClient(1, "test", pages_.back().get(), heir);
    EXPECT_TRUE(number);
    page_of_[*number] = pages_.back().get();
    return *number;
  }
  static ObjectId IdOf(uint64_t number) {
    ObjectId id;
    std::memcpy(id.mutable_data(), &number, sizeof number);
    return id;
  }
  Result<uint64_t> Create(uint32_t client, uint64_t id, uint64_t bytes, ObjectOptions options = {}) {
    options.data_bytes = bytes;
    return store_->Create(client, IdOf(id), options, full_);
  }
  void Make(uint32_t client, uint64_t id, uint64_t bytes, ObjectOptions options = {}) {
    const auto offset = Create(client, id, bytes, options);
    ASSERT_TRUE(offset) << offset.error().message;
    ASSERT_TRUE(store_->Seal(client, IdOf(id)));
  }
  Result<void> SetOwner(uint32_t client, uint64_t id, uint32_t owner) {
    const ObjectId given = IdOf(id);
    return store_->SetOwner(client, {&given, 1}, owner);
  }
  // As a client's get does: the slot of a sealed object's entry.
  void Pin(uint32_t client, uint32_t slot, uint64_t id) {
    for (uint64_t i = 0; i < kEntries; ++i) {
      const IndexEntry& entry = header_->entries[static_cast<std::ptrdiff_t>(i)];
      uint64_t words[3];
      for (int w = 0; w < 3; ++w) words[w] = entry.id_words[w].load();
      if (StateOf(entry.word.load()) != EntryState::kSealed || std::memcmp(words, IdOf(id).data(), 20) != 0) continue;
      PinPage& page = *page_of_[client];
      page.slots[slot].store(static_cast<uint32_t>(i) + 1);
      if (page.slots_high_water.load() <= slot) page.slots_high_water.store(slot + 1);
      return;
    }
    FAIL() << "object " << id << " is not sealed";
  }
  void Release(uint32_t client, uint32_t slot) { page_of_[client]->slots[slot].store(0); }
  void ExpectLedgerAddsUp() {
    const IndexCounters& counters = header_->counters;
    ASSERT_EQ(counters.sealed_bytes + counters.unsealed_bytes + counters.dying_bytes + counters.restoring_bytes +
                  store_->free_bytes(),
              kCapacity);
    ASSERT_EQ(counters.mutation_seq % 2, 0u);
    ASSERT_EQ(counters.physical_bytes, arena_->physical_bytes());
    uint64_t sealed = 0, unsealed = 0, dying = 0, spilled = 0, sealed_owned_bytes = 0;
    for (uint64_t i = 0; i < kEntries; ++i) {
      const IndexEntry& entry = header_->entries[static_cast<std::ptrdiff_t>(i)];
      const EntryState state = StateOf(entry.word.load());
      if (state == EntryState::kSealed && TimesOf(entry.times_and_flags.load()).owned)
        sealed_owned_bytes += entry.data_bytes.load() + entry.metadata_bytes.load();
      sealed += state == EntryState::kSealed;
      unsealed += state == EntryState::kUnsealed;
      spilled += state == EntryState::kSpilled;
      dying += state == EntryState::kDying || state == EntryState::kDeleted;
    }
    ASSERT_EQ(counters.sealed_count, sealed);
    ASSERT_EQ(counters.unsealed_count, unsealed);
    ASSERT_EQ(counters.dying_count, dying);
    ASSERT_EQ(counters.spilled_count, spilled);
    // Who owns a sealed object is connected. Objects of other states may have an owner or none.
    uint64_t owned_bytes = 0;
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{kClientRowsMax}; ++i)
      if (header_->clients[i].number.load() != 0) owned_bytes += header_->clients[i].owned_bytes;
    ASSERT_GE(owned_bytes, sealed_owned_bytes);
    ASSERT_LE(owned_bytes,
              sealed_owned_bytes + counters.unsealed_bytes + counters.dying_bytes + counters.spilled_bytes);
  }
  uint64_t OwnedBytes(uint32_t client) const {
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{kClientRowsMax}; ++i)
      if (header_->clients[i].number.load() == client) return header_->clients[i].owned_bytes;
    ADD_FAILURE() << "client " << client << " is not connected";
    return 0;
  }

  struct alignas(4096) Page {
    std::byte bytes[4096];
  };
  std::vector<Page> memory_;
  IndexHeader* header_;
  test::ManualClock clock_;
  std::unique_ptr<Arena> arena_;
  std::vector<test::PinPagePtr> pages_;
  std::map<uint32_t, PinPage*> page_of_;
  std::optional<ObjectStore> store_;
  FullNumbers full_;
};

}  // namespace raylet::store
