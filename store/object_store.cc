#include "store/object_store.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace raylet::store {

namespace {
void Add(std::atomic<uint64_t>& counter, uint64_t value) {
  // Only this thread writes; readers are objstat and tests.
  counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
}
void Subtract(std::atomic<uint64_t>& counter, uint64_t value) { Add(counter, ~value + 1); }
}  // namespace

// Makes mutation_seq odd while counters and entries change together. A reader that saw the same
// even number before and after saw numbers that add up.
class ObjectStore::Transaction {
 public:
  explicit Transaction(ObjectStore& store) : store_(store) {
    if (store_.index_.header().counters.mutation_seq.load(std::memory_order_relaxed) % 2 == 1) return;  // nested
    outer_ = true;
    store_.index_.header().counters.mutation_seq.fetch_add(1, std::memory_order_seq_cst);
  }
  ~Transaction() {
    if (!outer_) return;
    IndexCounters& counters = store_.index_.header().counters;
    counters.physical_bytes.store(store_.arena_.physical_bytes(), std::memory_order_relaxed);
    counters.lent_bytes.store(store_.arena_.lent_bytes(), std::memory_order_relaxed);
    counters.mutation_seq.fetch_add(1, std::memory_order_seq_cst);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

 private:
  ObjectStore& store_;
  bool outer_ = false;
};

ObjectStore::ObjectStore(uint64_t capacity_bytes, Arena& arena, IndexHeader* index, const Clock& clock, IndexFile file)
    : capacity_bytes_(capacity_bytes),
      arena_(arena),
      index_memory_(arena, *index, file),
      index_(index, index_memory_.entries()),
      pins_(index_.entries()),
      clock_(clock),
      policy_(notes_) {
  notes_.GrowTo(index_.entries());
}

uint64_t ObjectStore::NowMs() const {
  const auto now = static_cast<uint64_t>(clock_.Now().time_since_epoch().count());
  const uint64_t started = const_cast<ObjectStore*>(this)->index_.header().started_monotonic_ns;
  return now <= started ? 0 : (now - started) / 1000000;
}

ObjectStore::Client* ObjectStore::FindClient(uint32_t number) {
  const auto it = clients_.find(number);
  return it == clients_.end() ? nullptr : &it->second;
}

Result<uint32_t> ObjectStore::AddClient(int32_t pid, const std::string& name, PinPage* pins, uint32_t heir) {
  IndexHeader& header = index_.header();
  for (uint32_t i = 0; i < kClientRowsMax; ++i) {
    ClientRow& row = header.clients[static_cast<std::ptrdiff_t>(i)];
    if (row.number.load(std::memory_order_relaxed) != 0) continue;
    const uint32_t connected_heir = IsConnected(heir) ? heir : 0;  // nobody is one's own heir
    const uint32_t number = next_client_++;
    const Transaction transaction(*this);
    row.pid.store(pid, std::memory_order_relaxed);
    row.connected_ms.store(NowMs(), std::memory_order_relaxed);
    for (auto* counter : {&row.created_count, &row.created_bytes, &row.unsealed_bytes, &row.owned_bytes})
      counter->store(0, std::memory_order_relaxed);
    std::memset(row.name, 0, sizeof row.name);
    std::memcpy(row.name, name.data(), std::min(name.size(), sizeof row.name - 1));
    row.number.store(number, std::memory_order_release);  // publishes the row to objstat
    Add(header.counters.clients, 1);
    Client& client = clients_[number];
    client.row = &row;
    client.heir = connected_heir;
    pins_.AddClient(number, pins);
    return number;
  }
  return Fail(ErrorCode::kFull, StrCat("this store serves ", kClientRowsMax, " clients already; disconnect some"));
}

Inheritance ObjectStore::RemoveClient(uint32_t number) {
  Client* client = FindClient(number);
  if (client == nullptr) return {};
  Inheritance inheritance{.heir = IsConnected(client->heir) ? client->heir : 0, .objects = {}};
  const Transaction transaction(*this);
  ReadTouches();
  pins_.ReadPins(number, [this](uint32_t entry) { policy_.Released(entry); });
  while (!client->unsealed.empty()) Free(client->unsealed.first());
  KillMadeBy(number, client->deleted_at_end);  // first: nobody inherits these
  while (!client->owned.empty()) {
    const uint32_t entry = client->owned.first();
    const EntryState state = index_.StateOf(entry);
    if (state == EntryState::kSealed && inheritance.heir != 0) {
      HandOver(entry, inheritance.heir);
      inheritance.objects.push_back(index_.IdOf(entry));
      continue;
    }
    client->owned.Remove(notes_, entry);
    notes_[entry].owner = 0;
    if (state == EntryState::kUnsealed) notes_[entry].orphan = true;  // another client still writes it
    if (state == EntryState::kSealed) Kill(entry);
  }
  client->row->number.store(0, std::memory_order_release);
  Subtract(index_.header().counters.clients, 1);
  clients_.erase(number);
  pins_.RemoveClient(number);
  SweepDying();
  return inheritance;
}

void ObjectStore::Account(EntryState state, uint64_t bytes, bool add) {
  IndexCounters& counters = index_.header().counters;
  const auto change = add ? Add : Subtract;
  switch (state) {
    case EntryState::kSealed:
      change(counters.sealed_bytes, bytes);
      change(counters.sealed_count, 1);
      break;
    case EntryState::kUnsealed:
      change(counters.unsealed_bytes, bytes);
      change(counters.unsealed_count, 1);
      break;
    case EntryState::kDying:
      change(counters.dying_bytes, bytes);
      change(counters.dying_count, 1);
      break;
    case EntryState::kEmpty: break;
  }
}

void ObjectStore::FillFull(uint64_t need, FullNumbers& full) {
  full.need_bytes = need;
  full.free_bytes = free_bytes();
  full.largest_run_bytes = std::min(arena_.LargestRun(), full.free_bytes);
  full.pinned_bytes = 0;
  pins_.Scan();
  for (const uint32_t entry : pins_.pinned())
    if (index_.StateOf(entry) != EntryState::kEmpty) full.pinned_bytes += BytesOf(entry);
}

Result<uint64_t> ObjectStore::Create(uint32_t client_number, const ObjectId& id, const ObjectOptions& options,
                                     FullNumbers& full) {
  Client* client = FindClient(client_number);
  RAYLET_CHECK(client != nullptr, "create by unknown client ", client_number);
  if (index_.Find(id))
    return Fail(ErrorCode::kAlreadyExists, StrCat("ObjectExists: object ", id.hex(), " is in the store already"));
  if (options.metadata_bytes > UINT32_MAX || options.data_bytes > capacity_bytes_ ||
      options.metadata_bytes > capacity_bytes_ - options.data_bytes)
    return Fail(ErrorCode::kTooLarge,
                StrCat("ObjectTooLarge: object ", id.hex(), " wants ", options.data_bytes, " bytes of data and ",
                       options.metadata_bytes, " of metadata, the store holds ", capacity_bytes_,
                       "; start plasma_store with a larger -m"));
  const uint32_t owner = !options.owned ? 0 : options.owner == 0 ? client_number : options.owner;
  if (owner != 0 && FindClient(owner) == nullptr)
    return Fail(ErrorCode::kNotFound, StrCat("owner ", owner, " of object ", id.hex(), " is not connected any more"));

  const Transaction transaction(*this);
  ReadTouches();
  const uint64_t need = options.data_bytes + options.metadata_bytes;
  const auto offset = FindRun(options);
  if (!offset) {
    FillFull(need, full);
    return Fail(ErrorCode::kFull,
                StrCat("StoreFull: object ", id.hex(), " needs ", full.need_bytes, " bytes; free ", full.free_bytes,
                       " of ", capacity_bytes_, ", largest run ", full.largest_run_bytes, ", pinned ",
                       full.pinned_bytes, "; release or delete objects, or start plasma_store with a larger -m"));
  }
  if (!FindEntry(options.evict_if_full)) {
    arena_.Free(*offset);
    FillFull(need, full);
    return Fail(ErrorCode::kFull,
                StrCat("StoreFull: the store holds ", index_.used(), " objects, and has no ", kMemoryPerEntry,
                       " bytes of memory for the entry of one more; pinned ", full.pinned_bytes,
                       "; delete some objects, or start plasma_store with a larger -m"));
  }
  const uint32_t entry = *index_.Insert(id, {.offset = *offset,
                                             .data_bytes = options.data_bytes,
                                             .metadata_bytes = static_cast<uint32_t>(options.metadata_bytes),
                                             .creator = client_number,
                                             .owned = options.owned,
                                             .created_ms = NowMs()});
  notes_[entry] = {.owner = owner};
  used_bytes_ += need;
  client->unsealed.Append(notes_, entry);
  if (owner != 0) {
    Client& owning = clients_.at(owner);
    owning.owned.Append(notes_, entry);
    Add(owning.row->owned_bytes, need);
  }
  Account(EntryState::kUnsealed, need, true);
  Add(index_.header().counters.creates, 1);
  Add(client->row->created_count, 1);
  Add(client->row->created_bytes, need);
  Add(client->row->unsealed_bytes, need);
  return *offset;
}

std::optional<uint64_t> ObjectStore::FindRun(const ObjectOptions& options) {
  const uint64_t need = options.data_bytes + options.metadata_bytes;
  const uint64_t in_arena = AlignUp(options.data_bytes) + options.metadata_bytes;
  std::optional<uint64_t> offset;
  if (need <= free_bytes()) offset = arena_.Allocate(in_arena);
  if (!offset && SweepDying() && need <= free_bytes()) offset = arena_.Allocate(in_arena);
  while (!offset && options.evict_if_full) {
    // Evicts a fifth of the capacity at a time, as Plasma does, so that not every create has to. Of
    // small objects, as many as take a few milliseconds.
    const uint64_t missing = need > free_bytes() ? need - free_bytes() : 0;
    const Evicted evicted =
        EvictOldest({.bytes_min = missing, .bytes = std::max(missing, capacity_bytes_ / 5), .objects = kEvictedAtOnce});
    if (evicted.objects == 0) break;
    if (need <= free_bytes()) offset = arena_.Allocate(in_arena);
  }
  return offset;
}

bool ObjectStore::FindEntry(bool evict_if_full) {
  while (!index_.HasFree()) {
    if (SweepDying()) continue;
    if (GrowIndex()) continue;
    if (!evict_if_full || EvictOldest({.objects = kEvictedForEntries}).objects == 0) return false;
  }
  return true;
}

bool ObjectStore::GrowIndex() {
  if (!index_memory_.Grow(clock_.Now())) return false;
  index_.GrowTo(index_memory_.entries());
  pins_.GrowTo(index_memory_.entries());
  notes_.GrowTo(index_memory_.entries());
  return true;
}

Result<void> ObjectStore::Seal(uint32_t client_number, const ObjectId& id) {
  const auto entry = index_.Find(id);
  if (!entry) return Fail(ErrorCode::kNotFound, StrCat("seal: no object ", id.hex()));
  if (index_.StateOf(*entry) == EntryState::kSealed)
    return Fail(ErrorCode::kWrongState, StrCat("seal: object ", id.hex(), " is sealed already"));
  const ObjectIndex::Fields object = index_.FieldsOf(*entry);
  if (object.creator != client_number)
    return Fail(ErrorCode::kNotAllowed,
                StrCat("seal: object ", id.hex(), " is being written by client ", object.creator));
  const EntryNote& note = notes_[*entry];
  if (note.orphan) {
    const Transaction transaction(*this);
    Free(*entry);
    return Fail(ErrorCode::kCancelled,
                StrCat("seal: the owner of object ", id.hex(), " has gone, and the object with it"));
  }
  {
    const Transaction transaction(*this);
    ReadTouches();
    Account(EntryState::kUnsealed, object.bytes(), false);
    Account(EntryState::kSealed, object.bytes(), true);
    Client& client = clients_.at(client_number);
    client.unsealed.Remove(notes_, *entry);
    Subtract(client.row->unsealed_bytes, object.bytes());
    index_.SetOwned(*entry, note.owner != 0);
    index_.MarkSealed(*entry);
    if (note.owner == 0) policy_.Add(*entry);
    Add(index_.header().counters.seals, 1);
  }
  if (on_sealed_) on_sealed_(id);
  return {};
}

Result<void> ObjectStore::Abort(uint32_t client_number, const ObjectId& id) {
  const auto entry = index_.Find(id);
  if (!entry) return Fail(ErrorCode::kNotFound, StrCat("abort: no object ", id.hex()));
  if (index_.StateOf(*entry) != EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState, StrCat("abort: object ", id.hex(), " is sealed; delete it"));
  if (const uint32_t creator = index_.FieldsOf(*entry).creator; creator != client_number)
    return Fail(ErrorCode::kNotAllowed, StrCat("abort: object ", id.hex(), " is being written by client ", creator));
  const Transaction transaction(*this);
  Free(*entry);
  return {};
}

Result<void> ObjectStore::Delete(const ObjectId& id) { return std::move(Delete(std::span(&id, 1)).front()); }

std::vector<Result<void>> ObjectStore::Delete(std::span<const ObjectId> ids) {
  const Transaction transaction(*this);
  std::vector<Result<void>> outcomes;
  outcomes.reserve(ids.size());
  for (const ObjectId& id : ids) outcomes.push_back(KillSealed(id));
  SweepDying();
  return outcomes;
}

Result<void> ObjectStore::DeleteMadeBy(uint32_t client, std::span<const ObjectId> ids) {
  if (Client* const lives = FindClient(client)) {
    if (lives->deleted_at_end.size() + ids.size() > kDeletesAtEndMax)
      return Fail(ErrorCode::kFull, StrCat("delete: ", lives->deleted_at_end.size(), " objects go with client ", client,
                                           " already, and the limit is ", kDeletesAtEndMax, "; end that client"));
    lives->deleted_at_end.insert(lives->deleted_at_end.end(), ids.begin(), ids.end());
    return {};
  }
  const Transaction transaction(*this);
  KillMadeBy(client, ids);
  SweepDying();
  return {};
}

void ObjectStore::KillMadeBy(uint32_t creator, std::span<const ObjectId> ids) {
  for (const ObjectId& id : ids) {
    const auto entry = index_.Find(id);
    if (entry && index_.StateOf(*entry) == EntryState::kSealed && index_.FieldsOf(*entry).creator == creator)
      Kill(*entry);
  }
}

Result<void> ObjectStore::KillSealed(const ObjectId& id) {
  const auto entry = index_.Find(id);
  if (!entry) return Fail(ErrorCode::kNotFound, StrCat("delete: no object ", id.hex()));
  if (index_.StateOf(*entry) == EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState,
                StrCat("delete: object ", id.hex(), " is not sealed; its creator may abort it"));
  Kill(*entry);
  Add(index_.header().counters.deletes, 1);
  return {};
}

Result<void> ObjectStore::SetOwner(uint32_t client, std::span<const ObjectId> ids, uint32_t owner) {
  for (const ObjectId& id : ids) {
    const auto entry = index_.Find(id);
    if (!entry) continue;
    const uint32_t now = notes_[*entry].owner;
    const bool writes = index_.StateOf(*entry) == EntryState::kUnsealed && index_.FieldsOf(*entry).creator == client;
    if (now != 0 && now != client && !writes)
      return Fail(ErrorCode::kNotAllowed, StrCat("set owner: object ", id.hex(), " belongs to client ", now,
                                                 ", and only that client may hand it over"));
  }
  const Transaction transaction(*this);
  for (const ObjectId& id : ids)
    if (const auto entry = index_.Find(id)) HandOver(*entry, owner == 0 ? client : owner);
  SweepDying();
  return {};
}

void ObjectStore::HandOver(uint32_t entry, uint32_t owner) {
  EntryNote& note = notes_[entry];
  if (note.owner == 0 || note.owner == owner) return;  // objects without an owner stay so
  const uint64_t bytes = BytesOf(entry);
  Client& from = clients_.at(note.owner);
  from.owned.Remove(notes_, entry);
  Subtract(from.row->owned_bytes, bytes);
  note.owner = 0;
  if (Client* to = FindClient(owner)) {
    note.owner = owner;
    to->owned.Append(notes_, entry);
    Add(to->row->owned_bytes, bytes);
  } else if (index_.StateOf(entry) == EntryState::kSealed) {
    Kill(entry);
  } else {
    note.orphan = true;
  }
}

bool ObjectStore::IsSealed(const ObjectId& id) const {
  const auto entry = index_.Find(id);
  return entry && index_.StateOf(*entry) == EntryState::kSealed;
}

uint64_t ObjectStore::Evict(uint64_t bytes) {
  const Transaction transaction(*this);
  ReadTouches();
  return EvictOldest({.bytes_min = bytes, .bytes = bytes}).bytes;
}

ObjectStore::Evicted ObjectStore::EvictOldest(const EvictionGoal& goal) {
  pins_.Scan();
  Evicted evicted;
  uint64_t chosen = 0;
  for (uint64_t left = policy_.size(); left > 0; --left) {
    if (chosen >= goal.bytes || (evicted.objects >= goal.objects && chosen >= goal.bytes_min)) break;
    const uint32_t entry = policy_.Oldest();
    if (pins_.Pinned(entry)) {
      policy_.Released(entry);  // it will be, later than all others were
      continue;
    }
    chosen += std::max<uint64_t>(BytesOf(entry), 1);
    ++evicted.objects;
    Kill(entry);
  }
  const uint64_t before = used_bytes_;
  SweepDying();  // a victim that was pinned meanwhile is freed with its last pin
  evicted.bytes = before - used_bytes_;
  Add(index_.header().counters.evictions, evicted.objects);
  Add(index_.header().counters.evicted_bytes, evicted.bytes);
  return evicted;
}

void ObjectStore::Kill(uint32_t entry) {
  const uint64_t bytes = BytesOf(entry);
  Account(EntryState::kSealed, bytes, false);
  Account(EntryState::kDying, bytes, true);
  policy_.Remove(entry);
  index_.MarkDying(entry);
  dying_.Append(notes_, entry);
}

void ObjectStore::Free(uint32_t entry) {
  const ObjectIndex::Fields object = index_.FieldsOf(entry);
  const EntryState state = index_.StateOf(entry);
  Account(state, object.bytes(), false);
  if (state == EntryState::kUnsealed) {
    Client& creator = clients_.at(object.creator);
    creator.unsealed.Remove(notes_, entry);
    Subtract(creator.row->unsealed_bytes, object.bytes());
  } else {
    dying_.Remove(notes_, entry);
  }
  if (Client* owner = FindClient(notes_[entry].owner)) {
    owner->owned.Remove(notes_, entry);
    Subtract(owner->row->owned_bytes, object.bytes());
  }
  used_bytes_ -= object.bytes();
  index_.Remove(entry);
  arena_.Free(object.offset);
}

bool ObjectStore::SweepDying() {
  if (dying_.empty()) return false;
  const Transaction transaction(*this);
  pins_.Scan();
  const uint64_t before = dying_.size();
  for (uint32_t entry = dying_.first(); entry != kNoEntry;) {
    const uint32_t next = StateList::After(notes_, entry);
    if (!pins_.Pinned(entry)) Free(entry);
    entry = next;
  }
  return dying_.size() < before;
}

void ObjectStore::ReadTouches() {
  pins_.ReadTouches([this](uint32_t entry) { policy_.Released(entry); });
}

}  // namespace raylet::store
