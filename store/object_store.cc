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
    counters.mutation_seq.fetch_add(1, std::memory_order_seq_cst);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

 private:
  ObjectStore& store_;
  bool outer_ = false;
};

ObjectStore::ObjectStore(uint64_t capacity_bytes, Arena& arena, IndexHeader* index, const Clock& clock)
    : capacity_bytes_(capacity_bytes), arena_(arena), index_(index), pins_(index->entry_count), clock_(clock) {}

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
  for (const uint32_t entry : std::unordered_set<uint32_t>(client->unsealed)) Free(entry);
  KillMadeBy(number, client->deleted_at_end);  // first: nobody inherits these
  for (const uint32_t entry : std::unordered_set<uint32_t>(client->owned)) {
    Object& object = objects_.at(entry);
    if (object.state == EntryState::kUnsealed) {  // another client still writes it
      object.owner = 0;
      object.orphan = true;
    } else if (object.state == EntryState::kSealed && inheritance.heir != 0) {
      HandOver(entry, inheritance.heir);
      inheritance.objects.push_back(object.id);
    } else if (object.state == EntryState::kSealed) {
      Kill(entry);
    }
  }
  client->row->number.store(0, std::memory_order_release);
  Subtract(index_.header().counters.clients, 1);
  clients_.erase(number);
  pins_.RemoveClient(number);
  SweepDying();
  return inheritance;
}

void ObjectStore::Account(const Object& object, EntryState state, bool add) {
  IndexCounters& counters = index_.header().counters;
  const auto change = add ? Add : Subtract;
  switch (state) {
    case EntryState::kSealed:
      change(counters.sealed_bytes, object.bytes());
      change(counters.sealed_count, 1);
      break;
    case EntryState::kUnsealed:
      change(counters.unsealed_bytes, object.bytes());
      change(counters.unsealed_count, 1);
      break;
    case EntryState::kDying:
      change(counters.dying_bytes, object.bytes());
      change(counters.dying_count, 1);
      break;
    case EntryState::kEmpty:
    case EntryState::kTombstone: break;
  }
}

void ObjectStore::FillFull(uint64_t need, FullNumbers& full) {
  full.need_bytes = need;
  full.free_bytes = free_bytes();
  full.largest_run_bytes = std::min(arena_.LargestRun(), full.free_bytes);
  full.pinned_bytes = 0;
  pins_.Scan();
  for (const uint32_t entry : pins_.pinned())
    if (const auto it = objects_.find(entry); it != objects_.end()) full.pinned_bytes += it->second.bytes();
}

Result<uint64_t> ObjectStore::Create(uint32_t client_number, const ObjectId& id, const CreateOptions& options,
                                     FullNumbers& full) {
  Client* client = FindClient(client_number);
  RAYLET_CHECK(client != nullptr, "create by unknown client ", client_number);
  if (entries_.contains(id))
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
  const uint64_t in_arena = AlignUp(options.data_bytes) + options.metadata_bytes;
  std::optional<uint64_t> offset;
  if (need <= free_bytes()) offset = arena_.Allocate(in_arena);
  if (!offset && SweepDying() && need <= free_bytes()) offset = arena_.Allocate(in_arena);
  while (!offset && options.evict_if_full) {
    // Evicts at least a fifth of the capacity at a time, as Plasma does. Evicting one object at a
    // time would make every create slow.
    const uint64_t missing = need > free_bytes() ? need - free_bytes() : 0;
    if (EvictUnpinned(std::max(missing, capacity_bytes_ / 5)) == 0) break;
    if (need <= free_bytes()) offset = arena_.Allocate(in_arena);
  }
  if (!offset) {
    FillFull(need, full);
    return Fail(ErrorCode::kFull,
                StrCat("StoreFull: object ", id.hex(), " needs ", full.need_bytes, " bytes; free ", full.free_bytes,
                       " of ", capacity_bytes_, ", largest run ", full.largest_run_bytes, ", pinned ",
                       full.pinned_bytes, "; release or delete objects, or start plasma_store with a larger -m"));
  }
  const ObjectIndex::Fields fields = {.offset = *offset,
                                      .data_bytes = options.data_bytes,
                                      .metadata_bytes = options.metadata_bytes,
                                      .creator = client_number,
                                      .owned = options.owned,
                                      .created_ms = NowMs()};
  auto entry = index_.Insert(id, fields);
  // A full table counts as a lack of room.
  if (!entry && options.evict_if_full && EvictUnpinned(capacity_bytes_ / 5) > 0) entry = index_.Insert(id, fields);
  if (!entry) {
    arena_.Free(*offset);
    FillFull(need, full);
    return Fail(ErrorCode::kFull, StrCat("StoreFull: the index holds ", index_.used(),
                                         " objects, its limit; delete some, or start plasma_store with a larger -m"));
  }
  Object& object = objects_[*entry];
  object.id = id;
  object.offset = *offset;
  object.data_bytes = options.data_bytes;
  object.metadata_bytes = options.metadata_bytes;
  object.creator = client_number;
  object.owner = owner;
  entries_[id] = *entry;
  used_bytes_ += object.bytes();
  client->unsealed.insert(*entry);
  if (owner != 0) {
    Client& owning = clients_.at(owner);
    owning.owned.insert(*entry);
    Add(owning.row->owned_bytes, object.bytes());
  }
  Account(object, EntryState::kUnsealed, true);
  Add(index_.header().counters.creates, 1);
  Add(client->row->created_count, 1);
  Add(client->row->created_bytes, object.bytes());
  Add(client->row->unsealed_bytes, object.bytes());
  return *offset;
}

