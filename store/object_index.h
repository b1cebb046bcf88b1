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
  // `header` is a fresh index (InitIndexSegment), or one that another daemon has left; it outlives this. Memory lies
  // behind its first `entries` entries and heads.
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
  // A sealed object's bytes lie at `offset` too. A reader that pins it from now on finds them there; a
  // full fence makes earlier pins visible after it.
  void Move(uint32_t entry, uint64_t offset);
  void PrepareSeal(uint32_t entry, bool owned, uint64_t now_ms);  // the last changes of its fields
  // As MarkDying, but the object stays in its chain, and MarkHeld makes it sealed again.
  void MarkDeleted(uint32_t entry);
  void MarkHeld(uint32_t entry);
  // A sealed object that is to leave the arena: as MarkDeleted, and MarkHeld makes it sealed again. Once nobody pins
  // it, SetPlace says where its bytes are.
  void MarkSpilled(uint32_t entry);
  void SetPlace(uint32_t entry, uint64_t offset_or_word);
  void SetDeleted(uint32_t entry);
  bool IsDeleted(uint32_t entry) const {
    return (At(entry).times_and_flags.load(std::memory_order_relaxed) & kEntryDeletedFlag) != 0;
  }
  void Remove(uint32_t entry);

  // The unsealed, sealed or deleted object of this id.
  std::optional<uint32_t> Find(const ObjectId& id) const { return chains_.Find(id); }
  // Brings what finds an id into the cache, as long as other work is done meanwhile.
  void Prefetch(const ObjectId& id) const { chains_.Prefetch(IndexHash(id)); }
  // The same for the object of an entry. A number that names no entry does nothing.
  void PrefetchChainOf(uint32_t entry) const {
    if (entry < bound_) Prefetch(IdOf(entry));
  }
  EntryState StateOf(uint32_t entry) const { return raylet::StateOf(At(entry).word.load(std::memory_order_relaxed)); }
  ObjectId IdOf(uint32_t entry) const { return IndexChains::IdOf(At(entry)); }
  Fields FieldsOf(uint32_t entry) const;
  // The object goes to that client's heir, or is deleted, when its socket closes. 0: nobody owns it.
  uint32_t OwnerOf(uint32_t entry) const {
    return header_->owners[static_cast<std::ptrdiff_t>(entry)].load(std::memory_order_relaxed);
  }
  void SetOwner(uint32_t entry, uint32_t owner) {
    header_->owners[static_cast<std::ptrdiff_t>(entry)].store(owner, std::memory_order_relaxed);
  }

  // After the end of a daemon in the middle of a change (IndexChains::Repair). Ends what it had begun to remove, and
  // counts the entries. False where this is no index of ours.
  bool Repair();

  bool HasFree() const { return first_free_ != kNoLink || bound_ < entries_; }
  void GrowTo(uint64_t entries) { entries_ = entries; }  // memory lies behind that many now
  uint64_t entries() const { return entries_; }
  uint32_t bound() const { return bound_; }  // entries from here on were never used
  uint32_t used() const { return used_; }
  IndexHeader& header() { return *header_; }

 private:
  IndexEntry& At(uint32_t entry) const { return header_->entries[static_cast<std::ptrdiff_t>(entry)]; }
  void SetFlag(uint32_t entry, uint64_t flag, bool set);
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
