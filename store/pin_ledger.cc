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

// Calls `pinned` with each entry below `entry_count` that a slot of the page names.
template <class Pinned>
void ReadSlots(const PinPage& page, uint64_t entry_count, const Pinned& pinned) {
  const uint32_t used = std::min(page.slots_high_water.load(std::memory_order_seq_cst), kPinSlots);
  for (uint32_t i = 0; i < used; ++i) {
    const uint32_t slot = page.slots[i].load(std::memory_order_seq_cst);  // entry + 1, or 0
    if (slot != 0 && slot <= entry_count) pinned(slot - 1);
  }
}

}  // namespace

void PinLedger::Scan() {
  for (const uint32_t entry : pinned_) marks_[entry / 64] = 0;  // every bit that is set is in pinned_
  pinned_.clear();
  for (const auto& [client, page] : pages_) {
    ReadSlots(*page.page, entry_count_, [this](uint32_t entry) {
      if (Pinned(entry)) return;
      marks_[entry / 64] |= uint64_t{1} << entry % 64;
      pinned_.push_back(entry);
    });
  }
}

void PinLedger::ReadPins(uint32_t client, const std::function<void(uint32_t entry)>& pinned) const {
  if (const auto it = pages_.find(client); it != pages_.end()) ReadSlots(*it->second.page, entry_count_, pinned);
}

void PinLedger::ReadTouches(const std::function<void(uint32_t entry)>& released) {
  for (auto& [client, page] : pages_) {
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
}

bool PinLedger::AnyoneWaits() const {
  return std::any_of(pages_.begin(), pages_.end(),
                     [](const auto& each) { return each.second.page->waiting.load(std::memory_order_seq_cst) != 0; });
}

}  // namespace raylet::store
