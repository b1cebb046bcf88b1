#include "client/plasma/pin_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "store/pin_ledger.h"
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
  std::vector<bool> taken(kPinSlots);
  for (uint32_t i = 0; i < kPinSlots; ++i) {
    const auto slot = pins.Pin(i);
    ASSERT_TRUE(slot) << i;
    ASSERT_FALSE(taken[*slot]) << i;
    taken[*slot] = true;
  }
  EXPECT_FALSE(pins.Pin(1));
  pins.Unpin(12345);
  EXPECT_EQ(pins.Pin(1), 12345u);
}

// The best of several rounds: the seconds of 1000 times two pins and two releases.
double SecondsOfPins(PinTable& pins) {
  double best = 1e9;
  for (int round = 0; round < 9; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) {
      const auto one = pins.Pin(1), other = pins.Pin(2);
      pins.Unpin(*one);
      pins.Unpin(*other);
    }
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

TEST(PlasmaPins, APinBesideManyHeldObjectsLooksForNoFreeSlotAmongThem) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  const double alone = SecondsOfPins(pins);
  std::vector<uint32_t> held;
  for (uint32_t i = 0; i < 60'000; ++i) held.push_back(*pins.Pin(i));
  pins.Unpin(held.front());  // a low slot is free, and the next free one is far away
  EXPECT_LT(SecondsOfPins(pins), 50 * alone);
}

TEST(PlasmaPins, SlotsThatAnotherThreadFreesAreFoundAgain) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  constexpr uint32_t kWindow = 3000;
  std::deque<uint32_t> held;
  for (int round = 0; round < 30; ++round) {
    for (uint32_t i = 0; i < kWindow; ++i) held.push_back(*pins.Pin(i));
    std::thread([&] {
      for (; held.size() > kWindow; held.pop_front()) pins.Unpin(held.front());
    }).join();
  }
  EXPECT_LT(memory.page().slots_high_water.load(), kWindow * 5 / 2) << "at most twice the window are held at a time";
}

TEST(PlasmaPins, TheMarkFallsThoughAThreadGoesOnWithSlotsNearIt) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  store::PinLedger ledger(10);
  ledger.AddClient(1, &memory.page());
  std::deque<uint32_t> held;
  for (int i = 0; i < 5000; ++i) held.push_back(*pins.Pin(1));
  for (; !held.empty(); held.pop_front()) pins.Unpin(held.front());  // the last freed is the highest
  const uint32_t high = memory.page().slots_high_water.load();
  ASSERT_GE(high, 5000u);
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 40; ++i) held.push_back(*pins.Pin(1));
    ledger.Scan();
    for (; !held.empty(); held.pop_front()) pins.Unpin(held.front());
  }
  EXPECT_LE(memory.page().slots_high_water.load(), 1024u);
}

TEST(PlasmaPins, AReservedSlotPinsNothingUntilItsEntryIsKnown) {
  PinPageMemory memory(1);
  PinTable pins = memory.Table();
  store::PinLedger ledger(100);
  ledger.AddClient(1, &memory.page());
  const auto slot = pins.Reserve();
  ASSERT_TRUE(slot);
  EXPECT_NE(pins.Pin(5), slot) << "it is taken";
  ledger.Scan();
  EXPECT_EQ(ledger.pinned(), (std::vector<uint32_t>{5}));
  pins.PinReserved(*slot, 7);
  ledger.Scan();
  EXPECT_TRUE(ledger.Pinned(7));
  pins.Unpin(*slot);
  const auto again = pins.Reserve();
  EXPECT_EQ(again, slot);
  pins.Unreserve(*again);
  EXPECT_EQ(pins.Pin(6), slot);
  EXPECT_EQ(memory.page().touch_tail.load(), 1u) << "a reservation that ends is no use";
}

// One client's threads pin far apart while the daemon lowers the mark: whatever is pinned is in every scan.
TEST(PlasmaPins, APinIsSeenThoughTheMarkFallsMeanwhile) {
  PinPageMemory memory(1);
  store::PinLedger ledger(1000);
  ledger.AddClient(1, &memory.page());
  std::atomic<uint64_t> pinned{0};  // the round whose entry is pinned for sure; 0: none
  const auto entry_of = [](uint64_t round) { return static_cast<uint32_t>(1 + round % 999); };
  std::atomic<int> scans{0};
  std::atomic<bool> stop{false};
  std::thread holder([&] {  // raises the mark, and lets go again
    PinTable pins = memory.Table();
    while (!stop) {
      std::vector<uint32_t> held;
      for (uint32_t i = 0; i < 2500; ++i) held.push_back(*pins.Pin(0));
      for (const uint32_t slot : held) pins.Unpin(slot);
      for (const int since = scans; !stop && scans < since + 2;) std::this_thread::yield();  // the mark falls
    }
  });
  std::thread pinner([&] {
    PinTable pins = memory.Table();
    for (uint64_t round = 1; !stop; ++round) {
      // A few at a time, so that some lie near the mark.
      std::array<uint32_t, 40> held{};
      for (uint32_t& slot : held) slot = *pins.Pin(0);
      const uint32_t slot = *pins.Pin(entry_of(round));
      pinned.store(round);
      for (const int since = scans; !stop && scans < since + 2;) std::this_thread::yield();
      pinned.store(0);
      pins.Unpin(slot);
      for (const uint32_t one : held) pins.Unpin(one);
    }
  });
  int seen = 0, missed = 0;
  uint32_t fallen = 0, mark = 0;
#ifdef RAYLET_SANITIZED
  constexpr uint32_t kSeen = 100, kFallen = 10;  // each takes long
#else
  constexpr uint32_t kSeen = 5000, kFallen = 500;
#endif
  const Deadline patience = Deadline::AfterMs(50'000);
  while ((seen < static_cast<int>(kSeen) || fallen < kFallen) && !patience.Passed()) {
    const uint64_t before = pinned.load();
    ledger.Scan();
    ++scans;
    const uint32_t now = memory.page().slots_high_water.load();
    if (now < mark) ++fallen;
    mark = now;
    if (before == 0 || pinned.load() != before) continue;
    ++seen;
    if (!ledger.Pinned(entry_of(before))) ++missed;
  }
  stop = true;
  holder.join();
  pinner.join();
  EXPECT_EQ(missed, 0) << seen << " looked at";
  EXPECT_GE(seen, 100) << "fallen " << fallen;
  EXPECT_GE(fallen, 10u) << "seen " << seen;
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
