#include "store/object_store.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/check.h"
#include "base/counted.h"

namespace raylet::store {

ObjectStore::ObjectStore(uint64_t capacity_bytes, Arena& arena, IndexHeader* index, const Clock& clock, IndexFile file)
    : table_(capacity_bytes, arena, index, clock, file), room_(table_) {}

Result<uint32_t> ObjectStore::AddClient(int32_t pid, const std::string& name, PinPage* pins, uint32_t heir) {
  const Transaction transaction = table_.Begin();
  const auto number = table_.clients.Add(pid, name, heir, table_.NowMs());
  if (number) table_.pins.AddClient(*number, pins);
  return number;
}

Inheritance ObjectStore::RemoveClient(uint32_t number) {
  Client* client = table_.clients.Find(number);
  if (client == nullptr) return {};
  Inheritance inheritance{.heir = IsConnected(client->heir) ? client->heir : 0, .objects = {}};
  const Transaction transaction = table_.Begin();
  table_.ReadTouches(number);
  table_.pins.ReadPins(number, [this](uint32_t entry) { table_.Released(entry); });
  table_.events.ClientLeft(table_.NowMs(), number, *client->row);
  while (!client->unsealed.empty()) table_.Free(client->unsealed.first());
  table_.quotas.RemoveClient(number);
  KillMadeBy(number, client->deleted_at_end);  // first: nobody inherits these
  while (!client->owned.empty()) {
    const uint32_t entry = client->owned.first();
    const EntryState state = table_.index.StateOf(entry);
    if (IsThere(state) && inheritance.heir != 0) {
      table_.HandOver(entry, inheritance.heir);
      inheritance.objects.push_back(table_.index.IdOf(entry));
      continue;
    }
    client->owned.Remove(table_.notes, entry);
    table_.index.SetOwner(entry, 0);
    if (state == EntryState::kUnsealed) table_.notes[entry].orphan = true;  // another client still writes it
    if (IsThere(state) || state == EntryState::kDeleted) table_.Kill(entry);
  }
  EndWriting(number);
  table_.clients.Remove(number);
  table_.pins.RemoveClient(number);
  table_.SweepWhenDue();
  return inheritance;
}

void ObjectStore::EndWriting(uint32_t client) {
  const auto run = writing_.find(client);
  if (run == writing_.end()) return;
  const Transaction transaction = table_.Begin();
  table_.arena.Free(run->second);
  writing_.erase(run);
}

Result<uint64_t> ObjectStore::Create(uint32_t client_number, const ObjectId& id, const ObjectOptions& options,
                                     FullNumbers& full) {
  Client* client = table_.clients.Find(client_number);
  RAYLET_CHECK(client != nullptr, "create by unknown client ", client_number);
  Recheck(id);
  if (table_.index.Find(id))
    return Fail(ErrorCode::kAlreadyExists, StrCat("ObjectExists: object ", id.hex(), " is in the store already"));
  if (options.metadata_bytes > UINT32_MAX || options.data_bytes > table_.capacity_bytes ||
      options.metadata_bytes > table_.capacity_bytes - options.data_bytes)
    return Fail(ErrorCode::kTooLarge,
                StrCat("ObjectTooLarge: object ", id.hex(), " wants ", Counted(options.data_bytes, "byte"),
                       " of data and ", options.metadata_bytes, " of metadata, the store holds ", table_.capacity_bytes,
                       "; start plasma_store with a larger -m"));
  const uint32_t owner = !options.owned ? 0 : options.owner == 0 ? client_number : options.owner;
  if (owner != 0 && table_.clients.Find(owner) == nullptr)
    return Fail(ErrorCode::kNotFound, StrCat("owner ", owner, " of object ", id.hex(), " is not connected any more"));

  const uint64_t need = options.data_bytes + options.metadata_bytes;
  if (const auto fits = table_.quotas.CheckFits(client_number, options.evict_if_full ? need : 0); !fits)
    return Fail(fits.error());

  const Transaction transaction = table_.Begin();
  table_.ReadTouches(client_number);  // in order with its puts; those of the others come before an eviction
  if (options.evict_if_full && owner == 0) room_.MakeRoomInQuota(client_number, need);
  const auto offset = FindRun(options);
  if (!offset) {
    room_.FillFull(need, full);
    return Fail(ErrorCode::kFull, full.NoRoomFor(id, table_.capacity_bytes));
  }
  if (!room_.FindEntry(options.evict_if_full)) {
    if (!options.run) table_.arena.Free(*offset);
    room_.FillFull(need, full);
    return Fail(ErrorCode::kFull, StrCat("StoreFull: the store holds ", table_.index.used(), " objects, and has no ",
                                         kMemoryPerEntry, " bytes of memory for the entry of one more; ", full.Pinned(),
                                         "; delete some objects, or start plasma_store with a larger -m"));
  }
  const uint32_t entry = table_.Insert(id,
                                       {.offset = *offset,
                                        .data_bytes = options.data_bytes,
                                        .metadata_bytes = static_cast<uint32_t>(options.metadata_bytes),
                                        .creator = client_number,
                                        .owned = options.owned,
                                        .created_ms = table_.NowMs()},
                                       owner);
  if (owner == 0) table_.quotas.Created(client_number, entry);
  Add(table_.counters().creates, 1);
  Add(client->row->created_count, 1);
  Add(client->row->created_bytes, need);
  return *offset;
}

Result<void> ObjectStore::SetOptions(uint32_t client, const std::string& name, uint64_t quota_bytes) {
  if (quota_bytes != 0)
    RAYLET_RETURN_IF_ERROR(table_.quotas.Set(client, name.substr(0, sizeof(ClientRow::name) - 1), quota_bytes));
  const Transaction transaction = table_.Begin();
  table_.clients.Rename(client, name);
  return {};
}

std::string ObjectStore::DebugText() {
  table_.pins.Scan();
  const IndexCounters& counters = table_.counters();
  uint64_t pinned_bytes = 0;
  for (const uint32_t entry : table_.pins.pinned())
    if (table_.index.StateOf(entry) != EntryState::kEmpty) pinned_bytes += table_.BytesOf(entry);
  return StrCat(table_.quotas.Text([this](const std::function<void(uint32_t)>& each) {
    for (const uint32_t entry : table_.pins.pinned()) each(entry);
  }),
                "\nallocated bytes: ", table_.used_bytes(), "\nallocation limit: ", table_.capacity_bytes,
                "\npinned bytes: ", pinned_bytes, "\nnum evictions: ", counters.evictions.load(),
                "\nbytes evicted: ", counters.evicted_bytes.load());
}

std::optional<uint64_t> ObjectStore::FindRun(const ObjectOptions& options) {
  const uint64_t need = options.data_bytes + options.metadata_bytes, reserve = table_.ReserveBesides(need);
  if (options.run && need + reserve <= free_bytes()) return options.run;
  const auto offset = room_.FindRun(options.data_bytes, options.metadata_bytes, options.evict_if_full, reserve);
  if (!offset || !options.run) return offset;
  table_.arena.Free(*offset);  // only its bytes were missing
  return options.run;
}

Result<void> ObjectStore::Seal(uint32_t client_number, const ObjectId& id) {
  const auto entry = table_.index.Find(id);
  if (!entry) return Fail(ErrorCode::kNotFound, StrCat("seal: no object ", id.hex()));
  if (table_.index.StateOf(*entry) != EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState, StrCat("seal: object ", id.hex(), " is sealed already"));
  const ObjectIndex::Fields object = table_.index.FieldsOf(*entry);
  if (object.creator != client_number)
    return Fail(ErrorCode::kNotAllowed,
                StrCat("seal: object ", id.hex(), " is being written by client ", object.creator));
  const EntryNote& note = table_.notes[*entry];
  if (note.orphan) {
    const Transaction transaction = table_.Begin();
    table_.Free(*entry);
    return Fail(ErrorCode::kCancelled,
                StrCat("seal: the owner of object ", id.hex(), " has gone, and the object with it"));
  }
  {
    const Transaction transaction = table_.Begin();
    table_.ReadTouches(client_number);
    table_.Move(*entry, EntryState::kUnsealed, EntryState::kSealed);
    Client& client = table_.clients.At(client_number);
    client.unsealed.Remove(table_.notes, *entry);
    Subtract(client.row->unsealed_bytes, object.bytes());
    table_.index.PrepareSeal(*entry, table_.index.OwnerOf(*entry) != 0, table_.NowMs());
    table_.index.MarkSealed(*entry);
    table_.Sealed(*entry);
    Add(table_.counters().seals, 1);
  }
  if (table_.hooks.on_sealed_or_gone) table_.hooks.on_sealed_or_gone(*entry, true);
  if (on_sealed_) on_sealed_(id);
  return {};
}

Result<void> ObjectStore::Abort(uint32_t client_number, const ObjectId& id) {
  const auto entry = table_.index.Find(id);
  if (!entry) return Fail(ErrorCode::kNotFound, StrCat("abort: no object ", id.hex()));
  if (table_.index.StateOf(*entry) != EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState, StrCat("abort: object ", id.hex(), " is sealed; delete it"));
  if (const uint32_t creator = table_.index.FieldsOf(*entry).creator; creator != client_number)
    return Fail(ErrorCode::kNotAllowed, StrCat("abort: object ", id.hex(), " is being written by client ", creator));
  const Transaction transaction = table_.Begin();
  table_.Free(*entry);
  return {};
}

Result<void> ObjectStore::Delete(const ObjectId& id) { return std::move(Delete(std::span(&id, 1)).front()); }

std::vector<Result<void>> ObjectStore::Delete(std::span<const ObjectId> ids) {
  const Transaction transaction = table_.Begin();
  std::vector<Result<void>> outcomes;
  outcomes.reserve(ids.size());
  for (const ObjectId& id : ids) outcomes.push_back(KillSealed(id));
  table_.SweepWhenDue();
  return outcomes;
}

std::vector<Result<void>> ObjectStore::DeleteAtLastRelease(std::span<const ObjectId> ids) {
  const Transaction transaction = table_.Begin();
  std::vector<Result<void>> outcomes;
  outcomes.reserve(ids.size());
  for (const ObjectId& id : ids) {
    const auto entry = table_.index.Find(id);
    if (!entry) {
      outcomes.emplace_back(Fail(ErrorCode::kNotFound, StrCat("delete: no object ", id.hex())));
      continue;
    }
    outcomes.emplace_back();
    if (table_.notes[*entry].deleted) continue;
    Add(table_.counters().deletes, 1);
    table_.DeleteAtLastRelease(*entry);
  }
  table_.SweepWhenDue();
  return outcomes;
}

void ObjectStore::Recheck(const ObjectId& id) {
  const auto entry = table_.index.Find(id);
  if (entry && table_.notes[*entry].deleted && table_.index.StateOf(*entry) != EntryState::kUnsealed)
    table_.SweepDying();
}

Result<void> ObjectStore::DeleteMadeBy(uint32_t client, std::span<const ObjectId> ids) {
  if (Client* const lives = table_.clients.Find(client)) {
    if (lives->deleted_at_end.size() + ids.size() > kDeletesAtEndMax)
      return Fail(ErrorCode::kFull, StrCat("delete: ", lives->deleted_at_end.size(), " objects go with client ", client,
                                           " already, and the limit is ", kDeletesAtEndMax, "; end that client"));
    lives->deleted_at_end.insert(lives->deleted_at_end.end(), ids.begin(), ids.end());
    return {};
  }
  const Transaction transaction = table_.Begin();
  KillMadeBy(client, ids);
  table_.SweepWhenDue();
  return {};
}

void ObjectStore::KillMadeBy(uint32_t creator, std::span<const ObjectId> ids) {
  for (const ObjectId& id : ids) {
    const auto entry = table_.index.Find(id);
    if (entry && table_.index.StateOf(*entry) != EntryState::kUnsealed &&
        table_.index.FieldsOf(*entry).creator == creator)
      table_.Kill(*entry);
  }
}

Result<void> ObjectStore::KillSealed(const ObjectId& id) {
  const auto entry = table_.index.Find(id);
  if (!entry) return Fail(ErrorCode::kNotFound, StrCat("delete: no object ", id.hex()));
  if (table_.index.StateOf(*entry) == EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState,
                StrCat("delete: object ", id.hex(), " is not sealed; its creator may abort it"));
  table_.Kill(*entry);
  Add(table_.counters().deletes, 1);
  return {};
}

Result<void> ObjectStore::SetOwner(uint32_t client, std::span<const ObjectId> ids, uint32_t owner) {
  for (const ObjectId& id : ids) {
    const auto entry = table_.index.Find(id);
    if (!entry) continue;
    const uint32_t now = table_.index.OwnerOf(*entry);
    const bool writes =
        table_.index.StateOf(*entry) == EntryState::kUnsealed && table_.index.FieldsOf(*entry).creator == client;
    // Whoever asks again after a daemon's end has handed it over already.
    if (now != 0 && now != client && now != owner && !writes)
      return Fail(ErrorCode::kNotAllowed, StrCat("set owner: object ", id.hex(), " belongs to client ", now,
                                                 ", and only that client may hand it over"));
  }
  const Transaction transaction = table_.Begin();
  for (const ObjectId& id : ids)
    if (const auto entry = table_.index.Find(id)) table_.HandOver(*entry, owner == 0 ? client : owner);
  table_.SweepWhenDue();
  return {};
}

std::optional<ObjectIndex::Fields> ObjectStore::WrittenBy(uint32_t client, const ObjectId& id) const {
  const auto entry = table_.index.Find(id);
  if (!entry || table_.index.StateOf(*entry) != EntryState::kUnsealed) return std::nullopt;
  const ObjectIndex::Fields object = table_.index.FieldsOf(*entry);
  return object.creator == client ? std::optional(object) : std::nullopt;
}

bool ObjectStore::WritesOnlyOne(uint32_t client) { return table_.clients.At(client).unsealed.size() == 1; }

bool ObjectStore::IsSealed(const ObjectId& id) {
  Recheck(id);
  const auto entry = table_.index.Find(id);
  return entry && IsThere(table_.index.StateOf(*entry));
}

bool ObjectStore::IsSpilled(const ObjectId& id) const {
  const auto entry = table_.index.Find(id);
  return entry && table_.index.StateOf(*entry) == EntryState::kSpilled;
}

bool ObjectStore::IsLost(const ObjectId& id) const {
  const auto entry = table_.index.Find(id);
  return entry && table_.index.FieldsOf(*entry).offset == kLostWord;
}

void ObjectStore::NoteFull(uint32_t client, const ObjectId& id, const FullNumbers& numbers) {
  Add(table_.counters().full_failures, 1);
  table_.events.Full(table_.NowMs(), client, id, numbers, table_.clients);
}

uint64_t ObjectStore::Evict(uint64_t bytes) {
  const Transaction transaction = table_.Begin();
  return room_.EvictOldest({.bytes_min = bytes, .bytes = bytes}).bytes;
}

std::vector<uint32_t> ObjectStore::EntriesUsedBy(uint32_t client) const {
  std::vector<uint32_t> entries;
  table_.pins.ReadPins(client, [&](uint32_t entry) { entries.push_back(entry); });
  const auto writer = table_.clients.all().find(client);
  for (uint32_t entry = writer == table_.clients.all().end() ? kNoEntry : writer->second.unsealed.first();
       entry != kNoEntry;)
    entries.push_back(std::exchange(entry, StateList::After(table_.notes, entry)));
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  return entries;
}

}  // namespace raylet::store
