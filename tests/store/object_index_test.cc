// The index against a map, and against readers as they run in other processes.
#include "store/object_index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "client/plasma/mapped_index.h"
#include "tests/client/plasma/index_writer.h"

namespace raylet::store {
namespace {

ObjectId IdOf(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

// An index in this process's memory, and the client's reader of it.
struct Segment {
  explicit Segment(uint64_t entries_max, uint64_t entries, uint32_t chains_at_first)
      : bytes(IndexSegmentBytes(entries_max)),
        memory(test::Zeroed(bytes)),
        header(InitIndexSegment(memory.get(), entries_max)),
        index(header, entries, chains_at_first),
        reader(*client::MappedIndex::Attach(memory.get(), bytes)) {}
  uint32_t Make(uint64_t number) {
    const uint32_t entry = *index.Insert(IdOf(number), {.offset = number * 64, .data_bytes = number});
    index.MarkSealed(entry);
    return entry;
  }
  void Take(uint32_t entry) {
    index.MarkDying(entry);
    index.Remove(entry);
  }

  size_t bytes;
  test::AlignedMemory memory;
  IndexHeader* header;
  ObjectIndex index;
  client::MappedIndex reader;
};

class ObjectIndexTest : public testing::TestWithParam<uint32_t> {};  // how many chains at first

TEST_P(ObjectIndexTest, AgreesWithAMapUnderRandomChurnAndGrowth) {
  constexpr uint64_t kMax = 1024, kNumbers = 1500;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Segment segment(kMax, 16, GetParam());
    std::mt19937_64 random(seed);
    std::unordered_map<uint64_t, uint32_t> live;  // number -> entry
    std::unordered_map<uint32_t, bool> in_use;    // by entry: dying ones too
    std::vector<uint32_t> dying;
    for (int step = 0; step < 30000; ++step) {
      const uint64_t number = random() % kNumbers;
      const auto found = segment.reader.FindSealed(IdOf(number));
      const auto it = live.find(number);
      ASSERT_EQ(found.has_value(), it != live.end()) << "seed " << seed << ", step " << step;
      ASSERT_EQ(segment.index.Find(IdOf(number)), it == live.end() ? std::nullopt : std::optional(it->second));
      if (found) {
        ASSERT_EQ(found->entry, it->second);
        ASSERT_EQ(found->offset, number * 64);
        ASSERT_EQ(found->data_bytes, number);
        ASSERT_TRUE(segment.reader.StillThere(*found));
        if (random() % 3 == 0) continue;
        segment.index.MarkDying(it->second);
        ASSERT_FALSE(segment.reader.StillThere(*found));
        dying.push_back(it->second);
        live.erase(it);
      } else if (segment.index.HasFree()) {
        const uint32_t entry = segment.Make(number);
        ASSERT_FALSE(in_use[entry]) << "an entry was given twice";
        in_use[entry] = true;
        live[number] = entry;
      } else {
        ASSERT_FALSE(segment.index.Insert(IdOf(number), {}));
        segment.index.GrowTo(std::min(kMax, segment.index.entries() + 16));
      }
      while (dying.size() > random() % 8) {
        segment.index.Remove(dying.back());
        in_use[dying.back()] = false;
        dying.pop_back();
      }
      ASSERT_EQ(segment.index.used(), live.size() + dying.size());
      ASSERT_LE(segment.index.bound(), segment.index.entries());
      ASSERT_EQ(segment.header->entry_bound, segment.index.bound());
      ASSERT_LE(segment.header->chain_count, std::max<uint64_t>(GetParam(), segment.index.entries()));
    }
    for (const auto& [number, entry] : live) segment.Take(entry);
    for (const uint32_t entry : dying) segment.index.Remove(entry);
    EXPECT_EQ(segment.index.used(), 0u);
    for (uint64_t i = 0; i < kMax; ++i) {
      EXPECT_EQ(StateOf(segment.header->entries.get()[i].word.load()), EntryState::kEmpty);
      const uint64_t head = segment.header->chains.get()[i].load();
      EXPECT_EQ(FirstLinkOf(head), kNoLink);
      EXPECT_EQ(FilterOf(head), 0) << "an empty chain costs a miss no look at an entry";
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Chains, ObjectIndexTest, testing::Values(1u, 7u, 64u, 1024u));

TEST(ObjectIndexReaders, RemainingObjectsAreAlwaysFoundWhileChainsSplitAndEntriesAreUsedAgain) {
  constexpr uint64_t kStaying = 64, kNumbers = 400, kMax = 512;
  constexpr int kRounds = 30;
  std::atomic<uint64_t> looks{0}, missed{0}, wrong{0}, phantoms{0};
  for (int round = 0; round < kRounds; ++round) {
    Segment segment(kMax, kMax, 1);
    for (uint64_t number = 0; number < kStaying; number += 2) segment.Make(number);
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      readers.emplace_back([&, seed] {
        std::mt19937_64 random(seed);
        while (!stop.load(std::memory_order_relaxed)) {
          const uint64_t number = random() % kNumbers;
          const auto found = segment.reader.FindSealed(IdOf(number));
          const bool stood_still = found && segment.reader.StillThere(*found);
          looks.fetch_add(1, std::memory_order_relaxed);
          if (number < kStaying && number % 2 == 0 && !found) missed.fetch_add(1);
          if (number < kStaying && number % 2 == 1 && stood_still) phantoms.fetch_add(1);
          if (stood_still && (found->offset != number * 64 || found->data_bytes != number)) wrong.fetch_add(1);
        }
      });
    }
    const uint64_t looks_at_first = looks.load();
    std::mt19937_64 random(static_cast<uint64_t>(round));
    std::unordered_map<uint64_t, uint32_t> live;
    for (int step = 0; step < 4000 || looks.load() < looks_at_first + 1000; ++step) {
      const uint64_t number = kStaying + random() % (kNumbers - kStaying);
      if (const auto it = live.find(number); it != live.end()) {
        segment.Take(it->second);
        live.erase(it);
      } else {
        live[number] = segment.Make(number);
      }
    }
    stop.store(true);
    for (std::thread& reader : readers) reader.join();
  }
  EXPECT_EQ(missed.load(), 0u) << "of " << looks.load() << " looks";
  EXPECT_EQ(phantoms.load(), 0u);
  EXPECT_EQ(wrong.load(), 0u);
}

TEST(ObjectIndexReaders, AMissCostsTheSameAfterManyObjectsHaveComeAndGone) {
  Segment segment(4096, 4096, 64);
  std::mt19937_64 random(5);
  std::vector<uint32_t> live;
  for (uint64_t number = 0; number < 400'000; ++number) {
    if (live.size() == 2000) {
      const size_t at = random() % live.size();
      segment.Take(live[at]);
      live[at] = segment.Make(number);
    } else {
      live.push_back(segment.Make(number));
    }
  }
  // Entries that a reader of an absent id would look at.
  uint64_t visits = 0;
  constexpr uint64_t kMisses = 20'000;
  for (uint64_t i = 0; i < kMisses; ++i) {
    const uint64_t hash = IndexHash(ObjectId::FromRandom());
    const uint64_t head = segment.header->chains.get()[ChainOf(hash, segment.header->chain_count)].load();
    if ((FilterOf(head) & FilterBit(hash)) == 0) continue;
    for (uint32_t link = FirstLinkOf(head); link != kNoLink; ++visits)
      link = segment.header->entries.get()[link - 1].next.load();
  }
  EXPECT_LT(visits, kMisses / 2) << "a quarter of the misses look at an entry";
  EXPECT_LE(segment.index.bound(), 2000u) << "entries that were given up are used again";
}

}  // namespace
}  // namespace raylet::store