Result<void> ObjectStore::Seal(uint32_t client_number, const ObjectId& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return Fail(ErrorCode::kNotFound, StrCat("seal: no object ", id.hex()));
  const uint32_t entry = it->second;
  Object& object = objects_.at(entry);
  if (object.state == EntryState::kSealed)
    return Fail(ErrorCode::kWrongState, StrCat("seal: object ", id.hex(), " is sealed already"));
  if (object.creator != client_number)
    return Fail(ErrorCode::kNotAllowed,
                StrCat("seal: object ", id.hex(), " is being written by client ", object.creator));
  if (object.orphan) {
    const Transaction transaction(*this);
    Free(entry);
    return Fail(ErrorCode::kCancelled,
                StrCat("seal: the owner of object ", id.hex(), " has gone, and the object with it"));
  }
  {
    const Transaction transaction(*this);
    ReadTouches();
    Account(object, EntryState::kUnsealed, false);
    object.state = EntryState::kSealed;
    Account(object, EntryState::kSealed, true);
    Client& client = clients_.at(client_number);
    client.unsealed.erase(entry);
    Subtract(client.row->unsealed_bytes, object.bytes());
    index_.SetOwned(entry, object.owner != 0);
    index_.MarkSealed(entry);
    if (object.owner == 0) policy_.Add(entry);
    Add(index_.header().counters.seals, 1);
  }
  if (on_sealed_) on_sealed_(id);
  return {};
}

Result<void> ObjectStore::Abort(uint32_t client_number, const ObjectId& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return Fail(ErrorCode::kNotFound, StrCat("abort: no object ", id.hex()));
  const Object& object = objects_.at(it->second);
  if (object.state != EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState, StrCat("abort: object ", id.hex(), " is sealed; delete it"));
  if (object.creator != client_number)
    return Fail(ErrorCode::kNotAllowed,
                StrCat("abort: object ", id.hex(), " is being written by client ", object.creator));
  const Transaction transaction(*this);
  Free(it->second);
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
    const auto it = entries_.find(id);
    if (it == entries_.end()) continue;
    const Object& object = objects_.at(it->second);
    if (object.creator == creator && object.state == EntryState::kSealed) Kill(it->second);
  }
}

Result<void> ObjectStore::KillSealed(const ObjectId& id) {
  const auto it = entries_.find(id);
  if (it == entries_.end()) return Fail(ErrorCode::kNotFound, StrCat("delete: no object ", id.hex()));
  if (objects_.at(it->second).state == EntryState::kUnsealed)
    return Fail(ErrorCode::kWrongState,
                StrCat("delete: object ", id.hex(), " is not sealed; its creator may abort it"));
  Kill(it->second);
  Add(index_.header().counters.deletes, 1);
  return {};
}

