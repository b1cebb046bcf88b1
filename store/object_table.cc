#include "store/object_table.h"

#include <algorithm>

#include "base/check.h"
#include "fbs/stored_value.h"

namespace raylet::store {

namespace {

// What a delete may spend on reading slots, so that all deletes together pay for the sweeps: less than
// it costs otherwise. Slots below the last number are read at once, in about a microsecond.
constexpr uint64_t kSlotsForADelete = 64;
constexpr uint64_t kBytesForASlot = 4096;  // which somebody wrote
constexpr uint64_t kSlotsAnyTime = 1024;

}  // namespace

ObjectTable::ObjectTable(uint64_t capacity, Arena& of_arena, IndexHeader* header, const Clock& clock, IndexFile file)
    : capacity_bytes(capacity),
      arena(of_arena),
      index_memory(arena, *header, file),
      index(header, index_memory.entries()),
      pins(index.entries()),
      policy(notes, index, arena.map()),
      spill_order(notes, index),
      quotas(capacity, notes, index, policy, spill_order),
      compactor(arena, index, pins, notes),
      clients(*header),
      events(*header),
      clock_(clock) {
  notes.GrowTo(index.entries());
}

uint64_t ObjectTable::NowMs() const {
  const auto now = static_cast<uint64_t>(clock_.Now().time_since_epoch().count());
  const uint64_t started = const_cast<ObjectTable*>(this)->index.header().started_monotonic_ns;
  return now <= started ? 0 : (now - started) / 1000000;
}

uint32_t ObjectTable::Insert(const ObjectId& id, const ObjectIndex::Fields& fields, uint32_t owner) {
  const uint32_t entry = *index.Insert(id, fields);
  index.SetOwner(entry, owner);
  notes[entry] = {};
  Adopt(entry);
  Client& creator = clients.At(fields.creator);
  creator.unsealed.Append(notes, entry);
  Add(creator.row->unsealed_bytes, fields.bytes());
  return entry;
}

void ObjectTable::Adopt(uint32_t entry) {
  const ObjectIndex::Fields object = index.FieldsOf(entry);
  Account(index.StateOf(entry), object.bytes(), true);
  if (IsOnDisk(object.offset)) {
    reserve_bytes_ = std::min(std::max(reserve_bytes_, object.bytes()), capacity_bytes / kReserveShare);
  } else {
    arena.map().Add(notes, entry, object.offset);
    used_bytes_ += object.bytes();
  }
  if (Client* const owner = clients.Find(index.OwnerOf(entry))) {
    owner->owned.Append(notes, entry);
    Add(owner->row->owned_bytes, object.bytes());
  } else {
    index.SetOwner(entry, 0);
  }
}

void ObjectTable::Move(uint32_t entry, EntryState from, EntryState to) {
  Account(from, BytesOf(entry), false);
  Account(to, BytesOf(entry), true);
}

void ObjectTable::Sealed(uint32_t entry) {
  if (notes[entry].deleted)
    dying_.Append(notes, entry);
  else if (index.OwnerOf(entry) == 0)
    quotas.Add(entry);
  else if (!NamesObjects(entry))
    spill_order.Add(entry);
}

bool ObjectTable::NamesObjects(uint32_t entry) const {
  const ObjectIndex::Fields object = index.FieldsOf(entry);
  if (object.metadata_bytes == 0 || IsOnDisk(object.offset)) return false;
  const auto* const metadata =
      reinterpret_cast<const char*>(arena.data()) + MetadataOffset(object.offset, object.data_bytes);
  return raylet::NamesObjects({metadata, object.metadata_bytes});
}

void ObjectTable::Kill(uint32_t entry) {
  if (index.StateOf(entry) == EntryState::kSpilled) return FreeSpilled(entry);
  const uint64_t bytes = BytesOf(entry);
  Move(entry, index.StateOf(entry), EntryState::kDying);
  quotas.Remove(entry);
  spill_order.Remove(entry);
  index.MarkDying(entry);
  if (!notes[entry].deleted) dying_.Append(notes, entry);
  notes[entry].deleted = false;
  sweep_worth_ += kSlotsForADelete + bytes / kBytesForASlot;
  if (hooks.on_sealed_or_gone) hooks.on_sealed_or_gone(entry, false);
}

void ObjectTable::DeleteAtLastRelease(uint32_t entry) {
  if (index.StateOf(entry) == EntryState::kSpilled) return FreeSpilled(entry);
  notes[entry].deleted = true;
  index.SetDeleted(entry);
  if (index.StateOf(entry) == EntryState::kUnsealed) return;  // it is among the dying once it is sealed
  quotas.Remove(entry);
  spill_order.Remove(entry);
  dying_.Append(notes, entry);
  sweep_worth_ += kSlotsForADelete + BytesOf(entry) / kBytesForASlot;
  Move(entry, EntryState::kSealed, EntryState::kDeleted);
  index.MarkDeleted(entry);
}

void ObjectTable::LeaveOwner(uint32_t entry) {
  if (Client* owner = clients.Find(index.OwnerOf(entry))) {
    owner->owned.Remove(notes, entry);
    Subtract(owner->row->owned_bytes, BytesOf(entry));
  }
  index.SetOwner(entry, 0);  // of the next object that this entry has
}

void ObjectTable::Free(uint32_t entry) {
  const ObjectIndex::Fields object = index.FieldsOf(entry);
  const EntryState state = index.StateOf(entry);
  Account(state, object.bytes(), false);
  if (state == EntryState::kDeleted && hooks.on_sealed_or_gone) hooks.on_sealed_or_gone(entry, false);
  if (state == EntryState::kUnsealed) {
    Client& creator = clients.At(object.creator);
    creator.unsealed.Remove(notes, entry);
    quotas.Aborted(entry);
    Subtract(creator.row->unsealed_bytes, object.bytes());
  } else {
    dying_.Remove(notes, entry);
  }
  LeaveOwner(entry);
  used_bytes_ -= object.bytes();
  if (hooks.on_freed) hooks.on_freed(entry, 0);
  index.Remove(entry);
  arena.map().Remove(notes, entry, object.offset);
  arena.Free(object.offset);
  compactor.Forget(entry);
}

// Nobody pins it, and it has no memory.
void ObjectTable::FreeSpilled(uint32_t entry) {
  const uint64_t word = index.FieldsOf(entry).offset;
  if (hooks.on_sealed_or_gone) hooks.on_sealed_or_gone(entry, false);
  Account(EntryState::kSpilled, BytesOf(entry), false);
  LeaveOwner(entry);
  index.MarkDying(entry);
  index.Remove(entry);
  if (counters().spilled_count.load(std::memory_order_relaxed) == 0) reserve_bytes_ = 0;
  if (hooks.on_freed) hooks.on_freed(entry, word);
}

void ObjectTable::Lose(uint32_t entry) {
  Client& writer = clients.At(index.FieldsOf(entry).creator);
  writer.unsealed.Remove(notes, entry);
  quotas.Aborted(entry);
  Subtract(writer.row->unsealed_bytes, BytesOf(entry));
  notes[entry].deleted = notes[entry].orphan = false;
  Move(entry, EntryState::kUnsealed, EntryState::kDying);
  index.MarkDying(entry);
  dying_.Append(notes, entry);
}

void ObjectTable::ToDisk(uint32_t entry, uint64_t word) {
  const ObjectIndex::Fields object = index.FieldsOf(entry);
  Move(entry, EntryState::kSealed, EntryState::kSpilled);
  compactor.Forget(entry);
  index.SetPlace(entry, word);
  arena.map().Remove(notes, entry, object.offset);
  arena.Free(object.offset);
  used_bytes_ -= object.bytes();
  reserve_bytes_ = std::min(std::max(reserve_bytes_, object.bytes()), capacity_bytes / kReserveShare);
}

void ObjectTable::CountRestoring(uint64_t bytes, bool add) {
  used_bytes_ = add ? used_bytes_ + bytes : used_bytes_ - bytes;
  counters().restoring_bytes.store(counters().restoring_bytes.load(std::memory_order_relaxed) + (add ? bytes : -bytes),
                                   std::memory_order_relaxed);
}

void ObjectTable::FromDisk(uint32_t entry, uint64_t offset) {
  Move(entry, EntryState::kSpilled, EntryState::kSealed);
  used_bytes_ += BytesOf(entry);
  index.SetPlace(entry, offset);
  arena.map().Add(notes, entry, offset);
  index.MarkSealed(entry);
  spill_order.Add(entry);
  if (counters().spilled_count.load(std::memory_order_relaxed) == 0) reserve_bytes_ = 0;
}

void ObjectTable::HandOver(uint32_t entry, uint32_t owner) {
  const uint32_t now = index.OwnerOf(entry);
  if (now == 0 || now == owner) return;  // objects without an owner stay so
  const uint64_t bytes = BytesOf(entry);
  Client& from = clients.At(now);
  from.owned.Remove(notes, entry);
  Subtract(from.row->owned_bytes, bytes);
  index.SetOwner(entry, clients.Has(owner) ? owner : 0);
  if (Client* to = clients.Find(owner)) {
    to->owned.Append(notes, entry);
    Add(to->row->owned_bytes, bytes);
  } else if (index.StateOf(entry) == EntryState::kUnsealed) {
    notes[entry].orphan = true;
  } else if (index.StateOf(entry) != EntryState::kDying) {
    Kill(entry);
  }
}

bool ObjectTable::GrowIndex() {
  if (!index_memory.Grow(clock_.Now()) && !(hooks.on_no_room && hooks.on_no_room() && index_memory.Grow(clock_.Now())))
    return false;
  index.GrowTo(index_memory.entries());
  pins.GrowTo(index_memory.entries());
  notes.GrowTo(index_memory.entries());
  return true;
}

bool ObjectTable::SweepDying() {
  if (!HasDying()) return false;
  sweep_worth_ = 0;
  const Transaction transaction = Begin();
  pins.Scan();
  const bool freed_old = compactor.Sweep();
  const uint64_t before = dying_.size();
  // A deleted one that was held, and is no longer: no new pin succeeds from here on.
  bool released = false;
  for (uint32_t entry = dying_.first(); entry != kNoEntry; entry = StateList::After(notes, entry)) {
    if (index.StateOf(entry) != EntryState::kSealed || pins.PinnedByClient(entry)) continue;
    Move(entry, EntryState::kSealed, EntryState::kDeleted);
    index.MarkDeleted(entry);
    released = true;
  }
  if (released) pins.Scan();
  for (uint32_t entry = dying_.first(); entry != kNoEntry;) {
    const uint32_t next = StateList::After(notes, entry);
    const EntryState state = index.StateOf(entry);
    if (state != EntryState::kSealed && !pins.Pinned(entry)) {
      Free(entry);
    } else if (state == EntryState::kDeleted && pins.PinnedByClient(entry)) {
      Move(entry, EntryState::kDeleted, EntryState::kSealed);
      index.MarkHeld(entry);
    } else if (state == EntryState::kDeleted) {
      Kill(entry);  // it is gone for clients, and its memory stays for the disk
    }
    entry = next;
  }
  return freed_old || dying_.size() < before;
}

void ObjectTable::SweepWhenDue() {
  if (sweep_worth_ + kSlotsAnyTime >= pins.scanned_slots()) SweepDying();
}

void ObjectTable::Released(uint32_t entry) {
  quotas.Released(entry);
  spill_order.Released(entry);
  if (hooks.on_released) hooks.on_released(entry);
}

void ObjectTable::ReadAllTouches() {
  pins.ReadTouches([this](uint32_t entry) { Released(entry); });
}

void ObjectTable::ReadTouches(uint32_t client) {
  pins.ReadTouches(client, [this](uint32_t entry) { Released(entry); });
}

}  // namespace raylet::store
