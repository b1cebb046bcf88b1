// ObjectTable: every object of the store: its entry, its memory, its place in the orders of eviction and spilling, and
// the ledger that adds up. ObjectStore, RoomMaker, Spiller and Recovery share it. Loop thread only.
// Always holds: an object's state in the index, the counters and the lists change together, in one Transaction. Memory
// is freed only when a look at all pins, after the object became invisible, saw none of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "fbs/segment_layout.h"
#include "store/arena.h"
#include "store/client_quotas.h"
#include "store/client_table.h"
#include "store/compactor.h"
#include "store/entry_table.h"
#include "store/event_log.h"
#include "store/eviction_policy.h"
#include "store/index_memory.h"
#include "store/object_index.h"
#include "store/pin_ledger.h"
#include "store/spill_order.h"
#include "store/state_counters.h"
#include "store/transaction.h"

namespace raylet::store {

// The callers of the store, which a change of an object concerns. Each may be empty.
struct TableHooks {
  // An entry's object is sealed, or a sealed one becomes invisible.
  std::function<void(uint32_t entry, bool sealed)> on_sealed_or_gone;
  // Gives runs of the arena back that nobody uses yet, when there is no room. True if it gave any.
  std::function<bool()> on_no_room;
  // A spilled object has gone, and `word` is its place on disk; or one that is in memory, and `word` is 0.
  std::function<void(uint32_t entry, uint64_t word)> on_freed;
  // A client has released the object, or used it.
  std::function<void(uint32_t entry)> on_released;
  // The spilled bytes and the last failure of spilling, for a create that finds no room.
  std::function<std::string()> spilling_text;
};

class ObjectTable {
 public:
  using Client = ClientTable::Client;

  // As for ObjectStore.
  ObjectTable(uint64_t capacity_bytes, Arena& arena, IndexHeader* index, const Clock& clock, IndexFile file);
  ObjectTable(const ObjectTable&) = delete;
  ObjectTable& operator=(const ObjectTable&) = delete;

  Transaction Begin() { return Transaction(index.header().counters, arena); }
  IndexCounters& counters() { return index.header().counters; }
  const Clock& clock() const { return clock_; }
  uint64_t NowMs() const;
  uint64_t BytesOf(uint32_t entry) const { return index.FieldsOf(entry).bytes(); }
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t free_bytes() const { return capacity_bytes - used_bytes_; }
  // While objects are spilled, creates leave so much free, so that a get finds room though the disk is full: the
  // largest of them, at most an eighth of the capacity. A create that needs almost all of the capacity leaves nothing.
  uint64_t ReserveBesides(uint64_t need_bytes) const {
    return need_bytes <= capacity_bytes - capacity_bytes / kReserveShare ? reserve_bytes_ : 0;
  }

  // A new unsealed object at `offset`. There is a free entry.
  uint32_t Insert(const ObjectId& id, const ObjectIndex::Fields& fields, uint32_t owner);
  // An object of an earlier daemon, whose entry is in the index already.
  void Adopt(uint32_t entry);
  // Counts the object in another state. The caller changes its entry.
  void Move(uint32_t entry, EntryState from, EntryState to);
  void Sealed(uint32_t entry);  // gives it its place in the orders
  void Kill(uint32_t entry);    // sealed or deleted -> dying; spilled -> gone
  // A sealed object is deleted once nobody holds it; a spilled one goes now.
  void DeleteAtLastRelease(uint32_t entry);
  void Free(uint32_t entry);  // unsealed or dying -> gone
  // Unsealed, and lost with its writer: its memory is free once nobody pins it.
  void Lose(uint32_t entry);
  // A sealed object that nobody pins has its bytes at `word` on disk now. Frees its memory.
  void ToDisk(uint32_t entry, uint64_t word);
  // Bytes for a spilled object that is being read, counted until it is there, or the read has failed.
  void CountRestoring(uint64_t bytes, bool add);
  // The bytes of a spilled object are at `offset` now.
  void FromDisk(uint32_t entry, uint64_t offset);

  void HandOver(uint32_t entry, uint32_t owner);
  bool GrowIndex();
  // Frees dying and deleted objects that nobody pins any more; true if it freed any. It reads all pins, so a
  // delete does so only when the objects deleted since the last time are worth that.
  bool SweepDying();
  void SweepWhenDue();
  bool HasDying() const { return !dying_.empty() || compactor.HasOldPlaces(); }
  void Released(uint32_t entry);
  void ReadAllTouches();
  void ReadTouches(uint32_t client);

  // The parts. Those who share the table change what they are about.
  const uint64_t capacity_bytes;
  Arena& arena;
  IndexMemory index_memory;
  ObjectIndex index;
  PinLedger pins;
  EntryTable notes;  // of index's entries
  EvictionPolicy policy;
  SpillOrder spill_order;
  ClientQuotas quotas;  // stands before policy where entries come, go and are released
  Compactor compactor;
  ClientTable clients;
  EventLog events;
  TableHooks hooks;

 private:
  static constexpr uint64_t kReserveShare = 8;
  friend class Recovery;  // makes the lists anew of what another daemon has left

  bool NamesObjects(uint32_t entry) const;  // its value has references
  void Account(EntryState state, uint64_t bytes, bool add) { Count(counters(), state, bytes, add); }
  void FreeSpilled(uint32_t entry);
  void LeaveOwner(uint32_t entry);

  const Clock& clock_;
  StateList dying_;           // and those that are deleted, also while they are held
  uint64_t sweep_worth_ = 0;  // in slots read: what the objects that died since the last sweep may cost
  uint64_t reserve_bytes_ = 0;
  uint64_t used_bytes_ = 0;  // logical; == sealed + unsealed + dying + restoring bytes
};

}  // namespace raylet::store
