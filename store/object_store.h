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
#include "store/full_numbers.h"
#include "store/object_table.h"
#include "store/room_maker.h"

namespace raylet::store {

// What is to be created.
struct ObjectOptions {
  uint64_t data_bytes = 0, metadata_bytes = 0;
  bool evict_if_full = true;
  bool owned = false;
  uint32_t owner = 0;  // 0: the creator
  // A run of the arena in which the object lies already. A create that fails leaves it to the caller.
  std::optional<uint64_t> run{};
};

// What a client that has ended leaves to its heir.
struct Inheritance {
  uint32_t heir = 0;  // 0: nobody inherits
  std::vector<ObjectId> objects;
};

constexpr size_t kDeletesAtEndMax = 4096;  // of the objects that one client has made

class ObjectStore {
 public:
  // `index` is a fresh index segment, in `file`; `arena`, `index` and `clock` outlive the store.
  ObjectStore(uint64_t capacity_bytes, Arena& arena, IndexHeader* index, const Clock& clock, IndexFile file = {});

  // The client does not write any more into the leased run that an earlier daemon had given it.
  void EndWriting(uint32_t client);
  // Adds a client. `pins` is its page, which outlives the client here. Numbers are never reused. kLimit:
  // kClientRowsMax.
  // `heir` inherits what the client owns at its end. An heir that is not connected is none.
  Result<uint32_t> AddClient(int32_t pid, const std::string& name, PinPage* pins, uint32_t heir = 0);
  // Deletes the client's unsealed objects and drops its pins. The sealed objects that it owns belong
  // to its heir from now on; without a connected heir they are deleted.
  Inheritance RemoveClient(uint32_t client);
  bool IsConnected(uint32_t client) const { return table_.clients.Has(client); }
  uint32_t next_client() const { return table_.clients.next_number(); }

  // The client's name for people, and its quota; 0: none. The errors are those of ClientQuotas.
  Result<void> SetOptions(uint32_t client, const std::string& name, uint64_t quota_bytes);
  // Room, orders of eviction and quotas, in the words of Plasma's DebugString.
  std::string DebugText();

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
  // As Plasma deletes: an object that somebody holds stays, and others get it, until its last release.
  // An unsealed one goes once it is sealed and nobody holds it.
  std::vector<Result<void>> DeleteAtLastRelease(std::span<const ObjectId> ids);
  // Finds out whether somebody still holds the object, if it was deleted: it is there or gone afterwards.
  void Recheck(const ObjectId& id);
  // Deletes those of the objects that this client created: at once if it has gone, otherwise at its
  // end. kFull: kDeletesAtEndMax.
  Result<void> DeleteMadeBy(uint32_t client, std::span<const ObjectId> ids);
  uint64_t Evict(uint64_t bytes);  // least recently released first; returns the bytes freed
  // Hands objects over to the client `owner`; 0 means `client` itself. Only an object's owner may
  // do so, and its creator while it writes it. When one object may not be handed over, none is.
  // Objects without an owner stay so, and unknown ones are ignored. An object handed to a client
  // that has gone is deleted.
  Result<void> SetOwner(uint32_t client, std::span<const ObjectId> ids, uint32_t owner);
  // An unsealed object that the client writes.
  std::optional<ObjectIndex::Fields> WrittenBy(uint32_t client, const ObjectId& id) const;
  bool WritesOnlyOne(uint32_t client);
  bool IsSealed(const ObjectId& id);  // in memory or on disk
  bool IsSpilled(const ObjectId& id) const;
  bool IsLost(const ObjectId& id) const;  // spilled, and its bytes cannot be read any more
  // Called when the client is told that the store is full.
  void NoteFull(uint32_t client, const ObjectId& id, const FullNumbers& numbers);

  bool SweepDying() { return table_.SweepDying(); }
  bool MayAnyoneWait() const { return table_.pins.MayAnyoneWait(); }
  Arena& arena() { return table_.arena; }
  IndexCounters& counters() { return table_.counters(); }
  // Create and Seal of this id are soon to come.
  void Prefetch(const ObjectId& id) const { table_.index.Prefetch(id); }
  std::byte* arena_data() const { return table_.arena.data(); }
  bool HasDying() const { return table_.HasDying(); }
  uint64_t moved_bytes() const { return table_.compactor.moved_bytes(); }  // to make long runs
  uint64_t free_bytes() const { return table_.free_bytes(); }
  // Free, or free once it is evicted and nobody pins it. While this does not grow, a create that was
  // refused succeeds only after a release.
  uint64_t bytes_in_reach() { return free_bytes() + counters().dying_bytes + table_.policy.bytes(); }
  // The clients with their numbers, and the entries that one of them pins or writes, each once.
  std::vector<uint32_t> clients() const { return table_.clients.numbers(); }
  std::vector<uint32_t> EntriesUsedBy(uint32_t client) const;
  // `callback` gives runs of the arena back that nobody uses yet, when there is no room. True if it gave any.
  void OnNoRoom(std::function<bool()> callback) { table_.hooks.on_no_room = std::move(callback); }
  // `callback` runs when an entry's object is sealed, and when a sealed one becomes invisible.
  void OnSealedOrGone(std::function<void(uint32_t entry, bool sealed)> callback) {
    table_.hooks.on_sealed_or_gone = std::move(callback);
  }
  // `callback` runs after each seal with the object, to wake its waiters.
  void OnSealed(std::function<void(const ObjectId&)> callback) { on_sealed_ = std::move(callback); }

  // For those who do other work on the objects: spilling, recovery.
  ObjectTable& table() { return table_; }
  RoomMaker& room() { return room_; }

 private:
  friend class Recovery;  // makes a store of what another daemon has left
  using Client = ObjectTable::Client;

  static bool IsThere(EntryState state) { return state == EntryState::kSealed || state == EntryState::kSpilled; }
  Result<void> KillSealed(const ObjectId& id);
  void KillMadeBy(uint32_t creator, std::span<const ObjectId> ids);
  std::optional<uint64_t> FindRun(const ObjectOptions& options);

  ObjectTable table_;
  RoomMaker room_;
  std::unordered_map<uint32_t, uint64_t> writing_;  // see EndWriting: by client, the run's offset
  std::function<void(const ObjectId&)> on_sealed_;
};

}  // namespace raylet::store
