// SpillOrder: the objects that may be spilled, least recently released first. Pure. The ObjectTable owns it; loop
// thread only. Always holds: an entry is in here iff its object is sealed and owned, is not deleted, names no other
// objects, and nobody writes it to disk. A raylet must know at once which objects a value names when its owner ends.
// Where nothing is evicted (ClientQuotas::SpillAll), objects without an owner are in here, too.
#pragma once

#include <cstdint>

#include "store/entry_table.h"
#include "store/object_index.h"

namespace raylet::store {

class SpillOrder {
 public:
  // Both outlive this.
  SpillOrder(EntryTable& table, const ObjectIndex& index) : table_(table), index_(index) {}

  void Add(uint32_t entry) {
    table_[entry].spillable = true;
    bytes_ += index_.FieldsOf(entry).bytes();
    order_.Append(table_, entry);
  }
  // A late word of an object that has gone, or is not in here, does nothing. Nor does Remove of such a one.
  void Released(uint32_t entry) {
    if (!table_[entry].spillable) return;
    order_.Remove(table_, entry);
    order_.Append(table_, entry);
  }
  void Remove(uint32_t entry) {
    if (!table_[entry].spillable) return;
    table_[entry].spillable = false;
    bytes_ -= index_.FieldsOf(entry).bytes();
    order_.Remove(table_, entry);
  }
  uint32_t Oldest() const { return order_.first(); }  // kNoEntry when there is none
  uint64_t size() const { return order_.size(); }
  uint64_t bytes() const { return bytes_; }  // of all of them

 private:
  EntryTable& table_;
  const ObjectIndex& index_;
  StateList order_;
  uint64_t bytes_ = 0;
};

}  // namespace raylet::store
