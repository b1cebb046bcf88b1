// Result<T>: a value, or the reason why there is none. Expected failures travel as values;
// exceptions belong to user code. An Error's message is a sentence that names the thing, the limit
// and the remedy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace raylet {

// Stable, because it travels on the wire. Append only.
enum class ErrorCode : uint16_t {
  kOk = 0,
  kInvalid = 1,        // the request makes no sense in any state
  kAlreadyExists = 2,  // duplicate id, address in use
  kNotFound = 3,
  kWrongState = 4,  // already sealed, not sealed yet, still held
  kFull = 5,        // StoreFull, or a bound is reached
  kTooLarge = 6,    // never fits, however long the caller waits
  kTimedOut = 7,
  kProtocolError = 8,  // bytes from outside make no sense: that connection is closed
  kVersionMismatch = 9,
  kDisconnected = 10,  // the other side is gone
  kNotAllowed = 11,
  kForked = 12,      // used in a child of the process that connected
  kIo = 13,          // the kernel refused: the message has errno's text
  kNotRunning = 14,  // nobody serves this address
  kSlowConsumer = 15,
  kCancelled = 16,
  kUnavailable = 17,  // a worker or actor died; the task or call may have run
  kLimit = 18,        // a bound other than room for objects is reached: the message names it
};

std::string_view ErrorCodeName(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInvalid;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// "what: strerror(errno_value)" as kIo.
tl::unexpected<Error> FailErrno(std::string_view what, int errno_value);

}  // namespace raylet

// Returns the error of a Result-valued expression to the caller; otherwise goes on.
#define RAYLET_RETURN_IF_ERROR(expression)                                                                             \
  do {                                                                                                                 \
    if (auto raylet_result_ = (expression); !raylet_result_) return ::raylet::Fail(std::move(raylet_result_).error()); \
  } while (false)
