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
#include "store/client_session.h"
#include "store/create_queue.h"
#include "store/object_store.h"

namespace raylet::store {

// The segments that every client gets. The owner of the descriptors outlives the server.
struct SharedSegments {
  int arena_read_only = -1, arena_read_write = -1, index_read_only = -1;
  uint64_t arena_bytes = 0, index_bytes = 0, capacity_bytes = 0;
};

class StoreServer {
 public:
  // All of these outlive the server. `listening` is non-blocking.
  StoreServer(Loop& loop, int listening, ObjectStore& store, IndexHeader* index, SharedSegments segments,
              const Clock& clock);
  ~StoreServer();

  // Called by sessions.
  Loop& loop() { return loop_; }
  ObjectStore& store() { return store_; }
  IndexCounters& counters() { return index_->counters; }
  const SharedSegments& segments() const { return segments_; }
  TimePoint Now() const { return clock_.Now(); }
  void Named(ClientSession& session);
  void Create(BlockedCreate create);
  // An object that the client is writing, or its creates that still wait for room.
  Result<void> Abort(uint32_t client, const ObjectId& id);
  void WatchFor(const ObjectId& id, uint64_t session_key);
  void UnwatchFor(const ObjectId& id, uint64_t session_key);
  // Called when room may have come free or a client may wait. Serves the blocked creates, and sets
  // the timer if anything waits.
  void AfterRequest();
  void Remove(uint64_t session_key);

 private:
  void Accept();
  void RefuseOne(const Error& why);
  // True when the create is finished, granted or refused; false while there is no room.
  bool Try(const BlockedCreate& create, bool last_try);
  void Reply(const BlockedCreate& create, const Result<uint64_t>& outcome, const FullNumbers& numbers);
  void Sealed(const ObjectId& id);

  Loop& loop_;
  const int listening_;
  ObjectStore& store_;
  IndexHeader* const index_;
  const SharedSegments segments_;
  const Clock& clock_;
  UniqueFd reserve_;  // given up for a moment at the descriptor limit, to accept and close a new connection
  uint64_t next_key_ = 1;
  std::map<uint64_t, std::unique_ptr<ClientSession>> sessions_;
  std::set<uint64_t> strangers_;  // the keys of the sessions that have not said hello, the oldest first
  std::unordered_map<uint32_t, ClientSession*> by_client_;
  std::unordered_multimap<ObjectId, uint64_t> watchers_;  // the keys of the sessions that watch it
  CreateQueue blocked_;
  Timer timer_;  // only while creates are blocked or objects are dying
  Timer accept_again_;
  FdWatcher acceptor_;
};

}  // namespace raylet::store
