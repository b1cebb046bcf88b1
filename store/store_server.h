// StoreServer: carries the verbs of ObjectStore between sockets and the store. It accepts clients, keeps the sessions,
// lets creates wait for room, and wakes clients that wait for a seal. main owns it; loop thread only. It has a timer
// only while creates are blocked or objects are dying.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop.h"
#include "store/absent_clients.h"
#include "store/client_session.h"
#include "store/create_queue.h"
#include "store/disk_desk.h"
#include "store/keeper_link.h"
#include "store/memory_budget.h"
#include "store/object_store.h"
#include "store/put_rings.h"
#include "store/subscriptions.h"
#include "store/take_over.h"

namespace raylet::store {

// The segments that every client gets. The owner of the descriptors outlives the server.
struct SharedSegments {
  int arena_read_only = -1;
  // -1 with --isolation=strict: each client writes into memory of its own (store/staging.h), and any user may be one.
  int arena_read_write = -1;
  int index_read_only = -1;
  uint64_t arena_bytes = 0, index_bytes = 0, capacity_bytes = 0;

  bool strict() const { return arena_read_write < 0; }
};

class StoreServer {
 public:
  // All of these outlive the server. `listening` is non-blocking.
  StoreServer(Loop& loop, int listening, ObjectStore& store, IndexHeader* index, SharedSegments segments,
              const Clock& clock);
  ~StoreServer();
  // Asked before the store takes memory for a client. Without it, everything fits.
  void SetMemoryGuard(MemoryGuard guard) { memory_ = std::move(guard); }
  // Told of each client from now on. Outlives the server. Without it the server does not survive its own death.
  void SetKeeper(KeeperLink& keeper) { keeper_ = &keeper; }
  // For a newer plasma_store that takes this one's objects over. Outlives the server.
  void SetHandOver(HandOver& hand_over) { hand_over_ = &hand_over; }
  // Spills objects when there is no room. Outlives the server. Without it nothing is spilled.
  void SetSpiller(Spiller& spiller) { disk_.SetSpiller(spiller); }
  // After Recovery: a client of an earlier server, which may connect again. What it was writing is lost
  // once it has connected again, or half a second from now.
  void AddAbsent(uint32_t client, UniqueFd pins_fd, Mapping pins, UniqueFd socket);
  // Ends the clients of the index that are neither here nor absent. After all of AddAbsent.
  void EndLostClients();

  // Called by sessions.
  Loop& loop() { return loop_; }
  ObjectStore& store() { return store_; }
  IndexCounters& counters() { return index_->counters; }
  const SharedSegments& segments() const { return segments_; }
  const MemoryGuard& memory() const { return memory_; }
  Subscriptions& subscriptions() { return subscriptions_; }
  PutRings& put_rings() { return put_rings_; }
  TimePoint Now() const { return clock_.Now(); }
  void Named(ClientSession& session);
  AbsentClients& absent() { return absent_; }
  ClientSession* SessionOf(uint32_t client);  // null: none
  void GaveUp(ClientSession& session) { by_client_.erase(session.client()); }
  KeeperLink* keeper() { return keeper_; }
  HandOver* hand_over() { return hand_over_; }
  void Create(BlockedCreate create);
  DiskDesk& disk() { return disk_; }
  void Sealed(const ObjectId& id);  // wakes those that wait for the object
  // An object that the client is writing, or its creates that still wait for room.
  Result<void> Abort(uint32_t client, const ObjectId& id);
  void WatchFor(const ObjectId& id, uint64_t session_key);
  void UnwatchFor(const ObjectId& id, uint64_t session_key);
  // Called when room may have come free or a client may wait. Serves the blocked creates that may
  // have room now, and sets the timer if anything waits. `released`: pins may have gone, too.
  void AfterRequest(bool released = false);
  void Remove(uint64_t session_key);

 private:
  void End(uint32_t client);
  void Accept();
  void RefuseOne(const Error& why);
  // Done when it is granted or refused; not while there is no room.
  Result<void> HasRoomToWrite(const BlockedCreate& create) const;
  CreateQueue::Tried Try(const BlockedCreate& create, bool last_try);
  Result<uint64_t> Carry(const BlockedCreate& create, FullNumbers& numbers);
  void CreateWhileDiskWrites(BlockedCreate create);
  void Block(BlockedCreate create);
  void Reply(const BlockedCreate& create, const Result<uint64_t>& outcome, const FullNumbers& numbers);
  void ServeCreates(bool released);

  Loop& loop_;
  const int listening_;
  ObjectStore& store_;
  IndexHeader* const index_;
  const SharedSegments segments_;
  const Clock& clock_;
  MemoryGuard memory_;
  UniqueFd reserve_;  // given up for a moment at the descriptor limit, to accept and close a new connection
  uint64_t next_key_ = 1;
  std::map<uint64_t, std::unique_ptr<ClientSession>> sessions_;
  std::set<uint64_t> strangers_;  // the keys of the sessions that have not said hello, the oldest first
  std::unordered_map<uint32_t, ClientSession*> by_client_;
  std::unordered_multimap<ObjectId, uint64_t> watchers_;  // the keys of the sessions that watch it
  CreateQueue blocked_;
  DiskDesk disk_{*this};
  bool disk_first_ = false;  // before the creates, every other time
  Subscriptions subscriptions_;
  KeeperLink* keeper_ = nullptr;
  HandOver* hand_over_ = nullptr;
  AbsentClients absent_;
  PutRings put_rings_;
  Timer lose_unsealed_;  // of absent clients
  Timer timer_;          // only while creates are blocked or objects are dying
  TimePoint timer_due_{};
  Timer accept_again_;
  FdWatcher acceptor_;
};

}  // namespace raylet::store
