// ObjectIndex: the writer of the shared index (fbs/segment_layout.h). Loop thread only; readers are
// other processes.
// Always holds: entries never move, and a number that was given up is used again first. Unsealed and
// sealed objects are in a chain, and no two of them have one id.
#pragma once

#include <cstdint>
#include <optional>

#include "fbs/ids.h"
#include "fbs/segment_layout.h"
#include "store/index_chains.h"

namespace raylet::store {

class ObjectIndex {
 public:
  // `header` is a fresh index (InitIndexSegment) that outlives this. Memory lies behind its first
  // `entries` entries and heads.
  ObjectIndex(IndexHeader* header, uint64_t entries, uint32_t chains_at_first = kChainsAtFirst);

  struct Fields {
    uint64_t offset = 0, data_bytes = 0;
    uint32_t metadata_bytes = 0;
    uint32_t creator = 0;
    bool owned = false;
    uint64_t created_ms = 0;
    uint64_t bytes() const { return data_bytes + metadata_bytes; }
  };
  // The number of a new unsealed entry, or nothing when no entry is free. No other object has the id.
  std::optional<uint32_t> Insert(const ObjectId& id, const Fields& fields);
  void MarkSealed(uint32_t entry);  // publishes the fields to readers and bumps the bucket's futex word
  // No new pin succeeds from here on; a full fence makes earlier pins visible after it. The id may be
  // used again.
  void MarkDying(uint32_t entry);
  void SetOwned(uint32_t entry, bool owned);
  void Remove(uint32_t entry);

  // The unsealed or sealed object of this id.
  std::optional<uint32_t> Find(const ObjectId& id) const { return chains_.Find(id); }
  EntryState StateOf(uint32_t entry) const { return raylet::StateOf(At(entry).word.load(std::memory_order_relaxed)); }
  ObjectId IdOf(uint32_t entry) const { return IndexChains::IdOf(At(entry)); }
  Fields FieldsOf(uint32_t entry) const;

  bool HasFree() const { return first_free_ != kNoLink || bound_ < entries_; }
  void GrowTo(uint64_t entries) { entries_ = entries; }  // memory lies behind that many now
  uint64_t entries() const { return entries_; }
  uint32_t bound() const { return bound_; }  // entries from here on were never used
  uint32_t used() const { return used_; }
  IndexHeader& header() { return *header_; }

 private:
  IndexEntry& At(uint32_t entry) const { return header_->entries[static_cast<std::ptrdiff_t>(entry)]; }
  void Change(uint32_t entry, EntryState state, std::memory_order order);
  uint32_t TakeNumber();

  IndexHeader* header_;
  IndexChains chains_;
  uint64_t entries_;
  uint32_t bound_ = 0;
  uint32_t first_free_ = kNoLink;  // a list through the links of the empty entries
  uint32_t used_ = 0;
};

}  // namespace raylet::store
