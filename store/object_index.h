// ObjectIndex: the writer of the shared index (fbs/segment_layout.h). Loop thread only; readers are
// other processes.
// Always holds: entries never move. The table uses open addressing with linear probing and is at
// most half full.
#pragma once

#include <cstdint>
#include <optional>

#include "fbs/ids.h"
#include "fbs/segment_layout.h"

namespace raylet::store {

class ObjectIndex {
 public:
  // `header` is a fresh index (InitIndexSegment) that outlives this.
  explicit ObjectIndex(IndexHeader* header);

  struct Fields {
    uint64_t offset = 0, data_bytes = 0, metadata_bytes = 0;
    uint32_t creator = 0;
    bool owned = false;
    uint64_t created_ms = 0;
  };
  // The number of a new unsealed entry, or nothing when the table is half full. The index must not
  // hold the id yet.
  std::optional<uint32_t> Insert(const ObjectId& id, const Fields& fields);
  void MarkSealed(uint32_t entry);  // publishes the fields to readers and bumps the bucket's futex word
  void MarkDying(uint32_t entry);  // no new pin succeeds from here on; a full fence makes earlier pins visible after it
  void SetOwned(uint32_t entry, bool owned);
  void Remove(uint32_t entry);
  uint32_t used() const { return used_; }
  IndexHeader& header() { return *header_; }

 private:
  IndexEntry& At(uint32_t entry) { return header_->entries[static_cast<std::ptrdiff_t>(entry)]; }
  void Change(uint32_t entry, EntryState state, std::memory_order order);

  IndexHeader* header_;
  uint32_t mask_;
  uint32_t used_ = 0;
};

}  // namespace raylet::store
