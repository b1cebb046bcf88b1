#include "store/pin_ledger.h"

#include <algorithm>

#include "base/check.h"

namespace raylet::store {

PinLedger::PinLedger(uint64_t entry_count) : entry_count_(entry_count), marks_((entry_count + 63) / 64) {}

void PinLedger::GrowTo(uint64_t entry_count) {
  entry_count_ = entry_count;
  marks_.resize((entry_count + 63) / 64);
}

void PinLedger::AddClient(uint32_t client, PinPage* page) {
  RAYLET_CHECK(pages_.emplace(client, Page{page, 0}).second, "client ", client, " has a pin page already");
}

void PinLedger::RemoveClient(uint32_t client) { pages_.erase(client); }

namespace {

constexpr uint32_t kLowestMark = 1024;   // below it a mark stays, since it costs little
constexpr uint64_t kSlotsForAPage = 16;  // a look at another page costs as much as so many slots
constexpr size_t kPagesLookedAt = 8;

// Calls `pinned` with each entry below `entry_count` that a slot of [first, end) names. Returns the
// number after the last of those slots, or `first`.
template <class Pinned>
uint32_t ReadSlots(const PinPage& page, uint32_t first, uint32_t end, uint64_t entry_count, const Pinned& pinned) {
  uint32_t used = first;
  for (uint32_t i = first; i < end; ++i) {
    const uint32_t slot = page.slots[i].load(std::memory_order_seq_cst);  // entry + 1, or 0
    if (slot == 0 || slot > entry_count) continue;
    pinned(slot - 1);
    used = i + 1;
  }
  return used;
}

}  // namespace

void PinLedger::Mark(uint32_t entry) {
  if (Pinned(entry)) return;
  marks_[entry / 64] |= uint64_t{1} << entry % 64;
  pinned_.push_back(entry);
}

void PinLedger::Hold(uint32_t entry) {
  ++held_[entry];
  Mark(entry);
}

void PinLedger::Unhold(uint32_t entry) {
  const auto held = held_.find(entry);
  RAYLET_CHECK(held != held_.end(), "entry ", entry, " is not held");
  if (--held->second == 0) held_.erase(held);
}

void PinLedger::Scan() {
  for (const uint32_t entry : pinned_) marks_[entry / 64] = 0;  // every bit that is set is in pinned_
  pinned_.clear();
  scanned_slots_ = 0;
  only_held_.clear();
  for (const auto& [client, each] : pages_) {
    PinPage& page = *each.page;
    const uint32_t mark = page.slots_high_water.load(std::memory_order_seq_cst);
    const uint32_t end = std::min(mark, kPinSlots);
    const uint32_t used = ReadSlots(page, 0, end, entry_count_, [this](uint32_t entry) { Mark(entry); });
    if (end > kLowestMark && used <= end / 2) LowerMark(page, mark, std::max(used, kLowestMark));
    scanned_slots_ += kSlotsForAPage + end;
  }
  for (const auto& [entry, holds] : held_) {
    if (Pinned(entry)) continue;
    Mark(entry);
    only_held_.insert(entry);
  }
}

void PinLedger::LowerMark(PinPage& page, uint32_t mark, uint32_t used) {
  if (!page.slots_high_water.compare_exchange_strong(mark, used, std::memory_order_seq_cst)) return;
  // A pin that was written before its client could see the lowered mark is seen here.
  const uint32_t late =
      ReadSlots(page, used, std::min(mark, kPinSlots), entry_count_, [this](uint32_t entry) { Mark(entry); });
  uint32_t now = used;
  while (now < late && !page.slots_high_water.compare_exchange_weak(now, late, std::memory_order_seq_cst)) {}
}

void PinLedger::ReadPins(uint32_t client, const std::function<void(uint32_t entry)>& pinned) const {
  const auto it = pages_.find(client);
  if (it == pages_.end()) return;
  const PinPage& page = *it->second.page;
  ReadSlots(page, 0, std::min(page.slots_high_water.load(std::memory_order_seq_cst), kPinSlots), entry_count_, pinned);
}

void PinLedger::ReadTouches(const std::function<void(uint32_t entry)>& released) {
  for (auto& [client, page] : pages_) ReadTouches(page, released);
}

void PinLedger::ReadTouches(uint32_t client, const std::function<void(uint32_t entry)>& released) {
  if (const auto it = pages_.find(client); it != pages_.end()) ReadTouches(it->second, released);
}

void PinLedger::ReadTouches(Page& page, const std::function<void(uint32_t entry)>& released) const {
  const uint64_t tail = page.page->touch_tail.load(std::memory_order_acquire);
  // The client writes the tail, and may write nonsense: at most one ring of touches is read. A race
  // of its threads may set the tail back a little.
  uint64_t seen = page.touches_seen;
  if (static_cast<int64_t>(tail - seen) < 0) seen = tail;
  if (tail - seen > kTouchSlots) seen = tail - kTouchSlots;
  for (; seen != tail; ++seen) {
    const uint32_t entry = page.page->touches[seen % kTouchSlots].load(std::memory_order_relaxed);
    if (entry < entry_count_) released(entry);
  }
  page.touches_seen = tail;
}

bool PinLedger::MayAnyoneWait() const {
  if (pages_.size() > kPagesLookedAt) return true;
  return std::any_of(pages_.begin(), pages_.end(),
                     [](const auto& each) { return each.second.page->waiting.load(std::memory_order_seq_cst) != 0; });
}

}  // namespace raylet::store
