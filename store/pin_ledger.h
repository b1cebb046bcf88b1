// PinLedger: every client's pin page: which entries somebody pins, which were used, who waits. The
// ObjectStore owns it; loop thread only. Other processes write the pages at any moment, and may
// write nonsense.
// Always holds: numbers that name no entry are ignored; of a page, at most all of its slots are
// read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fbs/segment_layout.h"

namespace raylet::store {

class PinLedger {
 public:
  explicit PinLedger(uint64_t entry_count);
  void GrowTo(uint64_t entry_count);

  // `page` outlives the client here.
  void AddClient(uint32_t client, PinPage* page);
  void RemoveClient(uint32_t client);

  // Reads the slots of all clients now. An entry that was made dying before (with a full fence),
  // and that no slot names now, is never pinned again. Lowers the marks of pages that are empty from
  // the middle on.
  void Scan();
  // A hold of the daemon's own, which counts as a pin from now on, until it ends and the next Scan.
  void Hold(uint32_t entry);
  void Unhold(uint32_t entry);
  // As of the last Scan.
  bool Pinned(uint32_t entry) const { return (marks_[entry / 64] >> entry % 64 & 1) != 0; }
  bool PinnedByClient(uint32_t entry) const { return Pinned(entry) && !only_held_.contains(entry); }
  const std::vector<uint32_t>& pinned() const { return pinned_; }  // each once
  // The slots that the last Scan read. A page counts as some more.
  uint64_t scanned_slots() const { return scanned_slots_; }

  // Calls `released` with each entry released or used since the last call, in each client's order.
  // Knows of the last kTouchSlots of each client. The second form is about one client alone.
  void ReadTouches(const std::function<void(uint32_t entry)>& released);
  void ReadTouches(uint32_t client, const std::function<void(uint32_t entry)>& released);
  // Calls `pinned` with each entry that a slot of the client names now.
  void ReadPins(uint32_t client, const std::function<void(uint32_t entry)>& pinned) const;
  // False only if no client has threads that wait for a seal. Looks at few pages: among many clients
  // a vain wake-up costs less than all those looks.
  bool MayAnyoneWait() const;

 private:
  struct Page {
    PinPage* page = nullptr;
    uint64_t touches_seen = 0;
  };

  void Mark(uint32_t entry);
  void LowerMark(PinPage& page, uint32_t mark, uint32_t used);
  void ReadTouches(Page& page, const std::function<void(uint32_t entry)>& released) const;

  uint64_t entry_count_;
  std::map<uint32_t, Page> pages_;  // by client
  std::vector<uint64_t> marks_;     // one bit for each entry: set iff it is in pinned_
  std::vector<uint32_t> pinned_;
  std::unordered_map<uint32_t, uint32_t> held_;  // the daemon's own holds of each entry
  std::unordered_set<uint32_t> only_held_;       // as of the last Scan: those of held_ that no client pins
  uint64_t scanned_slots_ = 0;
};

}  // namespace raylet::store
