// PinnedObject: a sealed object, pinned while this lives. The caller of Get owns it. Any thread may read; one
// thread at a time may move or destroy it. The spans point into a read-only mapping: writing through them is a fault.
// Move-only: where several parts of a program hold one object, let them share a std::shared_ptr<const PinnedObject>.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "fbs/ids.h"

namespace raylet::client {

class StoreSession;

class PinnedObject {
 public:
  PinnedObject() = default;  // of nothing
  PinnedObject(PinnedObject&& other) noexcept = default;
  PinnedObject& operator=(PinnedObject&& other) noexcept;
  ~PinnedObject() {  // releases the pin: no system call
    if (session_ != nullptr) Release();
  }

  explicit operator bool() const { return session_ != nullptr; }
  const ObjectId& id() const { return id_; }
  std::span<const std::byte> data() const { return {data_, data_bytes_}; }              // 64-byte aligned
  std::span<const std::byte> metadata() const { return {metadata_, metadata_bytes_}; }  // 64-byte aligned
  void Release();                                                                       // as if destroyed
  // Keeps the spans readable, though not what they show, after the end of the view.
  std::shared_ptr<const void> memory() const;

 private:
  friend class StoreSession;
  std::shared_ptr<StoreSession> session_;  // null: of nothing
  const std::byte* data_ = nullptr;
  const std::byte* metadata_ = nullptr;
  uint64_t data_bytes_ = 0;
  uint32_t metadata_bytes_ = 0;
  uint32_t slot_ = 0;  // of the pin page; ours while session_ is set
  ObjectId id_;
};

}  // namespace raylet::client
