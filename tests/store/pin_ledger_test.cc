#include "store/pin_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "tests/harness/pin_page.h"

namespace raylet::store {
namespace {

constexpr uint64_t kLedgerEntries = 1000;

std::vector<uint32_t> Sorted(std::vector<uint32_t> entries) {
  std::sort(entries.begin(), entries.end());
  return entries;
}

void Pin(PinPage& page, uint32_t slot, uint32_t entry) {
  page.slots[slot].store(entry + 1);
  if (page.slots_high_water.load() <= slot) page.slots_high_water.store(slot + 1);
}

class PinLedgerTest : public testing::Test {
 protected:
  PinPage& Connect(uint32_t client) {
    pages_.push_back(test::MakePinPage());
    ledger_.AddClient(client, pages_.back().get());
    return *pages_.back();
  }
  std::vector<uint32_t> Touches() {
    std::vector<uint32_t> touches;
    ledger_.ReadTouches([&](uint32_t entry) { touches.push_back(entry); });
    return touches;
  }
  PinLedger ledger_{kLedgerEntries};
  std::vector<test::PinPagePtr> pages_;
};

TEST_F(PinLedgerTest, AScanSeesEveryPinOfEveryClientOnce) {
  PinPage &a = Connect(1), &b = Connect(2);
  Pin(a, 0, 0);
  Pin(a, 9, 999);
  Pin(b, 3, 999);
  Pin(b, 4, 63);
  ledger_.Scan();
  EXPECT_EQ(Sorted(ledger_.pinned()), (std::vector<uint32_t>{0, 63, 999}));
  EXPECT_TRUE(ledger_.Pinned(63));
  EXPECT_FALSE(ledger_.Pinned(62));
  EXPECT_FALSE(ledger_.Pinned(64));
}

TEST_F(PinLedgerTest, AReleaseAndADisconnectAreSeenByTheNextScan) {
  PinPage &a = Connect(1), &b = Connect(2);
  Pin(a, 0, 5);
  Pin(a, 1, 6);
  Pin(b, 0, 6);
  ledger_.Scan();
  a.slots[0].store(0);
  EXPECT_TRUE(ledger_.Pinned(5)) << "as of the last scan";
  ledger_.Scan();
  EXPECT_FALSE(ledger_.Pinned(5));
  ledger_.RemoveClient(1);
  ledger_.Scan();
  EXPECT_TRUE(ledger_.Pinned(6)) << "the other client's";
  ledger_.RemoveClient(2);
  ledger_.Scan();
  EXPECT_TRUE(ledger_.pinned().empty());
}

TEST_F(PinLedgerTest, AgreesWithASetUnderRandomPins) {
  std::vector<PinPage*> pages = {&Connect(1), &Connect(2), &Connect(3)};
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 50; ++i) {
      PinPage& page = *pages[random() % pages.size()];
      if (random() % 2 == 0)
        Pin(page, random() % 100, random() % kLedgerEntries);
      else
        page.slots[random() % 100].store(0);
    }
    std::set<uint32_t> wanted;
    for (const PinPage* page : pages)
      for (uint32_t slot = 0; slot < page->slots_high_water.load(); ++slot)
        if (const uint32_t pin = page->slots[slot].load()) wanted.insert(pin - 1);
    ledger_.Scan();
    ASSERT_EQ(Sorted(ledger_.pinned()), std::vector<uint32_t>(wanted.begin(), wanted.end()));
    for (uint32_t entry = 0; entry < kLedgerEntries; ++entry) ASSERT_EQ(ledger_.Pinned(entry), wanted.contains(entry));
  }
}

TEST_F(PinLedgerTest, NumbersThatNameNoEntryCountForNothing) {
  PinPage& liar = Connect(1);
  liar.slots_high_water.store(UINT32_MAX);
  for (uint32_t i = 0; i < kPinSlots; ++i) liar.slots[i].store(UINT32_MAX - i);
  liar.slots[kPinSlots - 1].store(kLedgerEntries);  // the last entry
  liar.slots[kPinSlots - 2].store(kLedgerEntries + 1);
  ledger_.Scan();
  EXPECT_EQ(ledger_.pinned(), (std::vector<uint32_t>{kLedgerEntries - 1}));
  for (auto& touch : liar.touches) touch.store(UINT32_MAX);
  liar.touch_tail.store(UINT64_MAX - 5);
  EXPECT_TRUE(Touches().empty());
}

