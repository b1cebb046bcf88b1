// Status: the outcome of a request: OK, or a kind of failure and a sentence. A value; one thread at a time may change
// it. Each kind of ours belongs to one of Arrow's, and the predicates of that one include it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <plasma/export.h>

namespace plasma {

enum class StatusCode : char {
  OK = 0,
  // Arrow's kinds, with its numbers.
  OutOfMemory = 1,
  KeyError = 2,
  TypeError = 3,
  Invalid = 4,  // the request makes no sense, or not now: the buffer is still held, another client writes it
  IOError = 5,  // the kernel or the wire failed
  CapacityError = 6,
  IndexError = 7,
  Cancelled = 8,
  UnknownError = 9,
  NotImplemented = 10,
  SerializationError = 11,
  AlreadyExists = 45,
  // The store's own kinds, and behind each the one of Arrow's that includes it.
  PlasmaObjectExists = 64,    // AlreadyExists
  PlasmaObjectNotFound,       // KeyError
  PlasmaObjectAlreadySealed,  // TypeError
  PlasmaStoreFull,            // CapacityError; says need, free, largest run, pinned bytes, and the remedy
  ObjectTooLarge,             // CapacityError: larger than the store, or than the client's quota
  TimedOut,                   // alone
  Disconnected,               // IOError: the daemon is gone, or Disconnect was called
  NotRunning,                 // IOError: nobody serves this socket
  ForkedClient,               // Invalid: used in a child of the process that connected
  NotAllowed,                 // IOError
};

class [[nodiscard, gnu::visibility("default")]] Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status OK() { return {}; }
  // The arguments, texts and numbers, make up the message.
  template <class... Args>
  static Status FromArgs(StatusCode code, const Args&... args) {
    std::string message;
    (Append(message, args), ...);
    return {code, std::move(message)};
  }
  template <class... Args>
  static Status OutOfMemory(const Args&... args) {
    return FromArgs(StatusCode::OutOfMemory, args...);
  }
  template <class... Args>
  static Status KeyError(const Args&... args) {
    return FromArgs(StatusCode::KeyError, args...);
  }
  template <class... Args>
  static Status TypeError(const Args&... args) {
    return FromArgs(StatusCode::TypeError, args...);
  }
  template <class... Args>
  static Status Invalid(const Args&... args) {
    return FromArgs(StatusCode::Invalid, args...);
  }
  template <class... Args>
  static Status IOError(const Args&... args) {
    return FromArgs(StatusCode::IOError, args...);
  }
  template <class... Args>
  static Status CapacityError(const Args&... args) {
    return FromArgs(StatusCode::CapacityError, args...);
  }
  template <class... Args>
  static Status IndexError(const Args&... args) {
    return FromArgs(StatusCode::IndexError, args...);
  }
  template <class... Args>
  static Status Cancelled(const Args&... args) {
    return FromArgs(StatusCode::Cancelled, args...);
  }
  template <class... Args>
  static Status UnknownError(const Args&... args) {
    return FromArgs(StatusCode::UnknownError, args...);
  }
  template <class... Args>
  static Status NotImplemented(const Args&... args) {
    return FromArgs(StatusCode::NotImplemented, args...);
  }
  template <class... Args>
  static Status SerializationError(const Args&... args) {
    return FromArgs(StatusCode::SerializationError, args...);
  }
  template <class... Args>
  static Status AlreadyExists(const Args&... args) {
    return FromArgs(StatusCode::AlreadyExists, args...);
  }
  template <class... Args>
  Status WithMessage(const Args&... args) const {
    return FromArgs(code_, args...);
  }

  bool ok() const { return code_ == StatusCode::OK; }
  StatusCode code() const { return code_; }
  StatusCode arrow_code() const;  // one of Arrow's kinds; TimedOut stays itself
  const std::string& message() const { return message_; }
  std::string ToString() const;  // "OK", or "PlasmaStoreFull: …"
  std::string CodeAsString() const { return CodeAsString(code_); }
  static std::string CodeAsString(StatusCode code);

  bool Equals(const Status& other) const { return code_ == other.code_ && message_ == other.message_; }
  friend bool operator==(const Status& a, const Status& b) { return a.Equals(b); }
  // The first of the two that failed, or OK.
  Status operator&(const Status& other) const { return ok() ? other : *this; }
  Status& operator&=(const Status& other) {
    if (ok()) *this = other;
    return *this;
  }

  void Warn() const { Warn(""); }  // writes itself to stderr
  void Warn(const std::string& before) const;
  [[noreturn]] void Abort() const { Abort(""); }  // the same, and ends the process
  [[noreturn]] void Abort(const std::string& before) const;

  bool IsOutOfMemory() const { return arrow_code() == StatusCode::OutOfMemory; }
  bool IsKeyError() const { return arrow_code() == StatusCode::KeyError; }
  bool IsTypeError() const { return arrow_code() == StatusCode::TypeError; }
  bool IsInvalid() const { return arrow_code() == StatusCode::Invalid; }
  bool IsIOError() const { return arrow_code() == StatusCode::IOError; }
  bool IsCapacityError() const { return arrow_code() == StatusCode::CapacityError; }
  bool IsIndexError() const { return arrow_code() == StatusCode::IndexError; }
  bool IsCancelled() const { return arrow_code() == StatusCode::Cancelled; }
  bool IsUnknownError() const { return arrow_code() == StatusCode::UnknownError; }
  bool IsNotImplemented() const { return arrow_code() == StatusCode::NotImplemented; }
  bool IsSerializationError() const { return arrow_code() == StatusCode::SerializationError; }
  bool IsAlreadyExists() const { return arrow_code() == StatusCode::AlreadyExists; }

  bool IsPlasmaObjectExists() const { return code_ == StatusCode::PlasmaObjectExists; }
  bool IsPlasmaObjectNotFound() const { return code_ == StatusCode::PlasmaObjectNotFound; }
  bool IsPlasmaObjectAlreadySealed() const { return code_ == StatusCode::PlasmaObjectAlreadySealed; }
  bool IsPlasmaStoreFull() const { return code_ == StatusCode::PlasmaStoreFull || IsObjectTooLarge(); }
  bool IsObjectTooLarge() const { return code_ == StatusCode::ObjectTooLarge; }
  bool IsTimedOut() const { return code_ == StatusCode::TimedOut; }
  bool IsDisconnected() const { return code_ == StatusCode::Disconnected; }
  bool IsNotRunning() const { return code_ == StatusCode::NotRunning; }
  bool IsForkedClient() const { return code_ == StatusCode::ForkedClient; }
  bool IsNotAllowed() const { return code_ == StatusCode::NotAllowed; }

 private:
  template <class Arg>
  static void Append(std::string & message, const Arg& arg) {
    if constexpr (std::is_same_v<Arg, char>)
      message += arg;
    else if constexpr (std::is_same_v<Arg, bool>)
      message += arg ? '1' : '0';
    else if constexpr (std::is_arithmetic_v<Arg>)
      message += std::to_string(arg);
    else
      message += std::string_view(arg);
  }

  StatusCode code_ = StatusCode::OK;
  std::string message_;
};

RAYLET_API std::ostream& operator<<(std::ostream& out, const Status& status);

}  // namespace plasma

// Returns from the function that says it, unless the Status is OK. Also fits Arrow's own, whose headers may define it.
#ifndef RETURN_NOT_OK
#define RETURN_NOT_OK(expression)          \
  do {                                     \
    auto raylet_status_ = (expression);    \
    if (!raylet_status_.ok()) [[unlikely]] \
      return raylet_status_;               \
  } while (false)
#endif