Result<void> ObjectStore::SetOwner(uint32_t client, std::span<const ObjectId> ids, uint32_t owner) {
  for (const ObjectId& id : ids) {
    const auto it = entries_.find(id);
    if (it == entries_.end()) continue;
    const Object& object = objects_.at(it->second);
    const bool writes = object.state == EntryState::kUnsealed && object.creator == client;
    if (object.owner != 0 && object.owner != client && !writes)
      return Fail(ErrorCode::kNotAllowed, StrCat("set owner: object ", id.hex(), " belongs to client ", object.owner,
                                                 ", and only that client may hand it over"));
  }
  const Transaction transaction(*this);
  for (const ObjectId& id : ids)
    if (const auto it = entries_.find(id); it != entries_.end()) HandOver(it->second, owner == 0 ? client : owner);
  SweepDying();
  return {};
}

void ObjectStore::HandOver(uint32_t entry, uint32_t owner) {
  Object& object = objects_.at(entry);
  if (object.owner == 0 || object.owner == owner) return;  // objects without an owner stay so
  Client& from = clients_.at(object.owner);
  from.owned.erase(entry);
  Subtract(from.row->owned_bytes, object.bytes());
  object.owner = 0;
  if (Client* to = FindClient(owner)) {
    object.owner = owner;
    to->owned.insert(entry);
    Add(to->row->owned_bytes, object.bytes());
  } else if (object.state == EntryState::kSealed) {
    Kill(entry);
  } else {
    object.orphan = true;
  }
}

bool ObjectStore::IsSealed(const ObjectId& id) const {
  const auto it = entries_.find(id);
  return it != entries_.end() && objects_.at(it->second).state == EntryState::kSealed;
}

uint64_t ObjectStore::Evict(uint64_t bytes) {
  const Transaction transaction(*this);
  ReadTouches();
  return EvictUnpinned(bytes);
}

uint64_t ObjectStore::EvictUnpinned(uint64_t bytes) {
  pins_.Scan();
  std::vector<uint32_t> victims;
  uint64_t chosen = 0;
  for (const uint32_t entry : policy_.OldestFirst()) {
    if (chosen >= bytes) break;
    if (pins_.Pinned(entry)) continue;
    victims.push_back(entry);
    chosen += std::max<uint64_t>(objects_.at(entry).bytes(), 1);
  }
  const uint64_t before = used_bytes_;
  for (const uint32_t entry : victims) {
    Kill(entry);
    Add(index_.header().counters.evictions, 1);
  }
  SweepDying();  // a victim that was pinned meanwhile is freed with its last pin
  const uint64_t went = before - used_bytes_;
  Add(index_.header().counters.evicted_bytes, went);
  return went;
}

void ObjectStore::Kill(uint32_t entry) {
  Object& object = objects_.at(entry);
  Account(object, EntryState::kSealed, false);
  object.state = EntryState::kDying;
  Account(object, EntryState::kDying, true);
  policy_.Remove(entry);
  entries_.erase(object.id);
  index_.MarkDying(entry);
  dying_.insert(entry);
}

void ObjectStore::Free(uint32_t entry) {
  const Object object = objects_.at(entry);
  Account(object, object.state, false);
  if (object.state == EntryState::kUnsealed) {
    entries_.erase(object.id);
    if (Client* creator = FindClient(object.creator)) {
      creator->unsealed.erase(entry);
      Subtract(creator->row->unsealed_bytes, object.bytes());
    }
  }
  if (Client* owner = FindClient(object.owner)) {
    owner->owned.erase(entry);
    Subtract(owner->row->owned_bytes, object.bytes());
  }
  used_bytes_ -= object.bytes();
  dying_.erase(entry);
  objects_.erase(entry);
  index_.Remove(entry);
  arena_.Free(object.offset);
}

bool ObjectStore::SweepDying() {
  if (dying_.empty()) return false;
  const Transaction transaction(*this);
  pins_.Scan();
  std::vector<uint32_t> released;
  for (const uint32_t entry : dying_)
    if (!pins_.Pinned(entry)) released.push_back(entry);
  for (const uint32_t entry : released) Free(entry);
  return !released.empty();
}

void ObjectStore::ReadTouches() {
  pins_.ReadTouches([this](uint32_t entry) { policy_.Touch(entry); });
}

}  // namespace raylet::store
