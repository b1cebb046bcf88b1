// DiskDesk: the requests that wait for the disk of spilled objects: gets of such objects, and evictions that write. It
// asks the Spiller, and answers the clients. The StoreServer owns it; loop thread only.
// Always holds: each request is answered once: when its objects have moved, when they cannot, or at its deadline.
// Without a Spiller nothing waits here.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "fbs/ids.h"
#include "store/restore_queue.h"
#include "store/spiller.h"

namespace raylet::store {

class StoreServer;

class DiskDesk {
 public:
  // `server` outlives it.
  explicit DiskDesk(StoreServer& server) : server_(server) {}
  ~DiskDesk();
  DiskDesk(const DiskDesk&) = delete;
  DiskDesk& operator=(const DiskDesk&) = delete;
  void SetSpiller(Spiller& spiller);  // which outlives it

  // Answers once the spilled ones of these objects are in memory.
  void Restore(const RestoreQueue::Request& request, const std::vector<ObjectId>& ids);
  // Answers with the bytes that have left the memory, once these are `bytes` or no more leave.
  void Evict(uint32_t client, uint64_t request_id, uint64_t bytes);
  void DropClient(uint32_t client);
  // Goes on with what may have room now. `released`: pins may have gone, too.
  void Serve(bool released);
  void Tick();

  bool HasSpiller() const { return spiller_ != nullptr; }
  // A create of so many bytes was refused: another try finds room, perhaps.
  bool WantRoom(uint64_t need_bytes) { return spiller_ != nullptr && spiller_->WantRoom(need_bytes); }
  // Memory comes free soon: the disk writes, or it has what getters were given time to pin.
  bool MakesRoom() const { return spiller_ != nullptr && (spiller_->MakesRoom() || spiller_->HasHolds()); }
  // How long a create without patience waits while the disk makes room.
  Duration CreatePatience() const;
  bool NeedsTicks() const {
    return !restores_.Empty() || (spiller_ != nullptr && (spiller_->HasHolds() || spiller_->HasDeadFiles()));
  }
  TimePoint NextDeadline() const { return restores_.NextDeadline(); }

 private:
  struct Eviction {
    uint32_t client = 0;
    uint64_t request_id = 0;
    uint64_t bytes = 0;
    uint64_t left_before = 0;  // the Spiller's left_bytes() at its start
  };

  void Refuse(const RestoreQueue::Request& request);
  void Restored(const ObjectId& id, const Result<void>& outcome);
  void Answer(const RestoreQueue::Request& request, const Result<void>& outcome);
  void AnswerEvictions();
  void ReplyEvicted(uint32_t client, uint64_t request_id, uint64_t evicted_bytes);

  StoreServer& server_;
  Spiller* spiller_ = nullptr;
  RestoreQueue restores_;
  uint64_t restore_reach_ = 0;  // bytes in reach at the last restore that found no room
  std::vector<Eviction> evictions_;
};

}  // namespace raylet::store
