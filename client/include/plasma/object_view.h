// ObjectView and ObjectWriter: one object read or written in place. Move-only, owned by the caller; they may outlive
// the client that made them. Each also carries the outcome of the call that made it.
#pragma once

#if __cplusplus < 202002L
#error "plasma:: needs C++20: compile with -std=c++20 (CMake: target_link_libraries(… raylet::plasma) does it)"
#include <plasma/compile-with-std-c++20>  // there is no such file: no further errors
#endif

#include <cstddef>
#include <memory>
#include <span>

#include <plasma/common.h>
#include <plasma/export.h>

namespace plasma {

// A sealed object, pinned while the view lives. Its memory is mapped read-only: writing there is a fault.
class RAYLET_API ObjectView {
 public:
  ObjectView();  // of nothing
  ObjectView(ObjectView&& other) noexcept;
  ObjectView& operator=(ObjectView&& other) noexcept;
  ~ObjectView();

  bool ok() const { return held_; }
  explicit operator bool() const { return ok(); }
  const Status& status() const { return status_; }
  std::span<const std::byte> data() const { return data_; }          // 64-byte aligned
  std::span<const std::byte> metadata() const { return metadata_; }  // 64-byte aligned
  void Release();                                                    // as if destroyed

 private:
  friend class PlasmaClient;
  struct Impl;
  Impl& impl();
  alignas(8) std::byte place_[72];  // of the Impl while held_: a get allocates nothing
  bool held_ = false;
  std::span<const std::byte> data_;
  std::span<const std::byte> metadata_;
  Status status_;
};

// An object being written. A writer destroyed before Seal aborts the object, and so does the Disconnect of its client.
// The memory can still be written after that; it belongs to no object then, and Seal and Abort return Disconnected.
class RAYLET_API ObjectWriter {
 public:
  ObjectWriter();  // of nothing
  ObjectWriter(ObjectWriter&& other) noexcept;
  ObjectWriter& operator=(ObjectWriter&& other) noexcept;
  ~ObjectWriter();

  bool ok() const { return impl_ != nullptr; }
  explicit operator bool() const { return ok(); }
  const Status& status() const { return status_; }
  std::span<std::byte> data() const { return data_; }          // 64-byte aligned
  std::span<std::byte> metadata() const { return metadata_; }  // holds what CreateWriter was given

  // The writer is empty afterwards, and its spans must not be used any more.
  Status Seal() &&;  // returns when the object is visible to all
  Status Abort() &&;

 private:
  friend class PlasmaClient;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::span<std::byte> data_;
  std::span<std::byte> metadata_;
  Status status_;
};

}  // namespace plasma