TEST_F(PinLedgerTest, MoreNumbersCountOnceTheIndexHasGrown) {
  PinPage& page = Connect(1);
  Pin(page, 0, kLedgerEntries);
  Pin(page, 1, 7);
  ledger_.Scan();
  EXPECT_EQ(ledger_.pinned(), (std::vector<uint32_t>{7}));
  ledger_.GrowTo(kLedgerEntries + 1);
  ledger_.Scan();
  EXPECT_EQ(Sorted(ledger_.pinned()), (std::vector<uint32_t>{7, kLedgerEntries}));
  std::vector<uint32_t> pins;
  ledger_.ReadPins(1, [&](uint32_t entry) { pins.push_back(entry); });
  EXPECT_EQ(pins, (std::vector<uint32_t>{kLedgerEntries, 7}));
  ledger_.ReadPins(2, [&](uint32_t) { ADD_FAILURE() << "no such client"; });
}

TEST_F(PinLedgerTest, TouchesAreReadOnceAndAtMostOneRingOfThem) {
  PinPage& page = Connect(1);
  const auto touch = [&](uint32_t entry) {
    const uint64_t tail = page.touch_tail.load();
    page.touches[tail % kTouchSlots].store(entry);
    page.touch_tail.store(tail + 1);
  };
  for (const uint32_t entry : {4u, 2u, 4u}) touch(entry);
  EXPECT_EQ(Touches(), (std::vector<uint32_t>{4, 2, 4}));
  EXPECT_TRUE(Touches().empty());
  for (uint32_t i = 0; i < kTouchSlots + 10; ++i) touch(i % kLedgerEntries);
  const auto last = Touches();
  ASSERT_EQ(last.size(), kTouchSlots);
  EXPECT_EQ(last.front(), 10u) << "the ten before it were overwritten";
  EXPECT_EQ(last.back(), (kTouchSlots + 9) % kLedgerEntries);
  page.touch_tail.store(7);  // backwards: a race of the client's threads, or nonsense
  EXPECT_TRUE(Touches().empty());
  page.touch_tail.store(9);
  EXPECT_EQ(Touches().size(), 2u);
}

TEST_F(PinLedgerTest, TheTouchesOfOneClientAreReadAlone) {
  for (PinPage* page : {&Connect(1), &Connect(2)}) {
    page->touches[0].store(7);
    page->touch_tail.store(1);
  }
  int read = 0;
  ledger_.ReadTouches(2, [&](uint32_t entry) { read += entry == 7 ? 1 : 100; });
  ledger_.ReadTouches(3, [&](uint32_t) { ADD_FAILURE() << "no such client"; });
  EXPECT_EQ(read, 1);
  EXPECT_EQ(Touches(), (std::vector<uint32_t>{7})) << "the other client's";
}

TEST_F(PinLedgerTest, AMarkFallsOnceTheUpperHalfOfItsSlotsIsFree) {
  constexpr uint32_t kMany = 50'000;
  PinPage& page = Connect(1);
  for (uint32_t slot = 0; slot < kMany; ++slot) Pin(page, slot, slot % kLedgerEntries);
  ledger_.Scan();
  EXPECT_GE(ledger_.scanned_slots(), kMany);
  for (uint32_t slot = 30'000; slot < kMany; ++slot) page.slots[slot].store(0);
  ledger_.Scan();
  EXPECT_EQ(page.slots_high_water.load(), kMany) << "more than half are in use";
  for (uint32_t slot = 0; slot < kMany; ++slot) page.slots[slot].store(slot == 2000 ? 7 : kReservedSlot);
  ledger_.Scan();
  EXPECT_EQ(ledger_.pinned(), (std::vector<uint32_t>{6}));
  EXPECT_EQ(page.slots_high_water.load(), 2001u) << "what is reserved pins nothing";
  page.slots[2000].store(0);
  ledger_.Scan();
  EXPECT_LE(page.slots_high_water.load(), 1024u);
  ledger_.Scan();
  EXPECT_LT(ledger_.scanned_slots(), 2000u);
}

TEST_F(PinLedgerTest, SaysWhetherAnyoneWaits) {
  EXPECT_FALSE(ledger_.MayAnyoneWait());
  Connect(1);
  PinPage& waiter = Connect(2);
  EXPECT_FALSE(ledger_.MayAnyoneWait());
  waiter.waiting.store(1);
  EXPECT_TRUE(ledger_.MayAnyoneWait());
  ledger_.RemoveClient(2);
  EXPECT_FALSE(ledger_.MayAnyoneWait());
}

TEST_F(PinLedgerTest, AmongManyClientsSomeoneMayWaitWithoutALookAtAllOfThem) {
  for (uint32_t client = 1; client <= 500; ++client) Connect(client);
  EXPECT_TRUE(ledger_.MayAnyoneWait());
}

}  // namespace
}  // namespace raylet::store
