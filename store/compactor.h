// Compactor: makes long runs of objects that lie between free pages, by moving objects that nobody
// pins. The ObjectStore owns it; loop thread only.
// A move copies the bytes first, then changes the entry's offset, then its word, and fences. A reader
// pins, then reads the word again. So a reader that got the old place and keeps it has a pin that the
// scan after the fence sees. The old place is freed only when a scan since then saw no pin. At every
// moment the object is sealed and found, and its bytes are the same in both places.
// Always holds: only sealed objects with pages of their own move. One call moves at most
// kMovedBytesAtOnce.
#pragma once

#include <cstdint>
#include <vector>

#include "store/arena.h"
#include "store/entry_table.h"
#include "store/object_index.h"
#include "store/pin_ledger.h"

namespace raylet::store {

constexpr uint64_t kMovedBytesAtOnce = uint64_t{10} << 20;  // a turn of the loop stays under some 5 ms

class Compactor {
 public:
  // All of these outlive it.
  Compactor(Arena& arena, ObjectIndex& index, PinLedger& pins, EntryTable& notes);
  // The old places that an earlier daemon has left. Those of objects that are gone are dropped. Once, at the start.
  void Adopt();

  // Clears the window of the arena that takes the fewest bytes to move. True when a run of `run_bytes`
  // is free. Otherwise a later call may go on where this one stopped.
  bool MakeRun(uint64_t run_bytes);
  // Frees the old places of objects that nobody pins, as of the last scan. True if it freed any.
  bool Sweep();
  // The object has gone, and nobody pins it.
  void Forget(uint32_t entry);
  struct Place {
    uint32_t entry = 0;
    uint64_t offset = 0;
    uint32_t row = 0;  // of the index, so that a daemon started again knows of it
  };
  bool HasOldPlaces() const { return !old_places_.empty(); }
  const std::vector<Place>& old_places() const { return old_places_; }
  uint64_t moved_bytes() const { return moved_bytes_; }  // so far

 private:
  OldPlace& RowOf(uint32_t row) { return index_.header().old_places[static_cast<std::ptrdiff_t>(row)]; }
  bool Movable(uint64_t page, const ArenaMap::Extent& extent) const;
  bool Move(uint32_t entry);
  template <class Matches>
  bool FreeOldPlaces(const Matches& matches);

  Arena& arena_;
  ObjectIndex& index_;
  PinLedger& pins_;
  EntryTable& notes_;
  std::vector<Place> old_places_;    // of moved objects that somebody may have pinned there
  std::vector<uint32_t> free_rows_;  // of the index
  uint64_t moved_bytes_ = 0;
};

}  // namespace raylet::store
