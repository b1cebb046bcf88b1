// ObjectWriter: an object being written: its memory, and the duty to seal it. The caller of Create owns it. A writer
// destroyed before Seal aborts the object. Its spans are writable until Seal; the writer is empty after Seal and Abort.
// A writer keeps its memory, and no connection. The object is aborted, and Seal fails, once the client was
// disconnected, or has gone with all its views. The memory can still be written then, and belongs to no object. A Seal
// that the store does not answer in time leaves no object either: it is deleted when the store goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "client/plasma/pinned_object.h"
#include "fbs/ids.h"

namespace raylet::client {

class MappedArena;

class ObjectWriter {
 public:
  ObjectWriter() = default;  // of nothing
  ObjectWriter(ObjectWriter&& other) noexcept;
  ObjectWriter& operator=(ObjectWriter&& other) noexcept;
  ~ObjectWriter();

  explicit operator bool() const { return arena_ != nullptr; }
  const ObjectId& id() const { return id_; }
  std::span<std::byte> data() const { return {data_, data_bytes_}; }              // 64-byte aligned
  std::span<std::byte> metadata() const { return {metadata_, metadata_bytes_}; }  // holds what Create was given
  // Keeps the spans mapped, though not what they show, after the end of the writer.
  std::shared_ptr<const void> memory() const { return arena_; }

  // The writer is empty afterwards, also after an error. kDisconnected after the end of its client.
  Result<void> Seal() &&;                 // returns when the object is visible to all
  Result<void> SealAsync() &&;            // visible soon; in order with this client's other requests
  Result<PinnedObject> SealAndView() &&;  // sealed, and pinned without a gap in which it could be evicted
  Result<void> Abort() &&;
  // Gives up the duty to seal: the caller seals or aborts by id. The spans stay usable until then.
  void Detach() &&;

 private:
  friend class StoreSession;
  Result<std::shared_ptr<StoreSession>> Take();  // the writer is empty afterwards, but for its pin
  void Unpin(StoreSession& session);
  // The store's server died since the create, and the object with it. Its bytes are still there, under the pin.
  bool WasLost(const StoreSession& session, const Error& why) const;
  Result<ObjectWriter> WriteAgain(const std::shared_ptr<StoreSession>& session) const;

  std::weak_ptr<StoreSession> session_;
  std::shared_ptr<MappedArena> arena_;  // null: of nothing
  std::byte* data_ = nullptr;
  std::byte* metadata_ = nullptr;
  uint64_t data_bytes_ = 0;
  uint32_t metadata_bytes_ = 0;
  uint32_t slot_ = 0;  // pins the entry from before the seal on
  ObjectId id_;
  // How it was created.
  bool evict_if_full_ = true, owned_ = false;
  uint32_t owner_ = 0;
  uint64_t restored_ = 0;  // of the connection: how often it had been restored
};

}  // namespace raylet::client
