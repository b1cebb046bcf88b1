#include "store/object_index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

namespace raylet::store {
namespace {

constexpr uint64_t kEntries = 256;

class ObjectIndexTest : public testing::Test {
 protected:
  ObjectIndexTest() : memory_(IndexSegmentBytes(kEntries) / sizeof(Page)) {
    header_ = InitIndexSegment(memory_.data(), kEntries);
  }
  static ObjectId IdOf(uint64_t number) {
    ObjectId id;
    std::memcpy(id.mutable_data(), &number, sizeof number);
    return id;
  }
  // As a reader in another process probes.
  std::optional<uint64_t> OffsetOfSealed(const ObjectId& id) const {
    for (uint64_t n = 0, at = ProbeStart(id, kEntries); n < kEntries; ++n, at = (at + 1) % kEntries) {
      const IndexEntry& entry = header_->entries[static_cast<std::ptrdiff_t>(at)];
      const uint64_t word = entry.word.load(std::memory_order_acquire);
      if (StateOf(word) == EntryState::kEmpty) return std::nullopt;
      if (StateOf(word) != EntryState::kSealed) continue;
      uint64_t words[3];
      for (int i = 0; i < 3; ++i) words[i] = entry.id_words[i].load(std::memory_order_acquire);
      const uint64_t offset = entry.offset.load(std::memory_order_acquire);
      if (std::memcmp(words, id.data(), ObjectId::kSize) != 0) continue;
      if (entry.word.load(std::memory_order_seq_cst) == word) return offset;
    }
    return std::nullopt;
  }

  struct alignas(4096) Page {
    std::byte bytes[4096];
  };
  std::vector<Page> memory_;
  IndexHeader* header_;
};

TEST_F(ObjectIndexTest, AgreesWithAMapUnderRandomChurn) {
  ObjectIndex index(header_);
  std::mt19937_64 random(7);
  std::map<uint64_t, uint32_t> live;  // number -> entry
  for (int step = 0; step < 50000; ++step) {
    const uint64_t number = random() % 200;
    if (const auto it = live.find(number); it != live.end()) {
      ASSERT_EQ(OffsetOfSealed(IdOf(number)), number * 64);
      index.MarkDying(it->second);
      ASSERT_FALSE(OffsetOfSealed(IdOf(number)));
      index.Remove(it->second);
      live.erase(it);
    } else {
      ASSERT_FALSE(OffsetOfSealed(IdOf(number)));
      const auto entry = index.Insert(IdOf(number), {.offset = number * 64});
      ASSERT_EQ(entry.has_value(), live.size() <= (kEntries - 1) / 2);
      if (!entry) continue;
      ASSERT_FALSE(OffsetOfSealed(IdOf(number))) << "not sealed yet";
      index.MarkSealed(*entry);
      live[number] = *entry;
    }
  }
  for (const auto& [number, entry] : live) {
    index.MarkDying(entry);
    index.Remove(entry);
  }
  EXPECT_EQ(index.used(), 0u);
  for (uint64_t i = 0; i < kEntries; ++i)
    EXPECT_EQ(StateOf(header_->entries[static_cast<std::ptrdiff_t>(i)].word.load()), EntryState::kEmpty)
        << "an empty index has no tombstone";
}

TEST_F(ObjectIndexTest, AReaderBesideTheWriterNeverSeesFieldsOfAnotherObject) {
  ObjectIndex index(header_);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> found{0};
  std::atomic<uint64_t> wrong{0};
  std::thread reader([&] {
    std::mt19937_64 random(1);
    while (!stop.load(std::memory_order_relaxed)) {
      const uint64_t number = random() % 40;
      const auto offset = OffsetOfSealed(IdOf(number));
      if (offset) found.fetch_add(1);
      if (offset && *offset != number * 64) wrong.fetch_add(1);
    }
  });
  std::mt19937_64 random(2);
  std::map<uint64_t, uint32_t> live;
  for (int step = 0; step < 200000 || found.load() == 0; ++step) {
    const uint64_t number = random() % 40;
    if (const auto it = live.find(number); it != live.end()) {
      index.MarkDying(it->second);
      index.Remove(it->second);
      live.erase(it);
    } else if (const auto entry = index.Insert(IdOf(number), {.offset = number * 64})) {
      index.MarkSealed(*entry);
      live[number] = *entry;
    }
  }
  stop.store(true);
  reader.join();
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace raylet::store
