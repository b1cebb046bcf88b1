// EvictionPolicy: the order of eviction, least recently released first. Pure; loop thread only.
// Always holds: an entry is in here iff its object is sealed and not owned.
#pragma once

#include <cstdint>

#include "store/entry_table.h"

namespace raylet::store {

class EvictionPolicy {
 public:
  explicit EvictionPolicy(EntryTable& table) : table_(table) {}  // outlives this

  void Add(uint32_t entry) {
    table_[entry].evictable = true;
    order_.Append(table_, entry);
  }
  // It was released just now. A late word of an object that has gone, or is not in here, does nothing.
  void Released(uint32_t entry) {
    if (!table_[entry].evictable) return;
    order_.Remove(table_, entry);
    order_.Append(table_, entry);
  }
  void Remove(uint32_t entry) {
    if (!table_[entry].evictable) return;
    table_[entry].evictable = false;
    order_.Remove(table_, entry);
  }
  uint32_t Oldest() const { return order_.first(); }  // kNoEntry when there is none
  uint64_t size() const { return order_.size(); }

 private:
  EntryTable& table_;
  StateList order_;
};

}  // namespace raylet::store
