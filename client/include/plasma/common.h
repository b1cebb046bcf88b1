// The types of the store's C++ interface: ids, outcomes, and the entries of List.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <plasma/export.h>

namespace plasma {

constexpr int64_t kUniqueIDSize = 20;

// 20 bytes of the user's own that name an object. Trivially copyable; all zero when made by default.
class RAYLET_API UniqueID {
 public:
  static UniqueID from_random();
  static UniqueID from_binary(std::string_view binary);  // all zero unless binary has exactly 20 bytes

  const uint8_t* data() const { return id_; }
  uint8_t* mutable_data() { return id_; }
  std::string binary() const { return {reinterpret_cast<const char*>(id_), sizeof id_}; }
  std::string hex() const;
  size_t hash() const;
  static constexpr int64_t size() { return kUniqueIDSize; }
  friend bool operator==(const UniqueID&, const UniqueID&) = default;

 private:
  uint8_t id_[kUniqueIDSize] = {};
};
using ObjectID = UniqueID;

enum class StatusCode : uint8_t {
  OK,
  Invalid,  // the request makes no sense, or not now: the buffer is still held, another client writes it
  PlasmaObjectExists,
  PlasmaObjectNotFound,
  PlasmaObjectAlreadySealed,
  PlasmaStoreFull,  // says need, free, largest run, pinned bytes, and the remedy
  ObjectTooLarge,   // larger than the store
  TimedOut,
  Disconnected,  // the daemon is gone, or Disconnect was called
  NotRunning,    // nobody serves this socket
  ForkedClient,  // used in a child of the process that connected
  NotAllowed,
  IOError,  // the kernel or the wire failed
};

// The outcome of a request: OK, or a code and a sentence.
class RAYLET_API Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status OK() { return {}; }
  static Status Invalid(std::string message) { return {StatusCode::Invalid, std::move(message)}; }

  bool ok() const { return code_ == StatusCode::OK; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  std::string ToString() const;  // "OK", or "PlasmaStoreFull: …"

  bool IsInvalid() const { return code_ == StatusCode::Invalid; }
  bool IsPlasmaObjectExists() const { return code_ == StatusCode::PlasmaObjectExists; }
  bool IsPlasmaObjectNotFound() const { return code_ == StatusCode::PlasmaObjectNotFound; }
  bool IsPlasmaObjectAlreadySealed() const { return code_ == StatusCode::PlasmaObjectAlreadySealed; }
  bool IsPlasmaStoreFull() const { return code_ == StatusCode::PlasmaStoreFull; }
  bool IsObjectTooLarge() const { return code_ == StatusCode::ObjectTooLarge; }
  bool IsTimedOut() const { return code_ == StatusCode::TimedOut; }
  bool IsDisconnected() const { return code_ == StatusCode::Disconnected; }
  bool IsNotRunning() const { return code_ == StatusCode::NotRunning; }
  bool IsForkedClient() const { return code_ == StatusCode::ForkedClient; }
  bool IsNotAllowed() const { return code_ == StatusCode::NotAllowed; }
  bool IsIOError() const { return code_ == StatusCode::IOError; }

 private:
  StatusCode code_ = StatusCode::OK;
  std::string message_;
};

// The same questions as functions, as newer programs ask them.
inline bool IsPlasmaObjectExists(const Status& status) { return status.IsPlasmaObjectExists(); }
inline bool IsPlasmaObjectNotFound(const Status& status) { return status.IsPlasmaObjectNotFound(); }
inline bool IsPlasmaObjectAlreadySealed(const Status& status) { return status.IsPlasmaObjectAlreadySealed(); }
inline bool IsPlasmaStoreFull(const Status& status) { return status.IsPlasmaStoreFull(); }

enum class ObjectState : int { PLASMA_CREATED = 1, PLASMA_SEALED = 2 };

// One object in a List.
struct ObjectTableEntry {
  int64_t data_size = 0;
  int64_t metadata_size = 0;
  int64_t create_time = 0;  // Unix time in seconds
  ObjectState state = ObjectState::PLASMA_CREATED;
};

}  // namespace plasma

template <>
struct std::hash<plasma::UniqueID> {
  size_t operator()(const plasma::UniqueID& id) const noexcept { return id.hash(); }
};

namespace plasma {
using ObjectTable = std::unordered_map<ObjectID, std::unique_ptr<ObjectTableEntry>>;
}  // namespace plasma
