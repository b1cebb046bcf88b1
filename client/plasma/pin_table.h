// PinTable: this process's pin page, which it and the daemon share: one slot for each object held. Owned by a
// StoreSession; any thread. A slot that names an entry keeps that entry from being freed. Nothing here needs repair
// when the process is killed: the daemon drops the page with the socket.
// Always holds: a pin and a release cost the same however many objects are held. The page grows by a slot only after a
// look at 16 others, so that few of its slots are free at any time. A thread that goes on leaves the high slots of a
// page that has emptied, so that the daemon can lower the mark up to which it looks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/result.h"
#include "base/shm_segment.h"
#include "base/unique_fd.h"
#include "fbs/segment_layout.h"

namespace raylet::client {

class PinTable {
 public:
  // Keeps the descriptor: objstat finds the page among the descriptors of this process, also when the daemon is dead.
  static Result<PinTable> Open(UniqueFd fd, uint32_t client);
  // In memory of the caller's that outlives it (tests).
  static Result<PinTable> Attach(void* memory, size_t bytes, uint32_t client);

  // Takes a free slot for `entry`; a full fence is part of it. Look at the entry's word again afterwards: unchanged,
  // the daemon sees the pin before it frees anything. Nothing when all slots are in use.
  std::optional<uint32_t> Pin(uint64_t entry) { return Take(static_cast<uint32_t>(entry) + 1); }
  // A slot for an entry that is not known yet. It pins nothing until then, and ends with Unreserve or Unpin.
  std::optional<uint32_t> Reserve() { return Take(kReservedSlot); }
  void PinReserved(uint32_t slot, uint64_t entry) {
    page_->slots[slot].exchange(static_cast<uint32_t>(entry) + 1, std::memory_order_seq_cst);
    RaiseMark(slot);
  }
  void Unreserve(uint32_t slot) { Free(slot); }
  // Tells the daemon too that the entry was used until now.
  void Unpin(uint32_t slot) {
    Touch(page_->slots[slot].load(std::memory_order_relaxed) - 1);
    Free(slot);
  }
  // Tells the daemon that `entry` was used, for its eviction order. A race of two threads may lose touches.
  void Touch(uint64_t entry) {
    const uint64_t tail = page_->touch_tail.load(std::memory_order_relaxed);
    page_->touches[tail % kTouchSlots].store(static_cast<uint32_t>(entry), std::memory_order_relaxed);
    page_->touch_tail.store(tail + 1, std::memory_order_release);  // publishes the touch to the daemon's acquire
  }

  // While some thread waits for a seal the daemon wakes bucket words. The order is seq_cst. So either the daemon sees
  // the waiter, or the waiter's next probe sees the object.
  void AddWaiter() { page_->waiting.fetch_add(1, std::memory_order_seq_cst); }
  void RemoveWaiter() { page_->waiting.fetch_sub(1, std::memory_order_relaxed); }

  PinPage& page() { return *page_; }
  const PinPage& page() const { return *page_; }

 private:
  // The slots at which a thread looks for a free one. These are hints: they may be in use, or of another page.
  struct Hints {
    static constexpr uint32_t kFreedMax = 32;
    std::array<uint32_t, kFreedMax> freed{};  // by this thread, the last on top; the lower ones where there are more
    uint32_t freed_count = 0;
    uint32_t next_look = 0;  // all slots are looked at in turn
    uint32_t high_takes = 0;
    uint32_t line = 0;  // first slot of the line that this thread prefers, + 1; 0: none yet
  };

  PinTable() = default;
  std::optional<uint32_t> Take(uint32_t value);
  std::optional<uint32_t> Search(uint32_t value, uint32_t mark);
  bool TryTake(uint32_t slot, uint32_t value) {
    std::atomic<uint32_t>& pin = page_->slots[slot];
    uint32_t free = 0;
    if (pin.load(std::memory_order_relaxed) != 0 ||
        !pin.compare_exchange_strong(free, value, std::memory_order_seq_cst))
      return false;
    RaiseMark(slot);
    return true;
  }
  // After the slot is written: either the daemon has seen the slot, or it reads up to this mark.
  void RaiseMark(uint32_t slot) {
    uint32_t mark = page_->slots_high_water.load(std::memory_order_seq_cst);
    while (mark <= slot && !page_->slots_high_water.compare_exchange_weak(mark, slot + 1, std::memory_order_seq_cst)) {}
  }
  void Free(uint32_t slot) {
    page_->slots[slot].store(0, std::memory_order_release);  // our last read comes before the daemon's reuse
    Hints& hints = hints_;
    if (hints.freed_count < Hints::kFreedMax) {
      hints.freed[hints.freed_count++] = slot;
    } else if (slot < hints.freed.back()) {
      hints.freed.back() = slot;
    }
  }

  static constinit thread_local Hints hints_;
  UniqueFd fd_;      // none when attached
  Mapping mapping_;  // empty when attached
  PinPage* page_ = nullptr;
};

// SlotReservation: a slot for one pin to come, taken while nothing has happened yet. Without it a create could end with
// an object that its writer cannot hold.
class SlotReservation {
 public:
  explicit SlotReservation(PinTable& pins) : pins_(pins), slot_(pins.Reserve().value_or(kNone)) {}
  ~SlotReservation() {
    if (slot_ != kNone) pins_.Unreserve(slot_);
  }
  SlotReservation(const SlotReservation&) = delete;
  SlotReservation& operator=(const SlotReservation&) = delete;

  explicit operator bool() const { return slot_ != kNone; }
  // The slot is the caller's from here on.
  uint32_t Pin(uint64_t entry) {
    const uint32_t slot = std::exchange(slot_, kNone);
    pins_.PinReserved(slot, entry);
    return slot;
  }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};  // no optional: gcc 12 takes its value for uninitialized

  PinTable& pins_;
  uint32_t slot_;
};

}  // namespace raylet::client
