// RecoveredPages: pages of small objects that an earlier daemon has left. Its slabs are unknown, so each page has a map
// of its pieces of 64 bytes: those in use, and those where an object begins. New small objects fill the gaps.
// Pure. The Arena owns it; loop thread only.
// Always holds: objects do not overlap. An object that lies across pages was there from the start.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>

#include "store/page_runs.h"

namespace raylet::store {

class RecoveredPages {
 public:
  // The pieces of [offset, offset + bytes) are one object's. False where some are in use.
  bool Adopt(uint64_t offset, uint64_t bytes);
  // Call once all are adopted: from here on gaps may be used.
  void OfferGaps();

  // The offset of a gap for an object of at most a page. Nothing when no gap is long enough.
  std::optional<uint64_t> Take(uint64_t bytes);
  void Free(uint64_t offset);
  bool Has(uint64_t offset) const { return pages_.contains(offset / kPageBytes); }
  uint64_t BytesAt(uint64_t offset) const;  // of the object that begins there
  bool Empty(uint64_t page) const { return pages_.at(page).used == 0; }
  void Forget(uint64_t page);  // an empty page

 private:
  static constexpr uint64_t kPieceBytes = 64;
  static constexpr uint64_t kPieces = kPageBytes / kPieceBytes;
  struct Page {
    uint64_t used = 0, begins = 0;  // one bit for each piece
    uint8_t gap = 0;                // pieces of the longest gap, where it is offered
  };
  static int LongestGap(uint64_t used);
  void Offer(uint64_t number, Page& page);

  std::unordered_map<uint64_t, Page> pages_;            // by number
  std::array<std::set<uint64_t>, kPieces + 1> by_gap_;  // the numbers of pages with a gap, by its length
};
static_assert(kPageBytes / 64 == 64);

}  // namespace raylet::store
