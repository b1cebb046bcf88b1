// PinTable: this process's pin page, which it and the daemon share: one slot for each object held. Owned by a
// StoreSession; any thread. A slot that is not zero keeps the entry it names from being freed. Nothing here needs
// repair when the process is killed: the daemon drops the page with the socket.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

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
  std::optional<uint32_t> Pin(uint64_t entry);
  // Tells the daemon too that the entry was used until now.
  void Unpin(uint32_t slot) {
    std::atomic<uint32_t>& pin = page_->slots[slot];
    Touch(pin.load(std::memory_order_relaxed) - 1);
    pin.store(0, std::memory_order_release);  // our last read comes before the daemon's reuse
    if (slot < free_hint_) free_hint_ = slot;
  }
  // Tells the daemon that `entry` was used, for its eviction order. A race of two threads may lose touches.
  void Touch(uint64_t entry) {
    const uint64_t tail = page_->touch_tail.load(std::memory_order_relaxed);
    page_->touches[tail % kTouchSlots].store(static_cast<uint32_t>(entry), std::memory_order_relaxed);
    page_->touch_tail.store(tail + 1, std::memory_order_release);  // publishes the touch to the daemon's acquire
  }

  // While some thread waits for a seal the daemon wakes bucket words; seq_cst, so that either the daemon sees the
  // waiter or the waiter's next probe sees the object.
  void AddWaiter() { page_->waiting.fetch_add(1, std::memory_order_seq_cst); }
  void RemoveWaiter() { page_->waiting.fetch_sub(1, std::memory_order_relaxed); }

  const PinPage& page() const { return *page_; }

 private:
  PinTable() = default;
  // Where this thread looks for a free slot first: the lowest that it freed. Never simply the last, which would creep
  // upwards and give the daemon ever more to scan.
  static constinit thread_local uint32_t free_hint_;
  UniqueFd fd_;      // none when attached
  Mapping mapping_;  // empty when attached
  PinPage* page_ = nullptr;
};

}  // namespace raylet::client
