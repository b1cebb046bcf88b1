// StoreSession: everything that one connection to a store holds: socket, mapped arena, mapped index, pin page. The
// StoreClient and all its views and writers share it; the last of them closes it. The daemon then drops this client's
// pins and aborts its unsealed objects. The objects that it owned go, or its heir inherits them. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "client/plasma/mapped_arena.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/object_view.h"
#include "client/plasma/object_writer.h"
#include "client/plasma/pin_table.h"
#include "client/plasma/store_client.h"
#include "client/plasma/store_connection.h"

namespace raylet::client {

class StoreSession {
 public:
  static Result<std::shared_ptr<StoreSession>> Connect(const std::string& socket, const std::string& name,
                                                       Deadline deadline, bool retry, uint32_t heir, Duration patience);

  StoreConnection& connection() { return connection_; }
  const MappedIndex& index() const { return index_; }
  PinTable& pins() { return pins_; }
  uint32_t client() const { return client_; }
  uint64_t capacity_bytes() const { return capacity_bytes_; }
  uint64_t free_bytes() const;
  bool InChild() const { return connection_.fork_guard().InChild(); }

  // The steps of Get. `self` is this session; views share it.
  static Result<std::optional<ObjectView>> TryPin(const std::shared_ptr<StoreSession>& self, const ObjectId& id);
  static Result<ObjectView> WaitAndPin(const std::shared_ptr<StoreSession>& self, const ObjectId& id, Deadline deadline,
                                       const std::function<bool()>& alive);

  static Result<ObjectWriter> Create(const std::shared_ptr<StoreSession>& self, const ObjectId& id, uint64_t data_bytes,
                                     std::span<const std::byte> metadata, const CreateOptions& options);
  // How long to wait for the answer to a create that may itself wait for room.
  Duration CreatePatience(int64_t timeout_ms) const;
  Result<void> Seal(const ObjectId& id);
  Result<void> SealAsync(const ObjectId& id);
  Result<void> Abort(const ObjectId& id);
  void AbortAsync(const ObjectId& id);
  void DeleteAsync(const ObjectId& id);
  // A view of the object that the writer has just sealed takes over the writer's pin.
  static Result<ObjectView> ViewOfSealed(ObjectWriter&& writer);
  void Unpin(uint32_t slot) {
    if (!InChild()) pins_.Unpin(slot);  // the page is the parent's
  }

  static constexpr uint32_t kNoSlot = ~uint32_t{0};

 private:
  StoreSession(FrameConnection connection, const std::string& socket, Duration patience, const StoreWelcome& welcome,
               std::unique_ptr<MappedArena> arena, MappedIndex index, PinTable pins);
  Result<ObjectView> MakeView(const std::shared_ptr<StoreSession>& self, const ObjectId& id, const FoundObject& found,
                              uint32_t slot) const;
  // Spins for a short while where recent waits were short; true when the object's bucket has changed.
  bool SpinForSeal(const std::atomic<uint32_t>& seals, uint32_t seen, Deadline deadline) const;

  StoreConnection connection_;
  const std::unique_ptr<MappedArena> arena_;
  const MappedIndex index_;
  PinTable pins_;
  const uint32_t client_;
  const uint64_t capacity_bytes_;
  std::atomic<int64_t> recent_wait_ns_{0};  // moving average of waits for a seal; a hint
};

}  // namespace raylet::client
