// ObjectStore: the verbs on objects, and the ledger that adds up. No sockets and no waiting: each
// call is one transaction. Loop thread only. Time comes from the constructor's clock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fbs/segment_layout.h"
#include "store/arena.h"
#include "store/entry_table.h"
#include "store/eviction_policy.h"
#include "store/index_memory.h"
#include "store/object_index.h"
#include "store/pin_ledger.h"

namespace raylet::store {

// The numbers that accompany kFull.
struct FullNumbers {
  uint64_t need_bytes = 0, free_bytes = 0, largest_run_bytes = 0, pinned_bytes = 0;
};

// What is to be created.
struct ObjectOptions {
  uint64_t data_bytes = 0, metadata_bytes = 0;
  bool evict_if_full = true;
  bool owned = false;
  uint32_t owner = 0;  // 0: the creator
};

// What a client that has ended leaves to its heir.
struct Inheritance {
  uint32_t heir = 0;  // 0: nobody inherits
  std::vector<ObjectId> objects;
};

constexpr size_t kDeletesAtEndMax = 4096;  // of the objects that one client has made
// A create evicts no more objects than these at a time, unless it needs their bytes.
constexpr uint64_t kEvictedAtOnce = 1024;
constexpr uint64_t kEvictedForEntries = 64;

class ObjectStore {
 public:
  // `index` is a fresh index segment, in `file`; `arena`, `index` and `clock` outlive the store.
  ObjectStore(uint64_t capacity_bytes, Arena& arena, IndexHeader* index, const Clock& clock, IndexFile file = {});

  // Adds a client. `pins` is its page, which outlives the client here. Numbers are never reused.
  // `heir` inherits what the client owns at its end. An heir that is not connected is none.
  Result<uint32_t> AddClient(int32_t pid, const std::string& name, PinPage* pins, uint32_t heir = 0);
  // Deletes the client's unsealed objects and drops its pins. The sealed objects that it owns belong
  // to its heir from now on; without a connected heir they are deleted.
  Inheritance RemoveClient(uint32_t client);
  bool IsConnected(uint32_t client) const { return clients_.contains(client); }
  uint32_t next_client() const { return next_client_; }

  // The offset of the data. kAlreadyExists, kTooLarge, or kFull: then `full` has the numbers, and a
  // later try may succeed.
  Result<uint64_t> Create(uint32_t client, const ObjectId& id, const ObjectOptions& options, FullNumbers& full);
  Result<void> Seal(uint32_t client, const ObjectId& id);
  Result<void> Abort(uint32_t client, const ObjectId& id);
  // A pinned object disappears for new gets now; its memory is freed with the last pin. An unknown
  // object is kNotFound. An unsealed one is kWrongState, and stays.
  Result<void> Delete(const ObjectId& id);
  // The same for several objects, in one transaction.
  std::vector<Result<void>> Delete(std::span<const ObjectId> ids);
  // Deletes those of the objects that this client created: at once if it has gone, otherwise at its
  // end. kFull: kDeletesAtEndMax.
  Result<void> DeleteMadeBy(uint32_t client, std::span<const ObjectId> ids);
  uint64_t Evict(uint64_t bytes);  // least recently released first; returns the bytes freed
  // Hands objects over to the client `owner`; 0 means `client` itself. Only an object's owner may
  // do so, and its creator while it writes it. When one object may not be handed over, none is.
  // Objects without an owner stay so, and unknown ones are ignored. An object handed to a client
  // that has gone is deleted.
  Result<void> SetOwner(uint32_t client, std::span<const ObjectId> ids, uint32_t owner);
  bool IsSealed(const ObjectId& id) const;

  // Frees dying objects that nobody pins any more; true if it freed any.
  bool SweepDying();
  bool AnyoneWaits() const { return pins_.AnyoneWaits(); }
  std::byte* arena_data() const { return arena_.data(); }
  bool HasDying() const { return !dying_.empty(); }
  uint64_t free_bytes() const { return capacity_bytes_ - used_bytes_; }
  // `callback` runs after each seal with the object, to wake its waiters.
  void OnSealed(std::function<void(const ObjectId&)> callback) { on_sealed_ = std::move(callback); }

 private:
  struct Client {
    ClientRow* row = nullptr;
    StateList unsealed;                    // entries that the client writes
    OwnerList owned;                       // entries that the client owns
    std::vector<ObjectId> deleted_at_end;  // those that the client created; at most kDeletesAtEndMax
    uint32_t heir = 0;                     // connected when this client came; 0: none
  };
  // Eviction ends at `bytes`, and already at `objects` once `bytes_min` are reached.
  struct EvictionGoal {
    uint64_t bytes_min = 0, bytes = ~uint64_t{0}, objects = ~uint64_t{0};
  };
  struct Evicted {
    uint64_t bytes = 0, objects = 0;
  };
  class Transaction;

  void ReadTouches();
  Result<void> KillSealed(const ObjectId& id);
  void KillMadeBy(uint32_t creator, std::span<const ObjectId> ids);
  void HandOver(uint32_t entry, uint32_t owner);
  void Kill(uint32_t entry);  // sealed -> dying
  void Free(uint32_t entry);  // unsealed or dying -> gone
  void Account(EntryState state, uint64_t bytes, bool add);
  uint64_t BytesOf(uint32_t entry) const { return index_.FieldsOf(entry).bytes(); }
  std::optional<uint64_t> FindRun(const ObjectOptions& options);
  bool FindEntry(bool evict_if_full);
  bool GrowIndex();
  Evicted EvictOldest(const EvictionGoal& goal);
  void FillFull(uint64_t need, FullNumbers& full);
  Client* FindClient(uint32_t number);
  uint64_t NowMs() const;

  const uint64_t capacity_bytes_;
  Arena& arena_;
  IndexMemory index_memory_;
  ObjectIndex index_;
  PinLedger pins_;
  const Clock& clock_;
  EntryTable notes_;  // of index_'s entries
  EvictionPolicy policy_;
  StateList dying_;
  uint64_t used_bytes_ = 0;  // logical; == sealed + unsealed + dying bytes
  uint32_t next_client_ = 1;
  std::unordered_map<uint32_t, Client> clients_;
  std::function<void(const ObjectId&)> on_sealed_;
};

}  // namespace raylet::store
