#include "client/plasma/pin_table.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "tests/client/plasma/index_writer.h"

namespace raylet::client {
namespace {

using test::IndexWriter;
using test::PinPageMemory;

TEST(PlasmaPins, PinIsSeenBelowTheHighWaterMarkUntilItIsReleased) {
  PinPageMemory memory(7);
  PinTable pins = memory.Table();
  const auto slot = pins.Pin(41);
  ASSERT_TRUE(slot);
  EXPECT_LT(*slot, memory.page().slots_high_water.load());
  EXPECT_TRUE(memory.Pins(41));
  pins.Unpin(*slot);
  EXPECT_FALSE(memory.Pins(41));
}

TEST(PlasmaPins, ReleasedSlotIsTakenAgainSoThatTheDaemonHasLittleToScan) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  const auto first = pins.Pin(1);
  ASSERT_TRUE(first);
  const uint32_t bound = memory.page().slots_high_water.load();
  pins.Unpin(*first);
  for (uint64_t i = 0; i < 1000; ++i) pins.Unpin(*pins.Pin(i));
  EXPECT_EQ(memory.page().slots_high_water.load(), bound);
}

TEST(PlasmaPins, HoldingAFewAtATimeInAnyOrderUsesFewSlots) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  const auto first = pins.Pin(1);
  pins.Unpin(*first);
  for (int round = 0; round < 1000; ++round) {
    std::vector<uint32_t> held;
    for (uint64_t i = 0; i < 8; ++i) held.push_back(*pins.Pin(i));
    for (const uint32_t slot : held) pins.Unpin(slot);
  }
  EXPECT_LE(memory.page().slots_high_water.load(), *first + 8);
}

TEST(PlasmaPins, EverySlotCanBeUsedAndOneMoreIsRefused) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  std::set<uint32_t> slots;
  for (uint32_t i = 0; i < kPinSlots; ++i) {
    const auto slot = pins.Pin(i);
    ASSERT_TRUE(slot) << i;
    slots.insert(*slot);
  }
  EXPECT_EQ(slots.size(), kPinSlots);
  EXPECT_FALSE(pins.Pin(1));
  pins.Unpin(12345);
  EXPECT_EQ(pins.Pin(1), 12345u);
}

TEST(PlasmaPins, TouchesReachTheDaemonInOrder) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  for (uint64_t entry = 5; entry < 9; ++entry) pins.Touch(entry);
  EXPECT_EQ(memory.page().touch_tail.load(), 4u);
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(memory.page().touches[i].load(), 5 + i);
}

TEST(PlasmaPins, ReleaseIsATouchAndAGetIsNone) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  const auto slot = pins.Pin(41);
  EXPECT_EQ(memory.page().touch_tail.load(), 0u);
  pins.Unpin(*slot);
  EXPECT_EQ(memory.page().touch_tail.load(), 1u);
  EXPECT_EQ(memory.page().touches[0].load(), 41u);
}

TEST(PlasmaPins, PageOfAnotherClientIsRefused) {
  PinPageMemory memory(3);
  EXPECT_EQ(PinTable::Attach(&memory.page(), PinPageBytes(), 4).error().code, ErrorCode::kProtocolError);
  EXPECT_EQ(PinTable::Attach(&memory.page(), 100, 3).error().code, ErrorCode::kProtocolError);
  memory.page().layout_version = 99;
  EXPECT_EQ(PinTable::Attach(&memory.page(), PinPageBytes(), 3).error().code, ErrorCode::kVersionMismatch);
}

TEST(PlasmaPins, ThreadsNeverShareASlot) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  constexpr int kThreads = 4;
  std::array<std::atomic<int>, 4096> users{};
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      std::vector<uint32_t> held;
      for (int i = 0; i < 20'000; ++i) {
        const auto slot = pins.Pin(1);
        if (users[*slot].fetch_add(1) != 0) ++shared;
        held.push_back(*slot);
        if (held.size() < 8) continue;
        for (const uint32_t one : held) {
          users[one].fetch_sub(1);
          pins.Unpin(one);
        }
        held.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared, 0);
}

// The daemon's half of the protocol runs in a thread: it frees (and overwrites) an object whenever nobody pins it.
TEST(PlasmaPins, PinnedMemoryIsNeverFreed) {
  IndexWriter writer(64);
  PinPageMemory memory(1);
  const auto id = ObjectId::FromRandom();
  constexpr int kPlaces = 8;
  constexpr uint64_t kFreed = ~uint64_t{0};
  std::array<std::atomic<uint64_t>, kPlaces> arena{};
  std::atomic<bool> stop{false};

  std::thread daemon([&] {
    for (uint64_t round = 0; round < 30'000; ++round) {
      const uint64_t place = round % kPlaces;
      arena[place].store(place, std::memory_order_relaxed);
      const uint64_t entry = writer.Insert(id, EntryState::kSealed, place * 64, 8);
      writer.SetState(entry, EntryState::kDying);
      while (memory.Pins(entry)) std::this_thread::yield();
      arena[place].store(kFreed, std::memory_order_relaxed);
      writer.SetState(entry, EntryState::kEmpty);
    }
    stop = true;
  });
  std::vector<std::thread> readers;
  std::atomic<int> freed_under_a_pin{0};
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      const MappedIndex index = writer.Reader();
      PinTable pins = memory.Table();
      while (!stop) {
        const auto found = index.FindSealed(id);
        if (!found) continue;
        const auto slot = pins.Pin(found->entry);
        if (index.StillThere(*found)) {
          for (int i = 0; i < 4; ++i) {
            if (arena[found->offset / 64].load(std::memory_order_relaxed) != found->offset / 64) ++freed_under_a_pin;
          }
        }
        pins.Unpin(*slot);
      }
    });
  }
  daemon.join();
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(freed_under_a_pin, 0);
}

}  // namespace
}  // namespace raylet::client
