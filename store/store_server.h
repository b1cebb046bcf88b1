// StoreServer: the store on a Unix socket: accepts clients, wakes whoever waits for an object, and keeps the creates that
// wait for room, in order. One loop, one thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/loop.h"
#include "base/shm_segment.h"
#include "base/unix_socket.h"
#include "store/arena.h"
#include "store/client_session.h"
#include "store/object_store.h"

namespace raylet::store {

class StoreServer {
 public:
  // Reserves the memory, makes the index segment and listens. Every reason why that cannot be is an Error with a remedy.
  static Result<std::unique_ptr<StoreServer>> Start(Loop& loop, const std::string& socket_path, uint64_t capacity_bytes);
  ~StoreServer();  // sessions, socket and segment go

  Loop& loop() { return loop_; }
  ObjectStore& store() { return *store_; }
  Arena& arena() { return *arena_; }
  const IndexHeader* index() const { return index_; }
  int index_read_only_fd() const { return index_read_only_fd_.get(); }

  // For sessions.
  void Remove(uint64_t session);
  bool HasBlockedCreates() const { return !blocked_.empty(); }
  bool CanBlockCreate() const;
  void BlockCreate(BlockedCreate create);
  void RoomMayBeFree();  // objects went: blocked creates are tried again in this turn
  void CountFullFailure(ErrorCode code);

 private:
  StoreServer(Loop& loop, std::string socket_path) : loop_(loop), socket_path_(std::move(socket_path)) {}
  void Accept();
  void WakeWaiters(const ObjectId& id);
  void ServeBlocked();
  void KeepTimer();

  Loop& loop_;
  std::string socket_path_, segment_name_;
  SteadyClock clock_;
  std::unique_ptr<Arena> arena_;
  UniqueFd index_fd_, index_read_only_fd_;
  Mapping index_mapping_;
  IndexHeader* index_ = nullptr;
  std::unique_ptr<ObjectStore> store_;
  UniqueFd listen_fd_, reserve_fd_;
  FdWatcher listen_watcher_;
  std::unordered_map<uint64_t, std::unique_ptr<ClientSession>> sessions_;
  uint64_t next_session_ = 1;
  std::deque<BlockedCreate> blocked_;  // first come, first served
  Timer timer_;                        // runs only while creates wait or dying objects are pinned
};

}  // namespace raylet::store
