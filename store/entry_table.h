// EntryTable: what the daemon alone notes about each entry of the index, by the entry's number, and
// lists of entries whose links lie in these notes. So no object costs an allocation of its own.
// EntryList: one such list, oldest first. Owned by the ObjectStore; loop thread only.
// Always holds: an entry is in at most one list of each kind.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"

namespace raylet::store {

constexpr uint32_t kNoEntry = ~uint32_t{0};

struct EntryLinks {
  uint32_t before = kNoEntry, after = kNoEntry;
};

// Sizes, state and owner stand in the index.
struct EntryNote {
  bool orphan : 1 = false;       // its owner went while another client writes it: deleted at its seal
  bool evictable : 1 = false;    // it is in the EvictionPolicy, or in the order of its client's quota
  bool spillable : 1 = false;    // it is in the SpillOrder
  bool under_quota : 1 = false;  // it counts in the quota of its creator
  bool deleted : 1 = false;      // it goes at its last release; once sealed, it is among the dying
  EntryLinks by_state{};         // written by its creator, evictable, spillable, or dying
  EntryLinks by_owner{};
  EntryLinks by_extent{};  // the objects of one extent of the arena (ArenaMap)
};
constexpr uint64_t kNoteBytesPerEntry = sizeof(EntryNote);
static_assert(kNoteBytesPerEntry == 28);

class EntryTable {
 public:
  EntryNote& operator[](uint32_t entry) { return pieces_[entry / kPiece][entry % kPiece]; }
  const EntryNote& operator[](uint32_t entry) const { return pieces_[entry / kPiece][entry % kPiece]; }
  // In pieces, so that growing copies nothing.
  void GrowTo(uint64_t entries) {
    while (pieces_.size() * kPiece < entries) pieces_.push_back(std::make_unique<EntryNote[]>(kPiece));
  }

 private:
  static constexpr uint64_t kPiece = 4096;
  std::vector<std::unique_ptr<EntryNote[]>> pieces_;
};

template <EntryLinks EntryNote::*kLinks>
class EntryList {
 public:
  bool empty() const { return first_ == kNoEntry; }
  uint32_t first() const { return first_; }  // kNoEntry when empty
  uint64_t size() const { return size_; }
  static uint32_t After(const EntryTable& table, uint32_t entry) { return (table[entry].*kLinks).after; }

  void Append(EntryTable& table, uint32_t entry) {
    table[entry].*kLinks = {.before = last_, .after = kNoEntry};
    (last_ == kNoEntry ? first_ : (table[last_].*kLinks).after) = entry;
    last_ = entry;
    ++size_;
  }
  void Remove(EntryTable& table, uint32_t entry) {
    RAYLET_CHECK(size_ > 0, "entry ", entry, " is in no list");
    const EntryLinks links = table[entry].*kLinks;
    (links.before == kNoEntry ? first_ : (table[links.before].*kLinks).after) = links.after;
    (links.after == kNoEntry ? last_ : (table[links.after].*kLinks).before) = links.before;
    --size_;
  }

 private:
  uint32_t first_ = kNoEntry, last_ = kNoEntry;
  uint64_t size_ = 0;
};

using StateList = EntryList<&EntryNote::by_state>;
using OwnerList = EntryList<&EntryNote::by_owner>;

}  // namespace raylet::store
