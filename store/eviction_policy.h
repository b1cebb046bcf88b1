// EvictionPolicy: everybody's order of eviction, least recently released first. Pure; loop thread only.
// Always holds: an entry is in here iff its object is sealed, not owned, and under no quota. The map of
// the arena knows all of them as evictable.
#pragma once

#include <cstdint>

#include "store/arena_map.h"
#include "store/entry_table.h"
#include "store/object_index.h"

namespace raylet::store {

class EvictionPolicy {
 public:
  // All of them outlive this.
  EvictionPolicy(EntryTable& table, const ObjectIndex& index, ArenaMap& map)
      : table_(table), index_(index), map_(map) {}

  static bool Has(const EntryNote& note) { return note.evictable && !note.under_quota; }

  void Add(uint32_t entry) {
    const ObjectIndex::Fields object = index_.FieldsOf(entry);
    table_[entry].evictable = true;
    bytes_ += object.bytes();
    map_.SetEvictable(object.offset, true);
    order_.Append(table_, entry);
  }
  // It was released just now. A late word of an object that has gone, or is not in here, does nothing.
  void Released(uint32_t entry) {
    if (!Has(table_[entry])) return;
    order_.Remove(table_, entry);
    order_.Append(table_, entry);
  }
  void Remove(uint32_t entry) {
    if (!Has(table_[entry])) return;
    const ObjectIndex::Fields object = index_.FieldsOf(entry);
    table_[entry].evictable = false;
    bytes_ -= object.bytes();
    map_.SetEvictable(object.offset, false);
    order_.Remove(table_, entry);
  }
  uint32_t Oldest() const { return order_.first(); }  // kNoEntry when there is none
  uint64_t size() const { return order_.size(); }
  uint64_t bytes() const { return bytes_; }  // of all of them

 private:
  EntryTable& table_;
  const ObjectIndex& index_;
  ArenaMap& map_;
  StateList order_;
  uint64_t bytes_ = 0;
};

}  // namespace raylet::store
