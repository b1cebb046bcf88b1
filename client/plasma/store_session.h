// StoreSession: everything that one connection to a store holds: socket, mapped arena, mapped index, pin page. The
// StoreClient and all its views share it; the last of them closes it. The daemon then drops this client's pins and
// aborts its unsealed objects. The objects that it owned go, or its heir inherits them. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "client/plasma/leased_writer.h"
#include "client/plasma/mapped_arena.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/object_writer.h"
#include "client/plasma/pin_table.h"
#include "client/plasma/pinned_object.h"
#include "client/plasma/store_client.h"
#include "client/plasma/store_connection.h"
#include "client/plasma/store_hello.h"

namespace raylet::client {

class StoreSession {
 public:
  static Result<std::shared_ptr<StoreSession>> Connect(const std::string& socket, const std::string& name,
                                                       Deadline deadline, bool retry, uint32_t heir, Duration patience);
  ~StoreSession();

  // Ends the waits of all threads, aborts what is not sealed, and refuses all later requests. Views stay valid.
  void End();

  StoreConnection& connection() { return connection_; }
  const MappedIndex& index() const { return index_; }
  PinTable& pins() { return pins_; }
  LeasedWriter& leased_writer() { return leased_writer_; }
  uint32_t client() const { return client_; }
  uint64_t capacity_bytes() const { return capacity_bytes_; }
  uint64_t free_bytes() const;
  std::shared_ptr<const void> memory() const { return arena_; }
  bool InChild() const { return connection_.fork_guard().InChild(); }

  // Nothing, or why no request can be made: a child of fork(), a daemon that has gone, a client that was disconnected.
  Result<void> CheckUsable();

  // The steps of Get. `self` is this session; views share it. Both read the store's memory also after the daemon's end.
  // A spilled object is none, and sets `on_disk`. A lost one is kNotFound.
  static Result<std::optional<PinnedObject>> TryPin(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                                    bool* on_disk = nullptr);
  // Fills the empty ones of `views`, each as soon as its object is seen. kTimedOut when some stay empty.
  static Result<void> WaitAndPin(const std::shared_ptr<StoreSession>& self, std::span<const ObjectId> ids,
                                 std::span<PinnedObject> views, Deadline deadline, const std::function<bool()>& alive);

  // Returns once these spilled objects, at most kRestoreIdsMax, are in memory. kTimedOut: not at the deadline, or not
  // after the time `most`. kNotFound: one is lost.
  Result<void> Restore(std::vector<ObjectId> ids, Deadline deadline, Duration most = std::chrono::seconds(5));

  // Also when the store's server dies meanwhile.
  static Result<ObjectWriter> Create(const std::shared_ptr<StoreSession>& self, const ObjectId& id, uint64_t data_bytes,
                                     std::span<const std::byte> metadata, const CreateOptions& options);
  // How long to wait for the answer to a create that may itself wait for room.
  Duration CreatePatience(const CreateOptions& options) const;
  // Whether the daemon may still carry out a request that failed.
  static bool NotAnswered(const Error& error) {
    return error.code == ErrorCode::kTimedOut || error.code == ErrorCode::kDisconnected;
  }
  // After a create that was not answered. Leaves an object alone that another thread has created under the same id.
  void AbandonCreate(const ObjectId& id);
  Result<void> Seal(const ObjectId& id);
  Result<void> SealAsync(const ObjectId& id);
  Result<void> Abort(const ObjectId& id);
  void AbortAsync(const ObjectId& id);
  void DeleteAsync(const ObjectId& id);
  // The sealed or spilled object of this id. Where it was deleted, and `rechecked` is false, the daemon first looks
  // whether somebody still holds it; `rechecked` is true then. An object for which the daemon does not answer soon is
  // gone for this caller.
  std::optional<FoundObject> FindRechecked(const ObjectId& id, bool& rechecked) {
    const auto found = index_.FindThere(id);
    if (!found || !found->deleted) [[likely]]
      return found;
    return AfterRecheck(id, *found, rechecked);
  }
  // A view of the object that the writer has just sealed takes over its pin.
  static Result<PinnedObject> ViewOfSealed(const std::shared_ptr<StoreSession>& self, const ObjectWriter& writer,
                                           uint32_t slot);
  // The view, which holds another pin of this session, too.
  static PinnedObject AlsoHolding(const std::shared_ptr<StoreSession>& self, PinnedObject view, uint32_t slot);
  void Unpin(uint32_t slot) {
    if (!InChild()) pins_.Unpin(slot);  // the page is the parent's
  }

  static constexpr uint32_t kNoSlot = ~uint32_t{0};

 private:
  static Result<std::optional<ObjectWriter>> TryCreate(const std::shared_ptr<StoreSession>& self, const ObjectId& id,
                                                       uint64_t data_bytes, std::span<const std::byte> metadata,
                                                       const CreateOptions& options);
  StoreSession(FrameConnection connection, const std::string& socket, Duration patience, const StoreWelcome& welcome,
               std::shared_ptr<MappedArena> arena, MappedIndex index, PinTable pins);
  Result<PinnedObject> MakeView(const std::shared_ptr<StoreSession>& self, const ObjectId& id, const FoundObject& found,
                                uint32_t slot) const;
  bool Recheck(const ObjectId& id);
  std::optional<FoundObject> AfterRecheck(const ObjectId& id, FoundObject found, bool& rechecked);
  void LearnWait(TimePoint start);
  tl::unexpected<Error> TooManyHolds() const;
  // False once ended: then nobody else will abort it.
  bool AddUnsealed(const ObjectId& id);
  bool IsUnsealed(const ObjectId& id);
  void RemoveUnsealed(const ObjectId& id);
  void AbortFinally(const ObjectId& id, Deadline deadline);

  StoreConnection connection_;
  const std::shared_ptr<MappedArena> arena_;
  const MappedIndex index_;
  PinTable pins_;
  const uint32_t client_;
  LeasedWriter leased_writer_;
  const uint64_t capacity_bytes_;
  std::atomic<int64_t> recent_wait_ns_{0};  // moving average of waits for a seal; a hint
  Mutex mutex_;
  bool ended_ RAYLET_GUARDED_BY(mutex_) = false;
  std::unordered_set<ObjectId> unsealed_ RAYLET_GUARDED_BY(mutex_);  // that this client created
};

}  // namespace raylet::client
